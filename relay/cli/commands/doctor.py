"""`relay doctor`."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import typer

from relay.bootstrap import start
from relay.cli.output import AsJson, console, print_json, print_table, remote_of, styled, told
from relay.core.errors import SettingsError
from relay.operations.doctor.findings import Health, worst
from relay.operations.doctor.run import examine

UNWELL = 4
"""Exit code: something is at fault."""


@told
def doctor(
    context: typer.Context,
    local: Annotated[
        bool, typer.Option("--local", help="Examine by the settings in this environment, without a running relay.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check settings, storage, providers and DNS; explain each problem and its fix. Exits 4 on a failure."""
    answer = asyncio.run(_examine()) if local else remote_of(context).call("GET", "/v1/doctor")
    if as_json:
        print_json(answer)
    else:
        _tell(answer)
    if answer["health"] == Health.FAULT:
        raise typer.Exit(UNWELL)


async def _examine() -> Mapping[str, Any]:
    try:
        relay = start(os.environ)
    except SettingsError as error:
        why, fix = "The app cannot start with it.", "Correct the setting (docs/reference/settings.md)."
        faults = [
            {"about": "settings", "health": "fault", "what": text, "why": why, "fix": fix} for text in error.problems
        ]
        return {"health": "fault", "value": faults}
    try:
        findings = await examine(relay)
    finally:
        await relay.close()
    value: Sequence[Any] = msgspec.to_builtins(findings)
    return {"health": str(worst(findings)), "value": value}


def _tell(answer: Mapping[str, Any]) -> None:
    rows = [(row["health"], row["about"], row["what"]) for row in answer["value"]]
    print_table("", ("", "about", "finding"), rows, nothing="")
    for row in answer["value"]:
        if row["health"] != Health.OK:
            console.print(f"\n{styled(row['health'])} {styled(row['about'])}: {styled(row['what'])}", highlight=False)
            console.print(f"  {styled(row['why'])}\n  → {styled(row['fix'])}", highlight=False)
