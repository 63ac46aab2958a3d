"""Parts that are sent again."""

from datetime import timedelta

from relay.core.model import State
from relay.core.outcomes import (
    Rejected,
)
from relay.core.parts import put_back
from tests.doubles import changed
from tests.unit.core.parts.kit import DAY, SENDING, settled


def test_redrive_restarts_the_part_and_keeps_its_history() -> None:
    dead = settled(Rejected(code="policy_refused"), changed(SENDING, held_seconds=50.0))
    back = put_back.redrive(dead, DAY, 600, "other")
    assert back is not None
    assert (back.state, back.due_at, back.expires_at) == (State.DEFERRED, DAY, DAY + timedelta(seconds=600))
    assert (back.route, back.is_pinned, back.redriven, back.may_resend, back.attempt) == ("other", True, 1, True, 1)
    assert back.attempts == dead.attempts
    assert put_back.redrive(back, DAY, 600, None) is None
    by_rules = put_back.redrive(dead, DAY, 600, None)
    assert by_rules is not None
    assert (by_rules.route, by_rules.is_pinned) == ("main", False)
