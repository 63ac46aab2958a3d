"""Read a part's history of attempts, and shorten it to the space that its row has."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from relay.core import ids
from relay.core.model import FINAL, Attempt, Part, State

MAX_INTERRUPTIONS = 5
"""Interrupted attempts in a row that make a crash loop: as many as the host allows an entry (host.json, maxDequeueCount)."""
MAX_ATTEMPTS_KEPT = 20
MAX_WHOLE_PARTS = 3
"""If a message has more parts, ended ones keep only their last attempt, `unknown` ones up to five: a status holds 64 KiB."""
WHOLE_REPLIES_KEPT = 3
SHORT_REPLY = 200
"""Characters kept of each older reply: a batch's record holds 1 MiB."""

ROUTE_FAULT = "route_fault"
_UNCERTAIN = ("unknown", "interrupted")
_ACCEPTED = ("sent", "not_sent")
"""Outcomes of attempts whose mail the provider may have, although it did not reach the recipients in the end."""
_replace = msgspec.structs.replace
_ATTEMPTS = "8a0c5f1e-6a51-4d0b-9a1c-7f2f0b8c1d5e"


def uncertain_attempts(part: Part) -> tuple[Attempt, ...]:
    """Return the attempts that may have reached the recipients: their outcome was never learned."""
    return tuple(attempt for attempt in part.attempts if attempt.outcome in _UNCERTAIN)


def attempts_to_ask_about(part: Part) -> tuple[Attempt, ...]:
    """Return the uncertain attempts since the part was last sent, unless a later record refutes that.

    An attempt that only asked is left out: the one that it asked about says more. A part that was sent and waits again was resent
    because its mail was lost: mail before that counts as lost too, and the provider would say that it has it.
    """
    later = [each.number for each in part.attempts]
    sent = (
        at
        for at, each in enumerate(part.attempts, 1)
        if each.outcome == "sent" and each.accepted_number not in later[at:]
    )
    found = uncertain_attempts(_replace(part, attempts=part.attempts[max(sent, default=0) :]))
    numbers = {each.number for each in found}
    return tuple(each for each in found if each.verified not in numbers)


def may_have_accepted(part: Part, number: int) -> set[str]:
    """Return the routes whose provider has accepted an attempt of this number, or may have."""
    tried = (each for each in part.attempts if number in (each.number, each.verified))
    routes = {each.route for each in tried if each.outcome in ("sent", *_UNCERTAIN)}
    return {*routes, part.route} if part.state is State.SENDING and part.attempt == number else routes


def accepted_periods(part: Part) -> Sequence[tuple[datetime, datetime]]:
    """Return when the attempts were made that the provider accepted, or may have before it disproved them.

    A period begins with the attempt and ends with its last record: its answer, or a later report about it.
    """
    accepted = (
        each for each in part.attempts if each.outcome == "sent" or (each.outcome == "not_sent" and not each.verified)
    )
    numbers = {each.accepted_number for each in accepted}
    records = [[each for each in part.attempts if number in (each.number, each.verified)] for number in numbers]
    return [
        (min(each.at for each in some), max(each.at + timedelta(seconds=each.seconds) for each in some))
        for some in records
    ]


def is_uncertain(part: Part) -> bool:
    """Return whether any attempt may have reached the recipients although its outcome was never learned."""
    return bool(uncertain_attempts(part))


def was_put_back(part: Part, until: datetime, route: str | None) -> bool:
    """Return whether a part that was sent at `until` was put back since: for `route`, if one is given."""
    seen = [attempt for attempt in part.attempts if attempt.at <= until]
    if not seen or seen[-1].outcome != "sent" or (part.state is State.SENT and len(seen) == len(part.attempts)):
        return False
    return route is None or route in {part.route, *(attempt.route for attempt in part.attempts if attempt.at > until)}


def is_crash_looping(part: Part) -> bool:
    """Return whether the last `MAX_INTERRUPTIONS` attempts were all interrupted: then the part must be the cause.

    The host counts deliveries of an entry too, but recovery and retries make new entries, each with a count of its own.
    """
    last = part.attempts[-MAX_INTERRUPTIONS:]
    return len(last) == MAX_INTERRUPTIONS and all(attempt.outcome == "interrupted" for attempt in last)


def keeps_route(part: Part) -> bool:
    """Return whether the next attempt must use the part's own route: it is pinned, or may have accepted the last attempt.

    An older uncertain attempt does not bind a part to a route that has refused it since: it might wait there until it expires.
    """
    return part.is_pinned or (bool(part.attempts) and part.attempts[-1].outcome in _UNCERTAIN)


def mark_not_sent(part: Part, attempt: Attempt) -> Part:
    """Record that an uncertain attempt, and those that only asked about it, reached no recipient, as its provider said."""
    refuted = [each for each in uncertain_attempts(part) if each.accepted_number == attempt.accepted_number]
    attempts = (_replace(known, outcome="not_sent") if known in refuted else known for known in part.attempts)
    return _replace(part, attempts=tuple(attempts))


def first_recipient(part: Part) -> int:
    """Return the number of the part's first recipient."""
    return part.recipients[0] if part.recipients else 0


def latest_number(part: Part) -> int:
    """Return the number of the part's latest attempt, or of the one that this one found to be sent."""
    return _latest(part)[1]


def latest_attempt_id(message_id: str, part: Part) -> str:
    """Return the UUID of the part's latest attempt, recorded or under way. It is always the same for the same attempt."""
    return _attempt_id(message_id, *_latest(part))


def _latest(part: Part) -> tuple[int, int]:
    if part.state is State.SENDING or not part.attempts:
        return first_recipient(part), part.attempt
    return part.attempts[-1].first, part.attempts[-1].accepted_number


def attempt_id(message_id: str, attempt: Attempt) -> str:
    """Return the UUID that a recorded attempt had when it was made: if it only asked about another, that of the other."""
    return _attempt_id(message_id, attempt.first, attempt.accepted_number)


def attempt_of_id(message_id: str, parts: Iterable[Part], named: str) -> int:
    """Return the number of the attempt that has this id; 0 if none of these parts made it."""
    for part in parts:
        if part.state is State.SENDING and latest_attempt_id(message_id, part) == named:
            return part.attempt
        for attempt in part.attempts:
            if attempt_id(message_id, attempt) == named:
                return attempt.accepted_number
    return 0


def _attempt_id(message_id: str, first: int, number: int) -> str:
    return ids.named_uuid(_ATTEMPTS, f"{message_id}/{first}/{number}")


def truncate_history(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Shorten the history of a message's parts to the space that its status has. Parts that have not ended stay whole."""
    if len(parts) <= MAX_WHOLE_PARTS:
        return parts
    return tuple(_truncated(part) if part.state in FINAL else part for part in parts)


def with_attempt(attempts: tuple[Attempt, ...], latest: Attempt) -> tuple[Attempt, ...]:
    """Add an attempt, and drop or shorten older ones to save space. The first two and uncertain attempts are kept longest."""
    attempts = (*attempts, latest)
    if len(attempts) > MAX_ATTEMPTS_KEPT:
        certain = (at for at, known in enumerate(attempts) if at >= 2 and known.outcome not in _UNCERTAIN)
        dropped = next(certain, 2)
        attempts = attempts[:dropped] + attempts[dropped + 1 :]
    older, last = attempts[:-WHOLE_REPLIES_KEPT], attempts[-WHOLE_REPLIES_KEPT:]
    return (*(_replace(old, reply=old.reply[:SHORT_REPLY]) for old in older), *last)


def _truncated(part: Part) -> Part:
    # An unknown part may be redriven. Then the provider is asked about its latest uncertain attempts, and the mail of an accepted
    # one must not be taken for theirs. The record after that one may be the report that refused it.
    older = part.attempts[:-1] if part.state is State.UNKNOWN else ()
    uncertain = [at for at, known in enumerate(older) if known.outcome in _UNCERTAIN][-2:]
    accepted = [at for at, known in enumerate(older) if known.outcome in _ACCEPTED][-1:]
    wanted = {*uncertain, *accepted, *(at + 1 for at in accepted)}
    kept = (*(known for at, known in enumerate(older) if at in wanted), *part.attempts[-1:])
    return _replace(part, attempts=tuple(_replace(known, reply=known.reply[:SHORT_REPLY]) for known in kept))
