"""The doctor's findings."""

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum

import msgspec


class Health(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    """Mail is sent now, but this will cause problems."""
    FAULT = "fault"
    """Mail is not sent, or an outage could lose it."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check. `why` it matters and how to `fix` it are empty if the health is ok."""

    about: str
    health: Health
    what: str
    why: str = ""
    fix: str = ""


type Check = Callable[[], Awaitable[Sequence[Finding]]]


def ok(about: str, what: str) -> Finding:
    """Create a finding without a problem."""
    return Finding(about=about, health=Health.OK, what=what)


def warning(about: str, what: str, why: str, fix: str) -> Finding:
    """Create a finding about a problem that does not stop mail."""
    return Finding(about=about, health=Health.WARNING, what=what, why=why, fix=fix)


def fault(about: str, what: str, why: str, fix: str) -> Finding:
    """Create a finding about a problem that stops or endangers mail."""
    return Finding(about=about, health=Health.FAULT, what=what, why=why, fix=fix)


def worst(findings: Sequence[Finding]) -> Health:
    """Return the worst health of all findings."""
    states = {finding.health for finding in findings}
    return next((state for state in (Health.FAULT, Health.WARNING) if state in states), Health.OK)
