"""Merge the events of one recipient into one state. Pure functions.

Vendors repeat their events and send them in any order. So the state of a recipient is the greatest of all its events, by
attempt, then by rank, then by time (`merged`): a join that is commutative, associative and idempotent.

    soft bounce or delivered, the later of the two ─► hard bounce ─► complained      (each overrules those before it)
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from relay.core.events import BounceClass, EventKind, RecipientState, RecordedEvent


class BounceType(StrEnum):
    """The type of a bounce: permanent or temporary."""

    HARD = "hard"
    """Refused for good: another mail like this one will be refused too."""
    SOFT = "soft"
    """Refused for a temporary reason: the mailbox was full, the server was away, a limit was reached."""


_SOFT_CLASSES = frozenset({BounceClass.MAILBOX, BounceClass.NETWORK, BounceClass.ACCOUNT})
_RANKS: Mapping[str, int] = {EventKind.DELIVERED: 1, EventKind.BOUNCED: 2, EventKind.COMPLAINED: 3}
_IMPLY_DELIVERY = frozenset({EventKind.OPENED, EventKind.CLICKED, EventKind.UNSUBSCRIBED, EventKind.RESUBSCRIBED})


def bounce_type(code: str, bounce_class: str) -> BounceType:
    """Return whether a bounce is hard or soft, by its enhanced status code (RFC 3463: 4.x.x is transient) and its class."""
    is_soft = code.startswith("4.") or bounce_class in _SOFT_CLASSES
    return BounceType.SOFT if is_soft else BounceType.HARD


def state_of(event: RecordedEvent) -> RecipientState | None:
    """Return the recipient's state after this one event; None if the event says nothing about arrival."""
    kind = EventKind.DELIVERED if event.kind in _IMPLY_DELIVERY else event.kind
    if kind not in _RANKS:
        return None
    is_bounce = kind == EventKind.BOUNCED
    return RecipientState(
        state=EventKind(kind),
        at=event.at,
        attempt=event.attempt,
        code=event.code if is_bounce else "",
        bounce_class=event.bounce_class if is_bounce else "",
    )


def merged(one: RecipientState | None, other: RecipientState | None) -> RecipientState | None:
    """Return the greater of two states of one recipient.

    A later attempt overrules an earlier one. Within an attempt, a mail that a server accepted and a server behind it refused
    has bounced, and one that was complained about was delivered before. After a soft bounce the provider may have tried again,
    so the later of a soft bounce and a delivery counts.
    """
    if one is None or other is None:
        return one or other
    return max(one, other, key=_place)


def recipient_states(events: Iterable[RecordedEvent]) -> Mapping[str, RecipientState]:
    """Return the final state of each recipient, by address in lower case."""
    found: dict[str, RecipientState] = {}
    for event in events:
        address = event.recipient.lower()
        state = merged(found.get(address), state_of(event))
        if state is not None:
            found[address] = state
    return found


def _place(state: RecipientState) -> tuple[object, ...]:
    is_bounce = state.state is EventKind.BOUNCED
    is_soft = is_bounce and bounce_type(state.code, state.bounce_class) is BounceType.SOFT
    rank = _RANKS[EventKind.DELIVERED if is_soft else state.state]
    return state.attempt, rank, state.at, is_bounce, state.code, state.bounce_class
