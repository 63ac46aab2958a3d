"""`relay erase`: erase the stored messages of one recipient."""

from typing import Annotated, Any

import typer

from relay.cli.output import AsJson, console, print_json, reports_errors
from relay.cli.paging import call_until_done
from relay.cli.remote import BAD_RESULT


@reports_errors
def erase(
    context: typer.Context,
    recipient: Annotated[str, typer.Argument(help="The address whose messages are erased.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase all messages to an address, and cancel those that wait.

    Messages to several recipients are erased for all of them. Messages that are being sent right now are left, and the
    command exits 4: repeat it a few minutes later. It also exits 4 if stored messages cannot be read.

    Examples:

      relay erase ada@example.com --dry-run

      relay erase ada@example.com --yes
    """
    if not dry_run and not yes:
        typer.confirm(
            f"Erase all messages to {recipient}, and cancel those that wait? This cannot be undone.", abort=True
        )
    request: dict[str, Any] = {"recipient": recipient, "dry_run": dry_run}
    total = call_until_done(
        context,
        "/v1/erase",
        request,
        ("erased", "cancelled", "in_progress", "shared_files", "unreadable"),
        is_quiet=as_json,
    )
    if as_json:
        print_json(total)
    else:
        _print(total, is_dry=dry_run)
    if (total["in_progress"] or total["unreadable"]) and not dry_run:
        raise typer.Exit(BAD_RESULT)


def _print(total: dict[str, int], *, is_dry: bool) -> None:
    would = "would be " if is_dry else ""
    console.print(f"{total['erased']} {would}erased, {total['cancelled']} {would}cancelled.")
    if total["in_progress"]:
        console.print(f"{total['in_progress']} in progress: repeat the command in a few minutes.")
    if total["shared_files"]:
        console.print(f"{total['shared_files']} uploaded files kept: other messages may refer to them.")
    if total["unreadable"]:
        console.print(
            f"{total['unreadable']} messages cannot be read: they may be to the recipient, and were not erased. "
            "See docs/how-to/data-protection.md."
        )
