"""Choose the rows of `pending` that recovery must enqueue: overdue rows, expired ones, and the canary of each trial."""

from collections.abc import Iterator, Mapping, Set
from datetime import datetime, timedelta

from relay.core.model import State
from relay.journal.pending import Listed
from relay.routes.hold_rows import Hold, RouteState

GRACE = timedelta(minutes=2)
"""Time an entry may be late (a backlog, a busy queue) before it is enqueued again from its row."""
AGAIN = timedelta(minutes=15)
"""Time before the same row is enqueued once more."""


def is_requeued(listed: Listed, now: datetime) -> bool:
    """Return whether an earlier run enqueued the row's messages within the last minutes."""
    return listed.requeued_at is not None and listed.requeued_at + AGAIN > now


class OverdueRows:
    """Chooses the rows of one run. A route in trial gets one batch, its canary: a suspect only if no other batch waits."""

    def __init__(self, holds: Mapping[str, Hold], braked: Set[str], now: datetime) -> None:
        """`braked` are the scopes of clients that are held."""
        self._holds = holds
        self._braked = braked
        self._now = now
        self._canaries: set[str] = set()
        self._suspects: dict[str, Listed] = {}

    def includes(self, listed: Listed) -> bool:
        """Return whether a row must be enqueued now."""
        due = listed.due
        if listed.damaged_row:
            return True
        # `relay.operations.sent_checks` handles the rows of sent messages.
        if is_requeued(listed, self._now) or due.kind == State.SENT:
            return False
        if due.kind == State.SCHEDULED:
            return True
        if due.kind != State.HELD:
            return not listed.has_entry or due.at + GRACE <= self._now
        hold = self._holds.get(due.scope)
        is_held = due.scope in self._braked or (hold is not None and hold.state is not RouteState.ACTIVE)
        if not is_held:
            return due.at <= self._now
        if due.expires_at is not None and due.expires_at <= self._now:
            return True
        return hold is not None and hold.state is RouteState.TRIAL and self._is_canary(listed, hold)

    def suspects(self) -> Iterator[Listed]:
        """Return a suspect for each trial for which no other message waits."""
        for scope, listed in self._suspects.items():
            until = self._holds[scope].canary_until
            if scope not in self._canaries and (until is None or until <= self._now):
                yield listed

    def _is_canary(self, listed: Listed, hold: Hold) -> bool:
        scope = listed.due.scope
        if scope in self._canaries:
            return False
        if hold.suspects_batch(listed.due.batch):
            self._suspects.setdefault(scope, listed)
            return False
        self._canaries.add(scope)
        return True
