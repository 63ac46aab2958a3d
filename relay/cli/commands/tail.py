"""`relay tail`: print messages as they change."""

import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import typer

from relay.cli.output import AsJson, console, remote_of, reports_errors, styled
from relay.cli.remote import Remote
from relay.core.model import FINAL, State

POLL_SECONDS = 2.0
WATCHED = timedelta(minutes=15)
"""How long a message is watched after its acceptance; `relay messages` shows later changes."""
MAX_MESSAGES = 500


@reports_errors
def tail(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Print only changes to this state.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the recent messages and exit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print each message when it appears and whenever its state changes, until Ctrl-C.

    Example: relay tail --state failed
    """
    seen: dict[str, str] = {}
    while True:
        for row in _changes(remote_of(context), seen):
            if state is None or row["state"] == state:
                _print(row, as_json=as_json)
        if once:
            return
        time.sleep(POLL_SECONDS)


def _changes(remote: Remote, seen: dict[str, str]) -> Iterator[Mapping[str, Any]]:
    """Yield new and changed messages, oldest first. `seen` holds the last state by id."""
    since = datetime.now(UTC) - WATCHED
    listed = list(remote.pages("/v1/messages", {"since": since.isoformat()}, limit=MAX_MESSAGES))
    for row in reversed(listed):
        if seen.get(row["id"]) != row["state"]:
            seen[row["id"]] = row["state"]
            yield row
    current = {row["id"] for row in listed}
    for name in [name for name, state in seen.items() if name not in current and State(state) in FINAL]:
        del seen[name]


def _print(row: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
        sys.stdout.flush()
        return
    cells = (row["created_at"], row["state"], row["id"], row.get("client"), row.get("subject"))
    console.print("  ".join(styled(cell) for cell in cells), highlight=False, soft_wrap=True)
