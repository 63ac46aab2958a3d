"""Decide how a hold changes. Pure: `relay.routes.holds` reads the row and writes the decision.

    active ──route fault──► held ──probe succeeds──► trial ──its canary batch is sent──► active
                           ▲  └─probe fails: next probe later    │
                           └──────────another route fault────────┘

A hold caused by a report ends only some minutes after its canary was accepted, if no report has refused the canary too.

Each function returns the changed hold, or None if nothing changes.
"""

from datetime import datetime, timedelta

import msgspec

from relay.core.outcomes import PROVIDER_AWAY, reply_text
from relay.routes.hold_rows import EARLY_PROBE_DELAYS, OPERATOR, Hold, RouteState

PROBE_DELAYS = (60.0, 120.0, 300.0, 600.0, 900.0)
"""Seconds before the first, second, … probe of a held route; the last delay repeats."""
PROBE_CLAIM_SECONDS = 60.0
"""Time a probe may take before another process may probe."""
MAX_WAIT_SECONDS = 86_400.0
"""Limit for a provider's `Retry-After`: a probe costs little."""
CANARY_SECONDS = 120.0
"""Time a canary batch may take before another batch may claim the trial."""
REPORT_SECONDS = 600.0
"""Time for a report about a canary to arrive: reports take minutes, and Relay reads them every minute."""
MAX_SUSPECTS = 32
"""Suspects that a row remembers, the latest ones."""


def after_fault(
    known: Hold,
    now: datetime,
    *,
    code: str,
    reply: str = "",
    retry_after_seconds: float | None = None,
    suspect: str = "",
    reported_attempt_at: datetime | None = None,
) -> Hold | None:
    """Hold a route after a fault. A hold keeps its `since`; after a failed canary the probe delay grows.

    None for a suspect if the route has worked for others since, for a fault before the next probe, and for a late report.
    """
    is_running = known.state is RouteState.HELD and (known.next_probe_at is None or known.next_probe_at > now)
    is_by_report = reported_attempt_at is not None
    if _is_late(known, reported_attempt_at) if is_by_report else is_running:
        return None
    was_active = known.state is RouteState.ACTIVE
    if was_active and suspect in known.suspects:
        return None
    probes = 0 if was_active else known.probes + 1
    return Hold(
        route=known.route,
        sender=known.sender,
        state=RouteState.HELD,
        code=code,
        reply=reply_text(reply),
        since=now if was_active or known.since is None else known.since,
        next_probe_at=now + _wait(probes, code, retry_after_seconds),
        probes=probes,
        suspects=_with_suspect(known, suspect),
        is_by_report=is_by_report or (known.is_by_report and not was_active),
    )


def by_operator(known: Hold, now: datetime, *, owner: str, reason: str, until: datetime | None) -> Hold:
    """Hold a route until an operator releases it, or until a time at which it is probed as after a fault.

    A hold made in a pause outlives it, and does not end before it.
    """
    outlasted = known.is_paused and until is not None
    return Hold(
        route=known.route,
        state=RouteState.HELD,
        code=OPERATOR,
        since=known.since if is_held_by_operator(known) else now,
        next_probe_at=later_end(known.next_probe_at, until) if outlasted else until,
        suspects=known.suspects,
        paused_at=known.paused_at if outlasted else None,
        owner=owner,
        reason=reply_text(reason),
        until=until,
    )


def is_held_by_operator(known: Hold) -> bool:
    """Return whether an operator holds the route, or the pause does."""
    return known.state is RouteState.HELD and known.code == OPERATOR


def with_claimed_probe(known: Hold, now: datetime) -> Hold:
    """Claim the due probe for a process. The probe at the end of a pause ends the pause."""
    return msgspec.structs.replace(known, next_probe_at=now + timedelta(seconds=PROBE_CLAIM_SECONDS), paused_at=None)


def in_trial(known: Hold, now: datetime) -> Hold:
    """Let one canary batch try after a successful probe."""
    return msgspec.structs.replace(
        known,
        state=RouteState.TRIAL,
        next_probe_at=None,
        canary_batch="",
        canary_until=None,
        confirmed_at=None,
        reopened_at=now,
    )


def after_failed_probe(known: Hold, now: datetime, *, code: str, reply: str) -> Hold:
    """Schedule the next probe. A provider that is away does not hide the wrong configuration that the route is held for."""
    is_hidden = code in PROVIDER_AWAY and known.code not in (*PROVIDER_AWAY, OPERATOR)
    cause = known.code if is_hidden else code or known.code
    probes = known.probes + 1
    return msgspec.structs.replace(
        known,
        code=cause,
        reply=reply_text(reply),
        probes=probes,
        next_probe_at=now + probe_delay(probes, cause),
        owner="",
        reason="",
        until=None,
    )


def may_send(known: Hold, now: datetime, batch: str) -> bool | None:
    """Return whether a batch may send by the route as it is; None if it must claim the trial first (`with_canary`)."""
    if known.state is not RouteState.TRIAL:
        return known.state is RouteState.ACTIVE
    if known.canary_until is not None and known.canary_until > now:
        return known.canary_batch == batch
    return False if known.suspects_batch(batch) else None


def with_canary(known: Hold, now: datetime, batch: str) -> Hold:
    """Make a batch the canary of a trial."""
    return msgspec.structs.replace(known, canary_batch=batch, canary_until=now + timedelta(seconds=CANARY_SECONDS))


def without_canary(known: Hold, batch: str, *, suspect: str) -> Hold | None:
    """Release the claim of a batch, so that another one can try. `suspect` is its message that failed."""
    if known.state is not RouteState.TRIAL or known.canary_batch != batch:
        return None
    return msgspec.structs.replace(known, canary_batch="", canary_until=None, suspects=_with_suspect(known, suspect))


def without_suspects(known: Hold) -> Hold | None:
    """Let the suspects of a trial be its canary."""
    is_trial = known.state is RouteState.TRIAL and bool(known.suspects)
    return msgspec.structs.replace(known, suspects=()) if is_trial else None


def released(known: Hold, now: datetime, *, is_by_canary: bool = False, message: str = "") -> Hold | None:
    """Release a route. A canary releases only a route in `trial`, and ends a hold by report only after `REPORT_SECONDS` more.

    `message` is the one that the canary sent; the other suspects stay suspects.
    """
    if known.state is RouteState.ACTIVE or (is_by_canary and known.state is not RouteState.TRIAL):
        return None
    if is_by_canary and known.is_by_report and (known.confirmed_at is None or known.confirmed_at > now):
        at = known.confirmed_at or now + timedelta(seconds=REPORT_SECONDS)
        return msgspec.structs.replace(known, confirmed_at=at, canary_until=at)
    return Hold(
        route=known.route,
        sender=known.sender,
        must_wake=True,
        suspects=tuple(each for each in known.suspects if each != message) if is_by_canary else (),
        reopened_at=known.reopened_at if is_by_canary else now,
    )


def later_end(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the later of two ends; None means never."""
    return None if one is None or other is None else max(one, other)


def _is_late(known: Hold, reported_attempt_at: datetime | None) -> bool:
    """Return whether a report about an attempt of that time says nothing new about a route.

    A provider that is away may refuse the account as well, which lasts longer.
    """
    if known.state is RouteState.HELD:
        return known.code not in PROVIDER_AWAY
    return bool(reported_attempt_at and known.reopened_at and reported_attempt_at < known.reopened_at)


def _wait(probes: int, code: str, retry_after: float | None) -> timedelta:
    return timedelta(seconds=min(retry_after, MAX_WAIT_SECONDS)) if retry_after else probe_delay(probes, code)


def probe_delay(probes: int, code: str) -> timedelta:
    """Return the delay of the next probe after this number of failed probes, by the code of the hold."""
    delays = (*EARLY_PROBE_DELAYS, *PROBE_DELAYS) if code in PROVIDER_AWAY else PROBE_DELAYS
    return timedelta(seconds=delays[min(probes, len(delays) - 1)])


def _with_suspect(known: Hold, suspect: str) -> tuple[str, ...]:
    others = (each for each in known.suspects if each != suspect)
    return (*others, suspect)[-MAX_SUSPECTS:] if suspect else known.suspects
