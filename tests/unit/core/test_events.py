"""Recipient states from events, in any order and with repetitions; and bounce classes."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.events import (
    BOUNCE_CLASSES,
    KINDS,
    BounceClass,
    EventKind,
    RecipientState,
    RecordedEvent,
    classify,
    enhanced_status,
    recipient_state,
    recipient_states,
)

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "events.md").read_text()


def event(
    kind: EventKind, *, minute: int = 0, attempt: int = 1, code: str = "", key: str = "", recipient: str = "a@b.example"
) -> RecordedEvent:
    return RecordedEvent(
        index=0,
        kind=str(kind),
        at=START + timedelta(minutes=minute),
        key=key or f"{kind}-{minute}-{attempt}",
        recipient=recipient,
        code=code,
        bounce_class=str(classify(code, "")) if kind is EventKind.BOUNCED else "",
        attempt=attempt,
    )


event_lists = st.lists(
    st.builds(
        event,
        st.sampled_from(EventKind),
        minute=st.integers(0, 9),
        attempt=st.integers(0, 2),
        code=st.sampled_from(["5.1.1", "5.7.1", ""]),
    ),
    max_size=12,
)


@given(event_lists, st.randoms(use_true_random=False), st.data())
def test_order_and_duplicates_of_events_do_not_change_the_state(
    events: list[RecordedEvent], random: object, data: st.DataObject
) -> None:
    repeated = [*events, *data.draw(st.lists(st.sampled_from(events)))] if events else events
    assert recipient_state(data.draw(st.permutations(repeated))) == recipient_state(events)


@given(event_lists, event_lists, event_lists)
def test_events_can_be_merged_in_any_split(
    first: list[RecordedEvent], second: list[RecordedEvent], third: list[RecordedEvent]
) -> None:
    """Telling the rest later ends where telling all at once does, wherever the cut is."""
    assert recipient_states([*first, *second, *third]) == recipient_states([*third, *second, *first, *first])


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], None),
        ([event(EventKind.PROCESSED), event(EventKind.DEFERRED, minute=1)], None),
        ([event(EventKind.DELIVERED)], EventKind.DELIVERED),
        ([event(EventKind.OPENED)], EventKind.DELIVERED),
        ([event(EventKind.CLICKED)], EventKind.DELIVERED),
        ([event(EventKind.UNSUBSCRIBED)], EventKind.DELIVERED),
        ([event(EventKind.DELIVERED, minute=5), event(EventKind.BOUNCED)], EventKind.BOUNCED),
        ([event(EventKind.BOUNCED, minute=5), event(EventKind.DELIVERED)], EventKind.BOUNCED),
        ([event(EventKind.COMPLAINED), event(EventKind.BOUNCED, minute=5)], EventKind.COMPLAINED),
        ([event(EventKind.BOUNCED, attempt=1), event(EventKind.DELIVERED, attempt=2)], EventKind.DELIVERED),
        ([event(EventKind.DEFERRED, attempt=2), event(EventKind.DELIVERED, attempt=1)], EventKind.DELIVERED),
    ],
)
def test_events_give_the_recipient_state(events: list[RecordedEvent], state: EventKind | None) -> None:
    found = recipient_state(events)
    assert (found.state if found else None) == state


def test_bounced_state_has_a_code_and_delivered_has_none() -> None:
    bounced = recipient_state(
        [event(EventKind.BOUNCED, code="5.1.1"), event(EventKind.DELIVERED, code="2.0.0", minute=3)]
    )
    assert bounced == RecipientState(state=EventKind.BOUNCED, at=START, code="5.1.1", bounce_class="address")
    assert recipient_state([event(EventKind.DELIVERED, code="2.0.0")]) == RecipientState(
        state=EventKind.DELIVERED, at=START
    )


def test_recipients_are_matched_ignoring_case() -> None:
    events = [
        event(EventKind.DELIVERED, recipient="A@b.example"),
        event(EventKind.BOUNCED, recipient="c@d.example", code="5.1.1"),
    ]
    assert {address: found.state for address, found in recipient_states(events).items()} == {
        "a@b.example": EventKind.DELIVERED,
        "c@d.example": EventKind.BOUNCED,
    }


@pytest.mark.parametrize(
    ("status", "reply", "found"),
    [
        ("5.1.1", "", BounceClass.ADDRESS),
        ("5.1.10", "", BounceClass.ADDRESS),
        ("5.1.2", "", BounceClass.ADDRESS),
        ("5.1.8", "", BounceClass.POLICY),
        ("5.1.7", "", BounceClass.POLICY),
        ("5.2.1", "", BounceClass.MAILBOX),
        ("4.2.2", "", BounceClass.MAILBOX),
        ("5.2.3", "", BounceClass.CONTENT),
        ("5.3.4", "", BounceClass.CONTENT),
        ("5.4.4", "", BounceClass.NETWORK),
        ("5.4.1", "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", BounceClass.ADDRESS),
        ("5.4.1", "no answer from host", BounceClass.NETWORK),
        ("5.6.0", "", BounceClass.CONTENT),
        ("5.7.1", "user unknown", BounceClass.POLICY),
        ("5.7.26", "", BounceClass.POLICY),
        ("", "550 5.1.1 gone", BounceClass.ADDRESS),
        ("5.0.0", "550 no such user here", BounceClass.ADDRESS),
        ("", "552 mailbox full", BounceClass.MAILBOX),
        ("", "554 message looks like spam", BounceClass.CONTENT),
        ("", "your IP is on a block list", BounceClass.POLICY),
        ("", "connection timed out", BounceClass.NETWORK),
        ("5.5.2", "", BounceClass.UNKNOWN),
        ("", "", BounceClass.UNKNOWN),
    ],
)
def test_bounce_is_classified_by_status_and_reply(status: str, reply: str, found: BounceClass) -> None:
    assert classify(status, reply) is found


def test_enhanced_status_is_found_in_the_reply() -> None:
    assert enhanced_status("", "550-5.7.26 unauthenticated") == "5.7.26"
    assert enhanced_status("250 OK", "from 10.5.1.1 at 15.1.2") == ""


def rows(heading: str) -> dict[str, str]:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", section, flags=re.MULTILINE))


def test_documentation_lists_event_kinds_and_bounce_classes() -> None:
    assert KINDS.keys() == set(EventKind)
    assert BOUNCE_CLASSES.keys() == set(BounceClass)
    assert rows("Kinds of events") == {str(kind): meaning for kind, meaning in KINDS.items()}
    assert rows("Bounce classes") == {str(each): meaning for each, meaning in BOUNCE_CLASSES.items()}
