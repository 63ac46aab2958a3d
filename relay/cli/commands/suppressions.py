"""`relay suppressions …`: manage suppressed addresses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from relay.cli.output import AsJson, console, print_list, print_result, remote_of, reports_errors

app = typer.Typer(no_args_is_help=True, help="Manage suppressed addresses.")
Email = Annotated[str, typer.Argument(help="The address.")]
Client = Annotated[str | None, typer.Option("--client", help="The client whose list to use (operators only).")]
Topic = Annotated[
    str | None, typer.Option("--topic", help="The topic whose list to use, instead of that for all mail.")
]


def _path(topic: str | None) -> str:
    return "/v1/suppressions" if topic is None else f"/v1/topics/{topic}/suppressions"


@app.command("list")
@reports_errors
def index(
    context: typer.Context,
    client: Client = None,
    topic: Topic = None,
    limit: Annotated[int, typer.Option("--limit", help="The maximum number of rows.", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """List suppressed addresses, with the reason and the expiry of each."""
    found = list(remote_of(context).pages(_path(topic), {"client": client}, limit=limit))
    columns = ("address", "reason", "until", "note")
    print_list(found, columns, _cells, empty="No suppressed addresses.", as_json=as_json, ids=("address",))


def _cells(row: dict[str, Any]) -> Sequence[Any]:
    return row["email"], row["reason"], row.get("expires_at"), row.get("note")


@app.command()
@reports_errors
def add(
    context: typer.Context,
    email: Email,
    reason: Annotated[str | None, typer.Option(help="The reason (default: manual).")] = None,
    note: Annotated[str | None, typer.Option(help="A note for operators.")] = None,
    client: Client = None,
    topic: Topic = None,
    as_json: AsJson = False,
) -> None:
    """Suppress an address: Relay no longer sends to it."""
    named = {"email": email, "reason": reason, "note": note, "client": None if topic else client}
    added = remote_of(context).call(
        "POST",
        _path(topic),
        json={name: value for name, value in named.items() if value},
        query={"client": client if topic else None},
    )
    print_result(added, f"{email} is suppressed.", as_json=as_json)


@app.command()
@reports_errors
def remove(context: typer.Context, email: Email, client: Client = None, topic: Topic = None) -> None:
    """Remove an address from the list: Relay sends to it again."""
    remote_of(context).call("DELETE", f"{_path(topic)}/{email}", query={"client": client})
    console.print(f"{email} is no longer suppressed.", markup=False, highlight=False)


@app.command("import")
@reports_errors
def import_list(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="CSV with a header line: email, reason, note.", exists=True, dir_okay=False)
    ],
    client: Client = None,
    topic: Topic = None,
    as_json: AsJson = False,
) -> None:
    """Add all addresses of a CSV file, or none if one of them is invalid.

    Example: relay suppressions export > list.csv; relay suppressions import list.csv
    """
    response: Any = remote_of(context).call(
        "POST",
        f"{_path(topic)}/import",
        content=file.read_bytes(),
        headers={"Content-Type": "text/csv"},
        query={"client": client},
    )
    print_result(response, f"{response['imported']} addresses imported.", as_json=as_json)


@app.command()
@reports_errors
def export(context: typer.Context, client: Client = None, topic: Topic = None) -> None:
    """Print the whole list as CSV."""
    content = remote_of(context).call("GET", f"{_path(topic)}/export", query={"client": client})
    typer.echo(content, nl=False)


@app.command()
@reports_errors
def sync(
    context: typer.Context,
    route: Annotated[str, typer.Argument(help="A route whose provider has suppression lists (SendGrid).")],
    as_json: AsJson = False,
) -> None:
    """Import a provider's suppression lists."""
    synced = remote_of(context).call("POST", "/v1/suppressions/sync", json={"route": route})
    print_result(synced, f"{synced['imported']} imported, {synced['removed']} removed.", as_json=as_json)
