"""Prints results as tables or as JSON, and errors to stderr."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from relay.cli.fitting import fit
from relay.cli.remote import Remote, RemoteError, find_remote

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Url = Annotated[str | None, typer.Option(envvar="RELAY_URL", help="The relay's URL.", show_envvar=True)]
Key = Annotated[str | None, typer.Option(envvar="RELAY_KEY", help="The client key.", show_envvar=True)]

_NO_LIMIT = 1_000_000
"""The width of a pipe or file, in which each row of a table is one line, for programs such as grep."""

console = Console()
_STYLES = {
    **dict.fromkeys(("sent", "delivered", "active", "ok"), "green"),
    **dict.fromkeys(("queued", "sending", "scheduled"), "cyan"),
    **dict.fromkeys(("deferred", "held", "trial", "warning", "soft bounced"), "yellow"),
    **dict.fromkeys(("failed", "expired", "unknown", "bounced", "hard bounced", "complained", "fault"), "red"),
    "cancelled": "dim",
}


def remote_of(context: typer.Context) -> Remote:
    """Return the relay that this command calls, created once."""
    root = context.find_root()
    chosen: dict[str, Any] = root.obj
    if "remote" not in chosen:
        chosen["remote"] = find_remote(chosen["url"], chosen["key"])
        root.call_on_close(chosen["remote"].close)
    remote: Remote = chosen["remote"]
    return remote


def print_json(content: Any) -> None:
    """Print indented JSON to stdout, and nothing else."""
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    sys.stdout.buffer.flush()


def print_list(
    found: Sequence[Any],
    columns: Sequence[str],
    cells: Callable[[Any], Sequence[Any]],
    *,
    empty: str,
    as_json: bool,
    ids: Sequence[str] = ("id",),
    first: Sequence[str] = (),
) -> None:
    """Print the found items as JSON, or as a table with the `cells` of each."""
    print_json(found) if as_json else print_table(columns, map(cells, found), empty=empty, ids=ids, first=first)


def print_result(result: Any, text: str, *, as_json: bool) -> None:
    """Print a result as JSON, or `text` as one line, which is not wrapped, because a program may read it."""
    if as_json:
        print_json(result)
    else:
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def print_export(remote: Remote, path: str, query: Mapping[str, Any]) -> None:
    """Write every page of an export to stdout."""
    for part in remote.export(path, query):
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    empty: str,
    title: str = "",
    ids: Sequence[str] = ("id",),
    first: Sequence[str] = (),
) -> None:
    """Print a table, or the text `empty` if there are no rows.

    A terminal shows the columns that it has room for (`relay.cli.fitting`), and names the others; a pipe or file gets all.
    """
    values = [[shown(value) for value in row] for row in rows]
    if not values:
        console.print(empty, highlight=False)
        return
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    widths: Mapping[int, int | None] = dict.fromkeys(range(len(columns)))
    if console.is_terminal:
        widths = fit(columns, values, console.width, ids=ids, first=first)
    for index, width in widths.items():
        table.add_column(columns[index], width=width, overflow="fold")
    for row in values:
        table.add_row(*(styled(row[index]) for index in widths if index < len(row)))
    _print(table)
    if hidden := [name for index, name in enumerate(columns) if name and index not in widths]:
        console.print(f"[dim]No room for: {', '.join(hidden)}. --json prints everything.[/dim]", highlight=False)


def print_pairs(pairs: Mapping[str, Any]) -> None:
    """Print names and values, one per line, without those that are None."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in pairs.items():
        if value is not None:
            table.add_row(name, styled(value))
    _print(table)


def _print(table: Table) -> None:
    if console.is_terminal:
        console.print(table, highlight=False)
        return
    unlimited = Console(width=_NO_LIMIT)
    with unlimited.capture() as printed:
        unlimited.print(table, highlight=False)
    for line in printed.get().removesuffix("\n").split("\n"):
        typer.echo(line.rstrip(" "))


def shown(value: Any) -> str:
    """Format a cell: nothing for None, and a time without fractions of seconds."""
    text = "" if value is None else str(value)
    is_time = len(text) > 19 and text[10:11] == "T" and text.endswith("Z")
    return text[:19].replace("T", " ") + "Z" if is_time else text


def styled(value: Any) -> str:
    """Format a cell, color a state and escape markup."""
    text = shown(value)
    style = _STYLES.get(text)
    return f"[{style}]{escape(text)}[/{style}]" if style else escape(text)


def reports_errors[**P](command: Callable[P, None]) -> Callable[P, None]:
    """Wrap a command so that a `RemoteError` becomes a message and an exit code."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except RemoteError as error:
            if kwargs.get("as_json") and error.error:
                print_json({"error": error.error})
            else:
                Console(stderr=True).print(f"[red]{escape(str(error))}[/red]", highlight=False)
            raise typer.Exit(error.exit_code) from error

    return run
