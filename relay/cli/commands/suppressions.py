"""`relay suppressions …`: who is not sent to."""

from pathlib import Path
from typing import Annotated, Any

import typer

from relay.cli.output import AsJson, console, print_json, print_table, remote_of, told

app = typer.Typer(no_args_is_help=True, help="Addresses that are not sent to: list, add, remove, import, export, sync.")
Email = Annotated[str, typer.Argument(help="The address.")]
Whose = Annotated[str | None, typer.Option("--client", help="Whose list (operators).")]


@app.command("list")
@told
def index(
    context: typer.Context,
    client: Whose = None,
    limit: Annotated[int, typer.Option("--limit", help="How many at most.", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """Who is on the list, why, and until when."""
    found = list(remote_of(context).pages("/v1/suppressions", {"client": client}, limit=limit))
    if as_json:
        print_json(found)
        return
    rows = [(row["email"], row["reason"], row.get("expires_at"), row.get("note")) for row in found]
    print_table("", ("address", "reason", "until", "note"), rows, nothing="The list is empty.")


@app.command()
@told
def add(
    context: typer.Context,
    email: Email,
    reason: Annotated[str | None, typer.Option(help="Why; by default manual.")] = None,
    note: Annotated[str | None, typer.Option(help="For people.")] = None,
    client: Whose = None,
    as_json: AsJson = False,
) -> None:
    """Do not send to this address any more."""
    named = {"email": email, "reason": reason, "note": note, "client": client}
    answer = remote_of(context).call(
        "POST", "/v1/suppressions", json={name: value for name, value in named.items() if value}
    )
    print_json(answer) if as_json else console.print("It is on the list.")


@app.command()
@told
def remove(context: typer.Context, email: Email, client: Whose = None) -> None:
    """Send to this address again."""
    remote_of(context).call("DELETE", f"/v1/suppressions/{email}", query={"client": client})
    console.print("It is not on the list.")


@app.command("import")
@told
def take_list(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="CSV with a header line: email, reason, note.", exists=True, dir_okay=False)
    ],
    client: Whose = None,
    as_json: AsJson = False,
) -> None:
    """Add all addresses of a CSV file, or none when one of them is wrong.

    Example: relay suppressions export > list.csv; relay suppressions import list.csv
    """
    answer: Any = remote_of(context).call(
        "POST",
        "/v1/suppressions/import",
        content=file.read_bytes(),
        headers={"Content-Type": "text/csv"},
        query={"client": client},
    )
    print_json(answer) if as_json else console.print(f"{answer['imported']} addresses are on the list.")


@app.command()
@told
def export(context: typer.Context, client: Whose = None) -> None:
    """Print the whole list as CSV."""
    content = remote_of(context).call("GET", "/v1/suppressions/export", query={"client": client})
    typer.echo(content, nl=False)


@app.command()
@told
def sync(
    context: typer.Context,
    route: Annotated[str, typer.Argument(help="A route whose provider keeps lists (SendGrid).")],
    as_json: AsJson = False,
) -> None:
    """Take over a provider's lists."""
    answer = remote_of(context).call("POST", "/v1/suppressions/sync", json={"route": route})
    print_json(answer) if as_json else console.print(f"{answer['taken']} taken over, {answer['dropped']} dropped.")
