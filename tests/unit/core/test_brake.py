"""The brake's decision: which counts hold a client, and what is counted of a message."""

from datetime import UTC, datetime, timedelta

import pytest

from relay.core.arrival.brake import BrakeCause, by_client, cause_of, lane_key, vouched_counts
from relay.core.arrival.counts import Counts
from relay.core.model import Attempt, MessageStatus, Part, Reported, State
from relay.core.settings import BrakeLimits, BrakePolicy

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sent", "bounced", "complained", "cause"),
    [
        (0, 0, 0, None),
        (1, 1, 0, None),
        (199, 199, 0, None),  # too few recipients
        (200, 19, 0, None),  # too few bounces
        (200, 20, 0, BrakeCause.BOUNCE_RATE),
        (201, 20, 0, None),  # 9.95 %
        (10_000, 1_000, 0, BrakeCause.BOUNCE_RATE),
        (10_000, 999, 0, None),
        (999, 0, 999, None),
        (1_000, 0, 9, None),
        (1_000, 0, 10, BrakeCause.COMPLAINT_RATE),
        (10_000, 0, 29, None),
        (10_000, 0, 30, BrakeCause.COMPLAINT_RATE),
        (10_000, 5_000, 30, BrakeCause.COMPLAINT_RATE),
    ],
)
def test_client_is_held_from_the_limits_on(sent: int, bounced: int, complained: int, cause: BrakeCause | None) -> None:
    assert cause_of(Counts(sent=sent, hard_bounced=bounced, complained=complained), BrakeLimits()) is cause


def test_soft_bounces_hold_nobody() -> None:
    assert cause_of(Counts(sent=1_000, soft_bounced=1_000), BrakeLimits()) is None


def test_own_limits_replace_the_defaults() -> None:
    limits = BrakeLimits(bounce_rate=0.05, min_bounced=5, bounces_of=100, complaint_rate=0.001, complaints_of=500)
    assert cause_of(Counts(sent=100, hard_bounced=4), limits) is None
    assert cause_of(Counts(sent=100, hard_bounced=5), limits) is BrakeCause.BOUNCE_RATE
    assert cause_of(Counts(sent=9_999, complained=9), limits) is None
    assert cause_of(Counts(sent=9_999, complained=10), limits) is BrakeCause.COMPLAINT_RATE


@pytest.mark.parametrize(
    ("policy", "lanes"),
    [
        (BrakePolicy.BULK, {"bulk", "news"}),
        (BrakePolicy.ALL, {"bulk", "news", "transactional"}),
        (BrakePolicy.OFF, set()),
    ],
)
def test_client_is_judged_by_its_own_mail_on_the_lanes_that_would_be_held(policy: BrakePolicy, lanes: set[str]) -> None:
    assert {lane for lane in ("bulk", "news", "transactional") if policy.covers(lane)} == lanes
    named = {lane_key("one", lane): Counts(sent=1) for lane in ("bulk", "news", "transactional")}
    others = {lane_key("other", "bulk"): Counts(sent=9), "": Counts(sent=9)}
    assert by_client({**named, **others}, "one", policy).sent == len(lanes)


def status_of(*groups: Reported, at: datetime = AT, state: State = State.SENT, number: int = 1) -> MessageStatus:
    attempt = Attempt(number=number, route="main", provider="capture", at=at, outcome="sent")
    part = Part(route="main", state=state, attempt=number, attempts=(attempt,))
    reported = (Reported(word="complained", attempt=1, recipients=(0, 1, 2, 3)),)
    return MessageStatus(parts=(part,), reported=reported, vouched=groups)


def test_only_vouched_reports_about_the_last_attempt_count() -> None:
    bounced = Reported(word="bounced", attempt=1, recipients=(0,))
    complained = Reported(word="complained", attempt=1, recipients=(1,))
    later = Reported(word="invented later", attempt=1, recipients=(2,))
    found = vouched_counts(status_of(bounced, complained, later), [3], 4, None)
    assert found == Counts(sent=3, hard_bounced=1, complained=1)
    assert vouched_counts(status_of(bounced, number=2), [], 4, None) == Counts(sent=4)
    assert vouched_counts(status_of(bounced, state=State.FAILED), [], 4, None) == Counts()


def test_what_was_sent_before_the_release_does_not_count() -> None:
    bounced = Reported(word="bounced", attempt=1, recipients=(0,))
    assert vouched_counts(status_of(bounced), [], 1, AT) == Counts()
    assert vouched_counts(status_of(bounced, at=AT + timedelta(seconds=1)), [], 1, AT).hard_bounced == 1
