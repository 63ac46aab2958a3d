"""Decide whether a client's mail is held, because its rates of bounces or complaints are too high. Pure functions.

Only reports of the provider itself count (`relay.core.model.MessageStatus.vouched`), and only the client's own mail on the lanes
that would be held. Small numbers never hold anything.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from enum import StrEnum

from relay.core.arrival.arrivals import Arrival, arrival_of_word, is_current
from relay.core.arrival.counts import Counts
from relay.core.model import MessageStatus, Part, State
from relay.core.settings import BrakeLimits, BrakePolicy


class BrakeCause(StrEnum):
    """The cause of holding a client's lanes; a code of `relay.core.outcomes.CAUSES`."""

    BOUNCE_RATE = "bounce_rate"
    COMPLAINT_RATE = "complaint_rate"


def cause_of(counts: Counts, limits: BrakeLimits) -> BrakeCause | None:
    """Return the cause to hold mail with these counts; None if there is none. Complaints do most harm, so they come first."""
    is_enough = counts.complained >= limits.min_complained and counts.sent >= limits.complaints_of
    if is_enough and counts.complaint_rate >= limits.complaint_rate:
        return BrakeCause.COMPLAINT_RATE
    is_enough = counts.hard_bounced >= limits.min_bounced and counts.sent >= limits.bounces_of
    if is_enough and counts.hard_bounced / counts.sent >= limits.bounce_rate:
        return BrakeCause.BOUNCE_RATE
    return None


def vouched_counts(
    status: MessageStatus, suppressed: Collection[int], recipients: int, after: datetime | None
) -> Counts:
    """Count the recipients whose copy was sent after a moment (None: at any time), by the provider's own reports."""
    sent = dict(_sent(status, suppressed, recipients, after))
    found: dict[Arrival, set[int]] = {Arrival.BOUNCED: set(), Arrival.COMPLAINED: set()}
    for group in status.vouched:
        known = arrival_of_word(group.word)
        if known is not None and known.arrival in found:
            numbers = (number for number in group.recipients if number in sent)
            found[known.arrival].update(number for number in numbers if is_current(known, group.attempt, sent[number]))
    return Counts(sent=len(sent), hard_bounced=len(found[Arrival.BOUNCED]), complained=len(found[Arrival.COMPLAINED]))


def _sent(
    status: MessageStatus, suppressed: Collection[int], recipients: int, after: datetime | None
) -> Iterator[tuple[int, Part]]:
    for part in status.parts:
        if part.state is not State.SENT or (after is not None and not (part.attempts and part.attempts[-1].at > after)):
            continue
        for number in range(recipients) if part.recipients is None else part.recipients:
            if number not in suppressed:
                yield number, part


def lane_key(client_id: str, lane: str) -> str:
    """Return the name of a client's lane in the counts of an hour."""
    return f"{client_id}|{lane}"


def by_client(named: Mapping[str, Counts], client_id: str, policy: BrakePolicy) -> Counts:
    """Add up the counts of a client's lanes that a policy covers."""
    found = Counts()
    for key, counts in named.items():
        owner, _, lane = key.partition("|")
        if owner == client_id and policy.covers(lane):
            found += counts
    return found
