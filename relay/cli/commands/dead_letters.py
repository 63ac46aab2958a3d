"""`relay deadletters …`: what was given up on, by cause."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.progress import Progress

from relay.cli.output import AsJson, console, print_json, print_table, remote_of, told
from relay.cli.remote import Remote

app = typer.Typer(no_args_is_help=True, help="Messages that were given up on: list, show, redrive, discard.")
Ids = Annotated[list[str] | None, typer.Argument(help="Ids of messages; none with --code.")]
Code = Annotated[str | None, typer.Option(help="All of this cause.")]


@app.command("list")
@told
def index(
    context: typer.Context,
    code: Annotated[str | None, typer.Option(help="The letters of this cause, instead of counts.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many at most.", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """How many there are of each cause; with --code the letters of one."""
    remote = remote_of(context)
    if code is None:
        found = remote.call("GET", "/v1/deadletters")["value"]
        rows = [(row["count"], row["code"], row["meaning"]) for row in found]
        columns: Sequence[str] = ("count", "cause", "meaning")
    else:
        found = list(remote.pages("/v1/deadletters", {"code": code}, limit=limit))
        rows = [(row["at"], row["id"], row.get("subject")) for row in found]
        columns = ("died", "id", "subject")
    print_json(found) if as_json else print_table("", columns, rows, nothing="There are no dead letters.")


@app.command()
@told
def show(context: typer.Context, message: Annotated[str, typer.Argument(help="The message's id.")]) -> None:
    """The whole story of one, as JSON."""
    print_json(remote_of(context).call("GET", f"/v1/messages/{message}"))


@app.command()
@told
def redrive(
    context: typer.Context,
    ids: Ids = None,
    code: Code = None,
    route: Annotated[str | None, typer.Option(help="By this route instead.")] = None,
    sender: Annotated[str | None, typer.Option("--from", help="From this address instead.")] = None,
    as_json: AsJson = False,
) -> None:
    """Put them back on the queue. Redriving twice sends once.

    Examples:

      relay deadletters redrive --code bad_credentials

      relay deadletters redrive msg_0… --route exchange
    """
    how = {name: value for name, value in (("route", route), ("sender", sender)) if value}
    _all(remote_of(context), "redrive", "redriven", ids, code, how, as_json=as_json)


@app.command()
@told
def discard(
    context: typer.Context,
    ids: Ids = None,
    code: Code = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take them off the list; their records stay until the retention ends."""
    if code and not yes:
        typer.confirm(f"Take every dead letter of {code} off the list?", abort=True)
    _all(remote_of(context), "discard", "discarded", ids, code, {}, as_json=as_json)


def _all(
    remote: Remote, verb: str, done: str, ids: list[str] | None, code: str | None, how: dict[str, str], *, as_json: bool
) -> None:
    """Repeat the call until none is left: one call takes a few hundred."""
    if bool(ids) == (code is not None):
        raise typer.BadParameter("give either ids of messages or --code")
    choice: dict[str, Any] = {"ids": ids} if ids else {"code": code}
    total = _count(remote, code) if code else len(ids or ())
    count = 0
    with Progress(console=console, transient=True, disable=as_json) as progress:
        task = progress.add_task(done, total=total)
        while True:
            answer = remote.call("POST", f"/v1/deadletters/{verb}", json={**choice, **how})
            count += answer[done]
            progress.update(task, completed=count)
            if not answer["is_more"]:
                break
    print_json({done: count}) if as_json else console.print(f"{count} {done}.")


def _count(remote: Remote, code: str) -> int:
    rows = remote.call("GET", "/v1/deadletters")["value"]
    return next((int(row["count"]) for row in rows if row["code"] == code), 0)
