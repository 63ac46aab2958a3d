"""`relay deadletters …`: list, redrive and discard dead letters."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.progress import Progress

from relay.cli.output import AsJson, console, print_json, print_list, print_result, remote_of, reports_errors
from relay.cli.remote import Remote

app = typer.Typer(no_args_is_help=True, help="List, redrive and discard dead letters.")
Ids = Annotated[list[str] | None, typer.Argument(help="Message ids; omit them with --code.")]
Code = Annotated[str | None, typer.Option(help="All dead letters with this cause.")]


@app.command("list")
@reports_errors
def index(
    context: typer.Context,
    code: Annotated[str | None, typer.Option(help="List the dead letters with this cause, not counts.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="The maximum number of rows.", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """Count dead letters by cause, or list those of one cause (--code)."""
    remote = remote_of(context)
    if code is None:
        found = remote.call("GET", "/v1/deadletters")["value"]
        columns: Sequence[str] = ("count", "cause", "meaning")
        names: Sequence[str] = ("count", "code", "meaning")
    else:
        found = list(remote.pages("/v1/deadletters", {"code": code}, limit=limit))
        columns, names = ("died", "id", "state", "client"), ("at", "id", "state", "client")
    print_list(found, columns, lambda row: [row.get(name) for name in names], empty="No dead letters.", as_json=as_json)


@app.command()
@reports_errors
def show(context: typer.Context, message: Annotated[str, typer.Argument(help="The message's id.")]) -> None:
    """Print a message's full history as JSON."""
    print_json(remote_of(context).call("GET", f"/v1/messages/{message}"))


@app.command()
@reports_errors
def redrive(
    context: typer.Context,
    ids: Ids = None,
    code: Code = None,
    route: Annotated[str | None, typer.Option(help="Send them by this route.")] = None,
    sender: Annotated[str | None, typer.Option("--from", help="Send them from this address.")] = None,
    as_json: AsJson = False,
) -> None:
    """Put dead letters back on the queue. It is safe to repeat: each message is sent once.

    Examples:

      relay deadletters redrive --code bad_credentials

      relay deadletters redrive msg_0… --route exchange
    """
    changes = {name: value for name, value in (("route", route), ("sender", sender)) if value}
    _all(remote_of(context), "redrive", "redriven", ids, code, changes, as_json=as_json)


@app.command()
@reports_errors
def discard(
    context: typer.Context,
    ids: Ids = None,
    code: Code = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove dead letters from the list. Their records stay until their retention ends."""
    if code and not yes:
        typer.confirm(f"Discard all dead letters with cause {code}?", abort=True)
    _all(remote_of(context), "discard", "discarded", ids, code, {}, as_json=as_json)


def _all(
    remote: Remote,
    verb: str,
    done: str,
    ids: list[str] | None,
    code: str | None,
    changes: dict[str, str],
    *,
    as_json: bool,
) -> None:
    """Repeat the call until no dead letter is left; one call handles a few hundred."""
    if bool(ids) == (code is not None):
        raise typer.BadParameter("give either message ids or --code")
    choice: dict[str, Any] = {"ids": ids} if ids else {"code": code}
    total = _count(remote, code) if code else len(ids or ())
    count = 0
    with Progress(console=console, transient=True, disable=as_json) as progress:
        task = progress.add_task(done, total=total)
        while True:
            response = remote.call("POST", f"/v1/deadletters/{verb}", json={**choice, **changes})
            count += response[done]
            progress.update(task, completed=count)
            if not response["is_more"]:
                break
    print_result({done: count}, f"{count} {done}.", as_json=as_json)


def _count(remote: Remote, code: str) -> int:
    rows = remote.call("GET", "/v1/deadletters")["value"]
    return next((int(row["count"]) for row in rows if row["code"] == code), 0)
