"""What a route's provider can report, by the settings: everything by webhook or trace, bounces by mailbox, or nothing."""

from typing import Any

import pytest

from relay.core.arrival.arrivals import Reports
from relay.core.settings import BounceMailbox, MessageTrace, Route
from relay.routes.reports import gets_reports, reports_of
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


def graph(name: str, **settings: Any) -> Route:
    return Route(name=name, provider="graph", settings=settings)


ROUTES = (
    graph("contoso", tenant_id="c", mailbox="relay@contoso.com"),
    graph("contoso too", tenant_id="C"),
    graph("fabrikam", tenant_id="f"),
    graph("ours", managed_identity=True),
    graph("ours too", managed_identity=True, mailbox="6c1f4b1e-object-id"),
    Route(name="smtp", provider="smtp", settings={"host": "smtp.office365.com"}),
    Route(name="smtp by token", provider="smtp", settings={"host": "smtp.office365.com", "tenant_id": "f"}),
)


@pytest.mark.parametrize(
    ("read_by", "mailbox", "route", "sender", "gets"),
    [
        ("contoso", "any@example.com", "contoso", "shop@contoso.com", True),
        ("contoso", "any@example.com", "contoso too", "shop@example.org", True),
        ("fabrikam", "any@contoso.com", "contoso", "shop@contoso.com", False),
        ("ours", "any@example.com", "ours too", "shop@example.org", True),
        # Nothing says whether the app's own tenant is contoso's.
        ("ours", "bounces@contoso.com", "contoso", "shop@example.org", True),
        ("ours", "bounces@example.org", "contoso", "shop@example.org", False),
        ("contoso", "bounces@Example.org", "ours too", "shop@example.org", True),
        ("contoso", "bounces@contoso.com", "ours too", "shop@example.org", False),
        ("ours", "bounces@example.org", "smtp", "shop@example.org", True),
        ("ours", "bounces@example.com", "smtp", "shop@example.org", False),
        ("fabrikam", "bounces@example.com", "smtp by token", "shop@example.org", True),
        ("contoso", "bounces@example.org", "smtp by token", "shop@example.org", False),
        ("removed", "bounces@example.org", "smtp", "shop@example.org", False),
        ("contoso", "bounces@contoso.com", "removed", "shop@contoso.com", False),
        ("ours", "", "smtp", "", False),
    ],
)
def test_reports_are_about_routes_of_the_mailboxs_tenant(
    read_by: str, mailbox: str, route: str, sender: str, gets: bool
) -> None:
    assert gets_reports(settings_of(*ROUTES), mailbox, read_by, route, sender) is gets
