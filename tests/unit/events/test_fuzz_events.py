"""Fuzzing: any posted events are translated or skipped without an exception, and the result fits a queue entry."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.events import EventSource
from relay.events import acs, sendgrid
from relay.events.provider_events import Entry, ProviderEvent, decode, encode, translated
from tests.depth import examples

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOUNDED = settings(max_examples=examples(100))
_leaf = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
_any = _leaf | st.lists(_leaf, max_size=3) | st.dictionaries(st.text(max_size=8), _leaf, max_size=3)
_time = _any | st.sampled_from(
    ("1772366400", 1_772_366_400, 10**30, "2026-03-01T12:00:00Z", "9999-12-31T23:59:59-14:00")
)
_words = _any | st.sampled_from(("550 5.1.1 no such user", "5.1.1", "blocked", "expired", "Bob@Example.com", "<>\r\n"))

SENDGRID = st.fixed_dictionaries(
    {
        "event": st.sampled_from(sorted(sendgrid._KINDS)),
        "relay_id": st.text(max_size=20) | st.just("msg_1"),
    },
    optional={
        **dict.fromkeys(("email", "reason", "response", "status", "type", "sg_event_id", "sg_machine_open"), _words),
        **dict.fromkeys(("timestamp", "relay_attempt", "attempt"), _time),
    },
)
_DATA = st.fixed_dictionaries(
    {
        "internetMessageId": st.just("<msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735@relay>") | _any,
        "recipient": st.just("bob@example.com") | _any,
    },
    optional={
        "status": st.sampled_from(("Delivered", "Bounced", "Failed", "Suppressed", "Expanded")) | _any,
        "engagementType": st.sampled_from(("view", "click")) | _any,
        "deliveryStatusDetails": st.fixed_dictionaries({}, optional={"statusMessage": _words}) | _any,
        **dict.fromkeys(("deliveryAttemptTimeStamp", "userActionTimeStamp"), _time),
    },
)
_TYPES = st.sampled_from(
    (
        "Microsoft.Communication.EmailDeliveryReportReceived",
        "Microsoft.Communication.EmailEngagementTrackingReportReceived",
    )
)
EVENT_GRID = st.fixed_dictionaries(
    {"data": _DATA, "eventType": _TYPES}, optional={"id": _any, "time": _time, "eventTime": _time}
)


def check(found: list[ProviderEvent], at_most: int) -> None:
    assert len(found) <= at_most
    for each in found:
        assert each.at == each.at.astimezone(UTC)
        assert decode(encode(Entry(relay=1, events=(each,)))).events == (each,)


@given(items=st.lists(SENDGRID | _any, max_size=4))
@BOUNDED
def test_any_sendgrid_post_is_translated_or_skipped(items: list[Any]) -> None:
    check(list(sendgrid.translate(items, NOW)), len(items))


@given(items=st.lists(EVENT_GRID | _any, max_size=4))
@BOUNDED
def test_any_event_grid_post_is_translated_or_skipped(items: list[Any]) -> None:
    check(list(acs.translate(items, NOW)), len(items))
    acs.validation_code(items)


def test_event_that_meets_a_bug_does_not_keep_the_others_from_being_recorded(caplog: pytest.LogCaptureFixture) -> None:
    def translate(item: int) -> ProviderEvent:
        return ProviderEvent(kind=str(10 // item), at=NOW, key="k", provider="p", source=EventSource.PROVIDER)

    assert [each.kind for each in translated([1, 0, 2], translate)] == ["10", "5"]
    assert 'event_skipped {"error":"ZeroDivisionError"}' in caplog.text


def test_recipient_of_an_event_has_the_spelling_of_the_message() -> None:
    item = {"event": "bounce", "relay_id": "msg_1", "email": "aaa..bb@docomo.ne.jp"}
    [found] = sendgrid.translate([item], NOW)
    assert found.recipient == '"aaa..bb"@docomo.ne.jp'
