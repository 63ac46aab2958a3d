"""Deliveries over the Graph and ACS providers: verified lost responses, and late failures."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import aiohttp
import pytest

from relay.core.model import Address, Attachment, DeliveryGuarantee, Message, State
from relay.core.parts.attempt_results import VERIFY_DELAY_SECONDS
from relay.core.settings import Route
from relay.platform.resources import ATTACHMENTS_CONTAINER
from relay.providers.acs import provider as acs
from relay.providers.contract import Provider, ProviderContext
from relay.providers.graph.settings import default_paces
from standins.acs.server import DEFAULT_KEY, AcsStandIn
from standins.graph.server import GraphStandIn
from tests.doubles import Clock, Place, message_of, place_of, settings_of, submission_of
from tests.http_clients import http_client
from tests.send_requests import Secret
from tests.unit.providers.graph import graph_route

MAILBOX = "shop@example.org"


async def over(provider: Provider, route: Route, clock: Clock) -> Place:
    """Return a Relay whose only route uses this provider."""
    place = await place_of(settings_of(route), clock)
    place.scripted["main"] = cast(Any, provider)
    return place


async def state_of(place: Place, batch: str) -> State:
    return (await place.journal.read(batch)).statuses[0].state


@pytest.fixture
async def exchange() -> AsyncIterator[graph_route.Place]:
    async with graph_route.place(mailboxes=[MAILBOX]) as opened:
        yield opened


async def message_with_file(place: Place, size: int) -> Message:
    """Return a message whose attachment is in a blob, like uploaded ones."""
    await place.blobs.put(ATTACHMENTS_CONTAINER, "file", bytes(size))
    return message_of(attachments=(Attachment(name="a", blob="file", size=size),))


def route_of(**fields: Any) -> Route:
    return Route(name="main", provider="graph", **fields)


@pytest.mark.parametrize("delivery", [DeliveryGuarantee.AT_LEAST_ONCE, DeliveryGuarantee.AT_MOST_ONCE])
@pytest.mark.parametrize("size", [10, 4_000_000], ids=["one request", "a draft"])
async def test_lost_graph_response_is_not_sent_twice(
    exchange: graph_route.Place, delivery: DeliveryGuarantee, size: int
) -> None:
    place = await over(exchange.route(), route_of(), Clock())
    exchange.standin.script.cut_after_accept()
    message = await message_with_file(place, size)
    batch = await place.send(submission_of(message, delivery=delivery))
    assert await state_of(place, batch) is State.DEFERRED
    place.time.move(2 * VERIFY_DELAY_SECONDS + 1)
    await place.work()
    assert (await state_of(place, batch), exchange.standin.inbox.accepted) == (State.SENT, 1)


async def test_unsent_draft_is_sent_by_the_next_attempt(exchange: graph_route.Place) -> None:
    place = await over(exchange.route(), route_of(), Clock())
    exchange.standin.script.respond(504, operation="send.draft")
    message = await message_with_file(place, 4_000_000)
    batch = await place.send(submission_of(message, delivery=DeliveryGuarantee.AT_MOST_ONCE))
    place.time.move(61)
    await place.work()
    assert (await state_of(place, batch), exchange.standin.inbox.accepted) == (State.SENT, 1)
    assert exchange.folder("drafts", MAILBOX) == []


async def test_mailbox_rate_limit_is_kept(exchange: graph_route.Place) -> None:
    place = await over(exchange.route(), route_of(paces=default_paces({})), Clock())
    await place.send(*[submission_of() for _ in range(32)])
    assert exchange.standin.inbox.accepted == 6
    for _ in range(60):
        place.time.move(1)
        await place.work()
    # The burst, and one each two and a half seconds; never more than thirty in a minute.
    assert exchange.standin.inbox.accepted == 30
    place.time.move(10)
    await place.work()
    assert exchange.standin.inbox.accepted == 32


async def test_sender_without_a_mailbox_is_held_alone(exchange: graph_route.Place) -> None:
    place = await over(exchange.route(), route_of(), Clock())
    held = await place.send(submission_of(message_of(sender=Address(email="nobody@example.org"))))
    sent = await place.send(submission_of())
    assert (await state_of(place, held), await state_of(place, sent)) == (State.HELD, State.SENT)


async def test_operation_that_fails_after_202_becomes_a_dead_letter() -> None:
    clock = Clock()
    async with AcsStandIn(clock=clock, running=timedelta(minutes=3)) as standin, http_client() as http:
        standin.suppressed = {"ada@example.com"}
        context = ProviderContext(http=http, blobs=None, secrets=Secret(DEFAULT_KEY), clock=clock, credential=None)
        provider = acs.create("main", {"endpoint": standin.url, "access_key": "setting:KEY"}, context)
        place = await over(provider, Route(name="main", provider="acs"), clock)
        bad, good = await place.send(submission_of()), await place.send(submission_of(message_of("bob@example.com")))
        assert (await state_of(place, bad), await state_of(place, good)) == (State.SENT, State.SENT)
        for _ in range(5):
            clock.move(61)
            await place.sent_checks.run()
        assert (await state_of(place, bad), await state_of(place, good)) == (State.FAILED, State.SENT)
    assert await place.dead_letters.counts() == {"suppressed": 1}
    assert [listed async for listed in place.pending.until(clock() + timedelta(days=2))] == []


async def test_graph_with_an_untrusted_certificate_is_refused() -> None:
    async with (
        GraphStandIn(authority=graph_route.AUTHORITY) as standin,
        http_client() as stranger,
        aiohttp.ClientSession() as session,
    ):
        route = graph_route.Place(standin, stranger, session).route()
        outcome = await route.send(graph_route.send_request())
    assert outcome.code == "unreachable"  # type: ignore[union-attr]  # this provider has no outcomes by recipient
