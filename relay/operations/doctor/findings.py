"""What the doctor says."""

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum

import msgspec


class Health(StrEnum):
    """How it stands with one thing."""

    OK = "ok"
    WARNING = "warning"
    """Works now; will not for ever, or not for everybody."""
    FAULT = "fault"
    """Mail does not leave, or may be lost to an outage."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `why` it matters and what would `fix` it are empty when all is well."""

    about: str
    health: Health
    what: str
    why: str = ""
    fix: str = ""


type Check = Callable[[], Awaitable[Sequence[Finding]]]


def ok(about: str, what: str) -> Finding:
    """All is well with this."""
    return Finding(about=about, health=Health.OK, what=what)


def warning(about: str, what: str, why: str, fix: str) -> Finding:
    """Not well, and mail still leaves."""
    return Finding(about=about, health=Health.WARNING, what=what, why=why, fix=fix)


def fault(about: str, what: str, why: str, fix: str) -> Finding:
    """Mail does not leave, or could be lost."""
    return Finding(about=about, health=Health.FAULT, what=what, why=why, fix=fix)


def worst(findings: Sequence[Finding]) -> Health:
    """The health of the whole."""
    states = {finding.health for finding in findings}
    return next((state for state in (Health.FAULT, Health.WARNING) if state in states), Health.OK)
