"""What a route's provider can report, by the settings: everything by webhook or trace, bounces by mailbox, or nothing."""

from typing import Any

import pytest

from relay.core.arrival.arrivals import Reports
from relay.core.settings import BounceMailbox, MessageTrace, Route
from relay.routes.reports import reports_of
from tests.doubles import settings_of

MAILBOX = {"bounce_mailboxes": (BounceMailbox(route="exchange", mailbox="a@example.com"),)}
TRACE = {"message_traces": (MessageTrace(routes=("exchange",)),)}


@pytest.mark.parametrize(
    ("route", "more", "reports"),
    [
        ("sendgrid", {}, Reports.NONE),
        ("sendgrid", {"sendgrid_event_keys": ("k",)}, Reports.ALL),
        ("exchange", {}, Reports.NONE),
        ("exchange", MAILBOX, Reports.BOUNCES),
        ("exchange", TRACE, Reports.ALL),
        ("exchange", {**MAILBOX, **TRACE}, Reports.ALL),
        ("other tenant", TRACE, Reports.NONE),
        ("smtp", MAILBOX, Reports.BOUNCES),
        ("smtp", TRACE, Reports.NONE),
        ("removed", TRACE, Reports.NONE),
    ],
)
def test_reports_of_a_route_follow_from_the_settings(route: str, more: dict[str, Any], reports: Reports) -> None:
    routes = (
        Route(name="sendgrid", provider="sendgrid"),
        Route(name="exchange", provider="graph"),
        Route(name="other tenant", provider="graph"),
        Route(name="smtp", provider="smtp"),
    )
    assert reports_of(settings_of(*routes, **more))(route) is reports
