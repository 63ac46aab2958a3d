"""Operations that look at some records in each call: called again, with the cursor of the last answer, until all are seen."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.progress import Progress

from relay.cli.output import console, remote_of


def take_all_steps(
    context: typer.Context, path: str, wanted: Mapping[str, Any], counts: Sequence[str], *, is_quiet: bool
) -> dict[str, int]:
    """The sums of the counts; meanwhile the first of them is shown, unless `is_quiet`."""
    body, total = dict(wanted), dict.fromkeys(counts, 0)
    with Progress(console=console, transient=True, disable=is_quiet) as progress:
        task = progress.add_task("looking", total=None)
        while True:
            answer = remote_of(context).call("POST", path, json=body)
            total = {name: count + answer[name] for name, count in total.items()}
            progress.update(task, description=f"{total[counts[0]]} {counts[0]}")
            if not answer["is_more"]:
                return total
            body["cursor"] = answer["cursor"]
