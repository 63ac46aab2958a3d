"""The view of a message: when it expires, by what its parts have waited for, and how its attempts ended, in their order."""

from datetime import timedelta

import pytest
from msgspec import UNSET, UnsetType

from relay.api.messages.access.states_only import message_states
from relay.api.messages.view import message_view
from relay.api.shapes.messages import MessageView, RecordState
from relay.core.arrival.arrivals import Reports
from relay.core.model import Attempt, MessageStatus, Part, State
from relay.core.parts import part_states
from tests.doubles import START, changed, submission_of

HOUR = timedelta(hours=1)
SUBMISSION = submission_of(expires_at=START + 2 * HOUR)
WAITING = Part(route="main", state=State.DEFERRED, due_at=START)


def held(code: str) -> Part:
    expires_at = part_states.expires_at_while_held(WAITING, SUBMISSION, code)
    return part_states.hold(WAITING, "main", code, START, START + HOUR, scope="main", expires_at=expires_at)


def view_of(*parts: Part) -> MessageView:
    return message_view(
        "m",
        SUBMISSION,
        None,
        MessageStatus(parts=parts),
        (),
        lane="bulk",
        created_at=START,
        now=START + HOUR,
        reports=lambda _: Reports.ALL,
    )


@pytest.mark.parametrize(
    ("part", "expires_at"),
    [
        (WAITING, START + 2 * HOUR),
        (held("bad_credentials"), START + 3 * HOUR),
        (held("repeated_failure"), START + 2 * HOUR),
        (changed(WAITING, held_seconds=1800), START + 2.5 * HOUR),
        (changed(WAITING, expires_at=START + 9 * HOUR), START + 9 * HOUR),
    ],
)
def test_expiry_shown_is_the_expiry_that_delivery_uses(part: Part, expires_at: object) -> None:
    view = view_of(changed(part, recipients=(0,)), changed(WAITING, recipients=(1,)))
    assert view.expires_at == expires_at


def test_attempt_that_found_an_earlier_one_accepted_names_it() -> None:
    """As after a message trace: nothing says so better than the record."""
    lost = Attempt(number=1, route="main", provider="graph", at=START, outcome="unknown", code="response_lost")
    found = Attempt(number=2, route="main", provider="graph", at=START + HOUR, outcome="sent", verified=1)
    part = Part(route="main", state=State.SENT, attempt=2, attempts=(lost, found))
    view = view_of(part)
    for shown in (view, message_states(view)):
        assert not isinstance(shown.attempts, UnsetType)
        assert [(each.number, each.verified) for each in shown.attempts] == [(1, UNSET), (2, 1)]


def test_every_state_of_a_record_can_be_shown() -> None:
    assert {str(each) for each in RecordState} == {*map(str, State), "unreadable"}


def test_attempts_of_all_parts_are_shown_oldest_first() -> None:
    tried = [
        Attempt(number=number, route="main", provider="smtp", at=START + number * HOUR / 3, outcome="deferred")
        for number in range(4)
    ]
    parts = (changed(WAITING, attempts=(tried[0], tried[3])), changed(WAITING, attempts=(tried[1], tried[2])))
    attempts = view_of(*parts).attempts
    assert not isinstance(attempts, UnsetType)
    assert [attempt.number for attempt in attempts] == [0, 1, 2, 3]
