"""Routing: rules, address patterns, and recipients grouped by the routes they may take."""

from typing import Any

import pytest

from relay.core.model import Address, Message, Submission
from relay.core.settings import Route, Rule, Settings, When
from relay.routes import routing
from relay.routes.routing import Leg, Router
from tests.doubles import message_of, settings_of, submission_of

EXCHANGE = Route(name="exchange", provider="smtp", senders=("*@example.org", "boss@example.net"))
SENDGRID = Route(name="sendgrid", provider="sendgrid")
BULK = Route(name="bulk", provider="sendgrid")
INTERNAL = Rule(routes=("exchange", "sendgrid"), when=When(recipient_domains=("example.org", "*.example.org")))
SETTINGS = settings_of(SENDGRID, EXCHANGE, BULK, rules=(INTERNAL,))


def carries_all(route: Route, submission: Submission, recipients: int) -> str:
    return ""


def legs(
    message: Message, settings: Settings = SETTINGS, lane: str = "transactional", **fields: Any
) -> tuple[Leg, ...]:
    return Router(settings, carries_all).legs(submission_of(message, **fields), message, lane)


def test_recipients_with_the_same_routes_share_a_leg() -> None:
    message = message_of("a@example.org", "b@example.com", "c@mail.example.org", "d@example.com")
    assert legs(message) == (
        Leg(recipients=(0, 2), routes=("exchange", "sendgrid")),
        Leg(recipients=(1, 3), routes=("sendgrid",)),
    )


def test_suppressed_recipient_is_in_no_leg() -> None:
    message = message_of("a@example.org", "b@example.com")
    assert legs(message, suppressed={0: "bounced"}) == (Leg(recipients=(1,), routes=("sendgrid",)),)
    assert legs(message, suppressed={0: "bounced", 1: "complained"}) == ()


def test_route_that_may_not_send_for_the_sender_is_left_out() -> None:
    message = message_of("a@example.org", sender=Address(email="shop@example.com"))
    assert legs(message) == (Leg(recipients=(0,), routes=("sendgrid",)),)


def test_leg_without_a_route_is_explained() -> None:
    settings = settings_of(EXCHANGE)
    message = message_of(sender=Address(email="shop@example.com"))
    assert legs(message, settings) == (Leg(recipients=(0,), routes=()),)
    assert Router(settings, carries_all).refusals(submission_of(message), message, "transactional") == {
        "exchange": "route exchange may not send for this From address"
    }


def test_pinned_route_replaces_the_rules() -> None:
    message = message_of("a@example.org", "b@example.com")
    assert legs(message, route="bulk") == (Leg(recipients=(0, 1), routes=("bulk",)),)
    assert legs(message, route="gone") == (Leg(recipients=(0, 1), routes=()),)


def test_capabilities_are_checked_for_each_leg() -> None:
    def carries_one(route: Route, submission: Submission, recipients: int) -> str:
        return "too many" if recipients > 1 and route.name == "sendgrid" else ""

    message = message_of("a@example.org", "b@example.com", "c@example.org")
    found = Router(SETTINGS, carries_one).legs(submission_of(message), message, "transactional")
    assert found == (Leg(recipients=(0, 2), routes=("exchange",)), Leg(recipients=(1,), routes=("sendgrid",)))


BIG = submission_of(size=1000)


@pytest.mark.parametrize(
    ("when", "applies"),
    [
        (When(), True),
        (When(sender_domains=("example.org",)), True),
        (When(sender_domains=("EXAMPLE.org",)), True),
        (When(sender_domains=("*.org",)), True),
        (When(sender_domains=("ample.org",)), False),
        (When(sender_domains=("*.example.org",)), False),
        (When(recipient_domains=("example.com", "example.net")), True),
        (When(recipient_domains=("example.net",)), False),
        (When(lanes=("bulk",)), True),
        (When(lanes=("transactional",)), False),
        (When(clients=("shop",)), True),
        (When(clients=("crm",)), False),
        (When(min_bytes=1000), True),
        (When(min_bytes=1001), False),
        (When(max_bytes=1000), True),
        (When(max_bytes=999), False),
        (When(min_bytes=1, clients=("crm",)), False),
    ],
)
def test_rule_applies_when_all_its_conditions_hold(when: When, applies: bool) -> None:
    settings = settings_of(SENDGRID, BULK, rules=(Rule(routes=("bulk",), when=when),))
    (leg,) = Router(settings, carries_all).legs(BIG, message_of(), "bulk")
    assert leg.routes == (("bulk",) if applies else ("sendgrid",))


@pytest.mark.parametrize(
    ("pattern", "email", "admits"),
    [
        ("*", "anybody@example.com", True),
        ("ada@example.com", "Ada@Example.com", True),
        ("ADA@example.com", "ada@example.com", True),
        ("ada@example.com", "bada@example.com", False),
        ("*@example.com", "ada@example.com", True),
        ("*@example.com", "ada@mail.example.com", False),
        ("*@example.com", "ada@badexample.com", False),
        ("*@", "ada@example.com", False),
        ("example.com", "ada@example.com", False),
        ("", "ada@example.com", False),
    ],
)
def test_pattern_matches_address(pattern: str, email: str, admits: bool) -> None:
    assert routing.matches(pattern, email) is admits
    route = Route(name="r", provider="smtp", senders=("other@example.net", pattern))
    assert routing.may_send_for(route, Address(email=email)) is admits
