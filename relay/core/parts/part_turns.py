"""Decide whether it is a part's turn: pure predicates over its state, its times and the holds."""

from collections.abc import Set
from datetime import datetime, timedelta

from relay.core.model import FINAL, WAITING, MessageStatus, Part, State
from relay.core.parts.part_history import is_uncertain

_MAY_HAVE_LEFT = frozenset({State.SENDING, State.SENT, State.UNKNOWN})
_EARLY = timedelta(seconds=5)
"""Entries may come this much early, because clocks differ."""


def is_turn(part: Part, now: datetime, held_scopes: Set[str] | None = None) -> bool:
    """Return whether the part must be planned now: it is new, due, or its attempt was interrupted.

    With `held_scopes`, also if its hold was released: then it goes before its due time.
    """
    if part.state in FINAL:
        return False
    is_released = held_scopes is not None and part.state is State.HELD and part.held_scope not in held_scopes
    return is_released or part.state is State.QUEUED or is_due(part, now) or is_interrupted(part, now)


def is_due(part: Part, now: datetime) -> bool:
    """Return whether a waiting part is due."""
    return part.state in WAITING and part.due_at is not None and part.due_at <= now + _EARLY


def is_interrupted(part: Part, now: datetime) -> bool:
    """Return whether an attempt was interrupted: its process died before it recorded the outcome, and its lease is over."""
    return part.state is State.SENDING and part.lease_until is not None and part.lease_until <= now


def is_in_progress(part: Part, now: datetime) -> bool:
    """Return whether an attempt is in progress under a lease."""
    return part.state is State.SENDING and part.lease_until is not None and part.lease_until > now


def is_check_due(part: Part, now: datetime) -> bool:
    """Return whether the provider of a sent part must be asked now whether it really sent it."""
    return part.state is State.SENT and part.check_at is not None and part.check_at <= now


def needs_entry(part: Part, soon: datetime) -> bool:
    """Return whether a part needs a queue entry now: it is deferred or scheduled until `soon`. Recovery enqueues later ones."""
    return part.state in (State.DEFERRED, State.SCHEDULED) and part.due_at is not None and part.due_at <= soon


def is_waiting(status: MessageStatus) -> bool:
    """Return whether any part of a message waits."""
    return any(part.state in WAITING for part in status.parts)


def is_over(status: MessageStatus) -> bool:
    """Return whether every part of a message is in a final state."""
    return all(part.state in FINAL for part in status.parts)


def may_have_left(status: MessageStatus) -> bool:
    """Return whether any part of a message was sent, is being sent, or may have been sent."""
    return any(part.state in _MAY_HAVE_LEFT or is_uncertain(part) for part in status.parts)
