"""Derive the arrival of each recipient of a message from its record and the reported events. Pure functions."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

from relay.core.arrival.recipient_states import BounceType, bounce_type, recipient_states
from relay.core.events import BounceClass, EventKind, EventSource, RecipientState, RecordedEvent
from relay.core.model import FINAL, Message, MessageStatus, Part, Reported, State


class Arrival(StrEnum):
    """The arrival of one recipient's copy of a message (meanings in `ARRIVALS`)."""

    COMPLAINED = "complained"
    BOUNCED = "bounced"
    SUPPRESSED = "suppressed"
    NOT_REPORTED = "not_reported"
    AWAITED = "awaited"
    DELIVERED = "delivered"


ARRIVALS: Mapping[Arrival, str] = {
    Arrival.COMPLAINED: "The recipient reported the mail as spam.",
    Arrival.BOUNCED: "The mail will not arrive; `bounce_type` says whether another one might.",
    Arrival.SUPPRESSED: "The mail was not sent: the address is on a suppression list, of Relay or of the provider.",
    Arrival.NOT_REPORTED: "The mail was sent. This provider reports no deliveries, so nothing more is known.",
    Arrival.AWAITED: "The mail was sent. The provider has not reported anything yet.",
    Arrival.DELIVERED: "The recipient's server accepted the mail.",
}
"""Every arrival with its meaning, the worst first, as in docs/reference/states.md."""


class Reports(StrEnum):
    """The events that Relay can get from a route's provider, as it is configured."""

    ALL = "all"
    """Deliveries and bounces."""
    BOUNCES = "bounces"
    """Only bounces: mail without a bounce may or may not have arrived."""
    NONE = "none"
    """Nothing: no webhook, mailbox or trace of this route is configured."""


def reported_of(events: Iterable[RecordedEvent], recipients: Sequence[str]) -> tuple[Reported, ...]:
    """Group recipients by reported state and its attempt. `recipients` are lower-case addresses in the message's order."""
    states = recipient_states(events)
    found: dict[tuple[str, int], list[int]] = {}
    for number, address in enumerate(recipients):
        if state := states.get(address):
            found.setdefault((_word(state), state.attempt), []).append(number)
    return tuple(
        Reported(word=word, attempt=attempt, recipients=tuple(numbers))
        for (word, attempt), numbers in sorted(found.items())
    )


def vouched_of(events: Iterable[RecordedEvent], recipients: Sequence[str]) -> tuple[Reported, ...]:
    """Return the hard bounces and complaints that the provider itself vouches for. Events from other sources are ignored."""
    vouched = (event for event in events if event.source == EventSource.PROVIDER)
    return tuple(group for group in reported_of(vouched, recipients) if group.word in _HARMFUL)


def _word(state: RecipientState) -> str:
    if state.state is not EventKind.BOUNCED:
        return str(state.state)
    if state.bounce_class == BounceClass.SUPPRESSED:
        return Arrival.SUPPRESSED
    return _SOFT if bounce_type(state.code, state.bounce_class) is BounceType.SOFT else Arrival.BOUNCED


class RecipientArrival(msgspec.Struct, frozen=True, kw_only=True):
    """The arrival of one recipient's copy, with the bounce type if it bounced."""

    arrival: Arrival
    bounce_type: BounceType | None = None


def arrival_of(state: RecipientState) -> RecipientArrival:
    """Return the arrival for a recipient's state."""
    return _BY_WORD[_word(state)]


def arrival_of_word(word: str) -> RecipientArrival | None:
    """Return the arrival for a recorded word; None for an unknown word, which a later version wrote."""
    return _BY_WORD.get(word)


def is_current(arrival: RecipientArrival, attempt: int, part: Part) -> bool:
    """Return whether a report about this attempt (0: not known) still applies to a part.

    A bounce does not, once the part is put back or was sent again.
    """
    if arrival.arrival not in (Arrival.BOUNCED, Arrival.SUPPRESSED):
        return True
    # An attempt that only verified stands for the earlier one, which sent the mail.
    latest = (part.attempts[-1].verified if part.attempts else 0) or part.attempt
    return part.state in FINAL and not 0 < attempt < latest


def unreported(reports: Reports) -> RecipientArrival:
    """Return the arrival of a sent copy without any report."""
    return RecipientArrival(arrival=Arrival.AWAITED if reports is Reports.ALL else Arrival.NOT_REPORTED)


def arrivals_of(
    status: MessageStatus, suppressed: Collection[int], recipients: int, reports: Callable[[str], Reports]
) -> Mapping[int, RecipientArrival]:
    """Return the arrival of every recipient whose copy was sent or suppressed, by the recipient's number.

    `recipients` is their number. `reports` returns the events that the provider of a route can report.
    """
    found = dict.fromkeys(suppressed, RecipientArrival(arrival=Arrival.SUPPRESSED))
    parts = {number: part for part in status.parts for number in _numbers(part, recipients)}
    for group in status.reported:
        known = arrival_of_word(group.word)
        if known is None:
            continue
        for number in group.recipients:
            if number in parts and is_current(known, group.attempt, parts[number]):
                found.setdefault(number, known)
    for number, part in parts.items():
        if part.state is State.SENT and number not in found:
            found[number] = unreported(reports(part.route))
    return found


def recipient_count(message: Message | None, status: MessageStatus) -> int:
    """Return how many recipients a message has. Without its content: as many as its record names, and at least 1."""
    if message is not None:
        return len(message.recipients)
    if status.erased is not None:
        return status.erased.recipients
    groups = [part.recipients or () for part in status.parts] + [group.recipients for group in status.reported]
    return 1 + max((number for group in groups for number in group), default=0)


def _numbers(part: Part, recipients: int) -> Iterable[int]:
    return range(recipients) if part.recipients is None else part.recipients


def worst(arrivals: Iterable[RecipientArrival]) -> RecipientArrival | None:
    """Return the worst arrival, a hard bounce before a soft one; None if there are none."""
    return min(arrivals, key=lambda each: (_ORDER[each.arrival], each.bounce_type is BounceType.SOFT), default=None)


_ORDER = {arrival: number for number, arrival in enumerate(Arrival)}
_HARMFUL = frozenset({Arrival.BOUNCED, Arrival.COMPLAINED})
_SOFT = "soft_bounced"
"""The recorded word of a soft bounce."""
_BY_WORD: Mapping[str, RecipientArrival] = {
    Arrival.COMPLAINED: RecipientArrival(arrival=Arrival.COMPLAINED),
    Arrival.BOUNCED: RecipientArrival(arrival=Arrival.BOUNCED, bounce_type=BounceType.HARD),
    _SOFT: RecipientArrival(arrival=Arrival.BOUNCED, bounce_type=BounceType.SOFT),
    Arrival.SUPPRESSED: RecipientArrival(arrival=Arrival.SUPPRESSED),
    Arrival.DELIVERED: RecipientArrival(arrival=Arrival.DELIVERED),
}
"""The words that a record holds."""
