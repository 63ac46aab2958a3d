"""Whether mail arrived, from events in any order and with repetitions."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.arrival.arrivals import ARRIVALS, Arrival, RecipientArrival, Reports, arrivals_of, reported_of, worst
from relay.core.arrival.recipient_states import (
    BounceType,
    bounce_type,
    merged,
    recipient_states,
    state_of,
)
from relay.core.events import BounceClass, EventKind, RecipientState, RecordedEvent, classify
from relay.core.model import Attempt, MessageStatus, Part, Reported, State

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADA, BOB, CLEO = "ada@b.example", "bob@b.example", "cleo@b.example"
HARD = RecipientArrival(arrival=Arrival.BOUNCED, bounce_type=BounceType.HARD)
SOFT = RecipientArrival(arrival=Arrival.BOUNCED, bounce_type=BounceType.SOFT)


def event(
    kind: EventKind,
    *,
    minute: int = 0,
    attempt: int = 1,
    code: str = "",
    bounce_class: str = "",
    recipient: str = "ada@b.example",
) -> RecordedEvent:
    return RecordedEvent(
        index=0,
        kind=str(kind),
        at=START + timedelta(minutes=minute),
        key=f"{kind}-{minute}-{attempt}-{code}",
        recipient=recipient,
        code=code,
        bounce_class=bounce_class or (str(classify(code, "")) if kind is EventKind.BOUNCED else ""),
        attempt=attempt,
    )


def recipient_state(events: Iterable[RecordedEvent]) -> RecipientState | None:
    return recipient_states(events).get(ADA)


event_lists = st.lists(
    st.builds(
        event,
        st.sampled_from(EventKind),
        minute=st.integers(0, 9),
        attempt=st.integers(0, 2),
        code=st.sampled_from(["5.1.1", "5.7.1", "4.2.2", ""]),
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
        ([event(EventKind.DELIVERED, minute=5), event(EventKind.BOUNCED, code="5.1.1")], EventKind.BOUNCED),
        ([event(EventKind.BOUNCED, code="5.1.1", minute=5), event(EventKind.DELIVERED)], EventKind.BOUNCED),
        ([event(EventKind.BOUNCED, code="4.2.2"), event(EventKind.DELIVERED, minute=5)], EventKind.DELIVERED),
        ([event(EventKind.DELIVERED), event(EventKind.BOUNCED, code="4.2.2", minute=5)], EventKind.BOUNCED),
        ([event(EventKind.BOUNCED, code="4.2.2"), event(EventKind.OPENED, minute=5)], EventKind.DELIVERED),
        ([event(EventKind.DELIVERED, minute=5), event(EventKind.COMPLAINED)], EventKind.COMPLAINED),
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
    assert bounced == RecipientState(state=EventKind.BOUNCED, at=START, attempt=1, code="5.1.1", bounce_class="address")
    assert recipient_state([event(EventKind.DELIVERED, code="2.0.0")]) == RecipientState(
        state=EventKind.DELIVERED, at=START, attempt=1
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


maybe_states = event_lists.map(recipient_state)


@given(maybe_states, maybe_states, maybe_states)
def test_merging_states_is_commutative_associative_and_idempotent(
    one: RecipientState | None, two: RecipientState | None, three: RecipientState | None
) -> None:
    assert merged(one, two) == merged(two, one)
    assert merged(merged(one, two), three) == merged(one, merged(two, three))
    assert merged(one, one) == one


@given(event_lists, st.data())
def test_record_of_a_message_does_not_depend_on_the_order_of_its_events(
    events: list[RecordedEvent], data: st.DataObject
) -> None:
    assert reported_of(data.draw(st.permutations([*events, *events])), [ADA]) == reported_of(events, [ADA])


@given(event_lists)
def test_event_that_says_nothing_about_arrival_changes_no_state(events: list[RecordedEvent]) -> None:
    silent = [each for each in events if state_of(each) is None]
    assert recipient_state(silent) is None


@pytest.mark.parametrize(
    ("code", "bounce_class", "expected"),
    [
        ("5.1.1", BounceClass.ADDRESS, BounceType.HARD),
        ("5.7.26", BounceClass.POLICY, BounceType.HARD),
        ("", BounceClass.UNKNOWN, BounceType.HARD),
        ("4.7.0", BounceClass.POLICY, BounceType.SOFT),
        ("5.2.2", BounceClass.MAILBOX, BounceType.SOFT),
        ("", BounceClass.NETWORK, BounceType.SOFT),
    ],
)
def test_bounce_is_soft_if_its_reason_passes(code: str, bounce_class: str, expected: BounceType) -> None:
    assert bounce_type(code, bounce_class) is expected


def sent(attempt: int = 1, recipients: tuple[int, ...] | None = None, state: State = State.SENT) -> Part:
    return Part(route="main", state=state, attempt=attempt, recipients=recipients)


def arrivals(
    parts: tuple[Part, ...],
    *events: RecordedEvent,
    suppressed: Mapping[int, str] | None = None,
    reports: Reports = Reports.ALL,
) -> dict[int, RecipientArrival]:
    status = MessageStatus(parts=parts, reported=reported_of(events, [ADA, BOB, CLEO]))
    return dict(arrivals_of(status, suppressed or {}, 3, lambda _: reports))


def test_each_recipient_has_an_arrival_of_its_own() -> None:
    found = arrivals(
        (sent(),),
        event(EventKind.DELIVERED, recipient="Ada@b.example"),
        event(EventKind.BOUNCED, code="5.1.1", recipient=BOB),
        event(EventKind.DELIVERED, recipient="stranger@b.example"),
    )
    assert found == {
        0: RecipientArrival(arrival=Arrival.DELIVERED),
        1: HARD,
        2: RecipientArrival(arrival=Arrival.AWAITED),
    }


@pytest.mark.parametrize("reports", [Reports.BOUNCES, Reports.NONE])
def test_route_without_delivery_reports_leaves_arrival_not_reported(reports: Reports) -> None:
    found = arrivals((sent(),), event(EventKind.BOUNCED, code="4.2.2", recipient=BOB), reports=reports)
    unknown = RecipientArrival(arrival=Arrival.NOT_REPORTED)
    assert found == {0: unknown, 1: SOFT, 2: unknown}


def test_suppressed_recipient_was_not_sent_to() -> None:
    assert arrivals((sent(recipients=(0, 1)),), suppressed={2: "bounced"})[2].arrival is Arrival.SUPPRESSED
    dropped = event(EventKind.BOUNCED, bounce_class=BounceClass.SUPPRESSED)
    assert arrivals((sent(),), dropped)[0].arrival is Arrival.SUPPRESSED


def test_unsent_recipient_has_no_arrival() -> None:
    assert arrivals((sent(recipients=(0,)), sent(recipients=(1, 2), state=State.FAILED))).keys() == {0}


def test_bounce_does_not_hold_once_the_recipient_is_sent_to_again() -> None:
    bounced = event(EventKind.BOUNCED, code="5.1.1", attempt=1)
    asked = Attempt(number=2, route="main", provider="graph", at=START, outcome="sent", verified=1)
    assert arrivals((msgspec.structs.replace(sent(attempt=2), attempts=(asked,)),), bounced)[0] == HARD
    waiting, again = sent(state=State.DEFERRED), sent(attempt=2)
    assert arrivals((sent(),), bounced)[0] == HARD
    assert 0 not in arrivals((waiting,), bounced)
    assert arrivals((again,), bounced)[0].arrival is Arrival.AWAITED
    # What arrived once has arrived.
    assert arrivals((again,), event(EventKind.DELIVERED, attempt=1))[0].arrival is Arrival.DELIVERED


def test_word_of_a_later_version_says_nothing() -> None:
    newer = Reported(word="telepathic", attempt=1, recipients=(0,))
    status = MessageStatus(parts=(sent(),), reported=(newer,))
    assert arrivals_of(status, {}, 1, lambda _: Reports.ALL) == {0: RecipientArrival(arrival=Arrival.AWAITED)}


def test_worst_arrival_counts_hard_bounces_before_soft_ones() -> None:
    delivered, awaited = RecipientArrival(arrival=Arrival.DELIVERED), RecipientArrival(arrival=Arrival.AWAITED)
    complained = RecipientArrival(arrival=Arrival.COMPLAINED)
    assert worst([delivered, awaited]) == awaited
    assert worst([SOFT, delivered, HARD]) == HARD
    assert worst([HARD, complained]) == complained
    assert worst([]) is None


def test_documentation_lists_every_arrival() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/states.md").read_text()
    section = page.partition("## Arrival\n")[2].partition("\n## ")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", section, flags=re.MULTILINE)) == {
        str(arrival): meaning for arrival, meaning in ARRIVALS.items()
    }
    assert ARRIVALS.keys() == set(Arrival)
