"""`relay doctor`: check settings, storage, providers and DNS."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from relay.bootstrap import start
from relay.cli.output import AsJson, console, print_json, print_table, remote_of, reports_errors, styled
from relay.cli.remote import BAD_RESULT
from relay.core.errors import SettingsError
from relay.operations.doctor.findings import Health, worst
from relay.operations.doctor.run import examine


@reports_errors
def doctor(
    context: typer.Context,
    local: Annotated[
        bool, typer.Option("--local", help="Check the settings of this environment, without a running relay.")
    ] = False,
    mail: Annotated[
        Path | None,
        typer.Option(
            "--mail", help="Check a received mail instead: does DKIM cover its unsubscribe link?", exists=True
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check settings, storage, providers and DNS; explain each problem and its fix.

    Exits 4 on a failure.
    """
    if mail is not None:
        _check_mail(mail.read_bytes())
        return
    report = asyncio.run(_examine()) if local else remote_of(context).call("GET", "/v1/doctor")
    if as_json:
        print_json(report)
    else:
        _print(report)
    if report["health"] == Health.FAULT:
        raise typer.Exit(BAD_RESULT)


def _check_mail(received: bytes) -> None:
    """Print which signatures cover the unsubscribe link. Exits 4 if none does."""
    from relay.unsubscribe.signature import inspect

    found = inspect(received)
    for name in found.absent:
        console.print(f"The mail has no {name}.", markup=False, highlight=False)
    for each in found.signatures:
        text = f"does not cover {' and '.join(each.missing)}" if each.missing else "covers both fields"
        console.print(f"The DKIM signature of {each.domain} {text}.", markup=False, highlight=False)
    if not found.signatures:
        console.print("The mail has no DKIM signature.", markup=False, highlight=False)
    if not found.is_covered:
        raise typer.Exit(BAD_RESULT)


async def _examine() -> Mapping[str, Any]:
    try:
        relay = start(os.environ)
    except SettingsError as error:
        why, fix = "The app does not start with this setting.", "Correct it (docs/reference/settings.md)."
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


def _print(report: Mapping[str, Any]) -> None:
    rows = [(row["health"], row["about"], row["what"]) for row in report["value"]]
    print_table(("", "about", "finding"), rows, empty="")
    for row in report["value"]:
        if row["health"] != Health.OK:
            console.print(f"\n{styled(row['health'])} {styled(row['about'])}: {styled(row['what'])}", highlight=False)
            console.print(f"  {styled(row['why'])}\n  → {styled(row['fix'])}", highlight=False)
