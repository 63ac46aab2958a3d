"""Read the reason and the end of a hold or a pause."""

from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from relay.api.problems import Problems
from relay.api.text_checks import moment_of

MAX_HOLD = timedelta(days=7)
MAX_REASON = 200


class _Wanted(Protocol):
    @property
    def reason(self) -> str | None: ...
    @property
    def until(self) -> str | None: ...


class HoldTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The reason and the end of a hold or a pause; `until` is None without an end."""

    reason: str
    until: datetime | None


def read_terms(wanted: _Wanted, now: datetime) -> HoldTerms:
    """Read the terms of a request. Raises `Refusal` (400) with every problem."""
    problems = Problems()
    reason = read_reason(wanted.reason, problems)
    until = None if wanted.until is None else _end(wanted.until, now, problems)
    problems.raise_any()
    return HoldTerms(reason=reason, until=until)


def read_reason(text: str | None, problems: Problems) -> str:
    """Read the reason for a change; empty if there is none."""
    if text is not None and len(text) > MAX_REASON:
        problems.add("too_long", "reason", f"A reason has at most {MAX_REASON} characters, not {len(text)}.")
    return text or ""


def _end(text: str, now: datetime, problems: Problems) -> datetime | None:
    end = moment_of(text)
    if end is None:
        problems.add("invalid_time", "until", "Write ISO 8601 with an offset, such as 2030-01-31T18:00:00Z.")
        return None
    if not now < end <= now + MAX_HOLD:
        advice = (
            f"The end must be in the future, at most {MAX_HOLD.days} days ahead. Leave it out to hold without an end."
        )
        problems.add("out_of_range", "until", advice)
    return end
