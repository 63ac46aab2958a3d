"""`relay erase`: erase what is kept of one recipient's messages."""

from typing import Annotated, Any

import typer

from relay.cli.commands.messages import ENDED_BADLY
from relay.cli.output import AsJson, console, print_json, told
from relay.cli.paging import take_all_steps


@told
def erase(
    context: typer.Context,
    recipient: Annotated[str, typer.Argument(help="The address whose messages are erased.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase each message to an address as a whole, and cancel those that wait. What is being sent just then is left.

    With something left the exit code is 4: repeat the command some minutes later.

    Examples:

      relay erase ada@example.com --dry-run

      relay erase ada@example.com --yes
    """
    if not dry_run and not yes:
        typer.confirm(
            f"Erase every message to {recipient}, and cancel those that wait? Nobody can undo this.", abort=True
        )
    wanted: dict[str, Any] = {"recipient": recipient, "dry_run": dry_run}
    total = take_all_steps(
        context, "/v1/erase", wanted, ("erased", "cancelled", "moving", "shared_files"), is_quiet=as_json
    )
    if as_json:
        print_json(total)
    else:
        _tell(total, is_dry=dry_run)
    if total["moving"] and not dry_run:
        raise typer.Exit(ENDED_BADLY)


def _tell(total: dict[str, int], *, is_dry: bool) -> None:
    would = "would be " if is_dry else ""
    console.print(f"{total['erased']} {would}erased, {total['cancelled']} {would}cancelled.")
    if total["moving"]:
        console.print(f"{total['moving']} being sent just now: repeat this in some minutes.")
    if total["shared_files"]:
        console.print(f"{total['shared_files']} of their files stay: other messages may name them too.")
