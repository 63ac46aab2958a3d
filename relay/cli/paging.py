"""Repeats operations that check a limited number of records per call, until no cursor is left."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.progress import Progress

from relay.cli.output import console, remote_of


def call_until_done(
    context: typer.Context, path: str, request: Mapping[str, Any], counts: Sequence[str], *, is_quiet: bool
) -> dict[str, int]:
    """Return the sum of each count over all calls. Shows the first of them as progress, unless `is_quiet`."""
    body, total = dict(request), dict.fromkeys(counts, 0)
    with Progress(console=console, transient=True, disable=is_quiet) as progress:
        task = progress.add_task("searching", total=None)
        while True:
            response = remote_of(context).call("POST", path, json=body)
            total = {name: count + response[name] for name, count in total.items()}
            progress.update(task, description=f"{total[counts[0]]} {counts[0]}")
            if not response["is_more"]:
                return total
            body["cursor"] = response["cursor"]
