"""Everything a client can ask for takes from its rate."""

from collections.abc import Iterator
from typing import Any

import pytest

from relay.api.operation import Operation
from relay.api.operations import OPERATIONS
from relay.clients.keys import Role
from relay.clients.policy import Policy
from relay.clients.request_rate import MIN_REQUESTS, REQUESTS_PER_MESSAGE
from relay.core.settings import Pace
from relay.platform.gcra import burst_of
from tests.api.harness import BASE, Harness, message
from tests.api.sendgrid_requests import mail, to

BURST = burst_of(Pace(count=MIN_REQUESTS, seconds=60))
KEYED = [operation for operation in OPERATIONS if operation.roles is not None]


@pytest.fixture
async def limited(relay: Harness) -> Harness:
    """A relay with two clients that may send one message a minute; one is an operator."""
    await relay.add_client("limited", policy=Policy(senders=("*",), rate_per_minute=1))
    await relay.add_client("keeper", role=Role.OPERATOR, policy=Policy(rate_per_minute=1))
    return relay


async def spend_requests(relay: Harness, client: str = "limited") -> None:
    for _ in range(BURST):
        assert (await relay.call("GET", "/v1/me", client=client)).status == 200


@pytest.mark.parametrize("operation", KEYED, ids=lambda operation: operation.name)
async def test_every_operation_with_a_key_takes_from_the_rate(limited: Harness, operation: Operation) -> None:
    for client in ("limited", "keeper"):
        await spend_requests(limited, client)
        path = operation.path.replace("{", "").replace("}", "")
        refused = await limited.call(operation.method, path, client=client)
        assert refused.status == 429
        assert int(refused.headers["retry-after"]) >= 1
        limited.clock.move(120)
        assert (await limited.call(operation.method, path, client=client)).status != 429


@pytest.mark.parametrize("operation", KEYED, ids=lambda operation: operation.name)
def test_every_operation_fits_into_the_smallest_rate(operation: Operation) -> None:
    assert 1 <= operation.cost <= BURST


def submissions(**more: Any) -> Iterator[tuple[str, str, Any]]:
    yield "a dry run", "/v1/messages", message(dry_run=True)
    yield "a refused message", "/v1/messages", {"from": "nonsense"}
    yield "a sandboxed mail", "/v3/mail/send", mail(mail_settings={"sandbox_mode": {"enable": True}})
    yield "a refused mail", "/v3/mail/send", {"from": 7}
    yield "a batch of dry runs", "/v1/messages/batch", {"messages": [message(dry_run=True)]}
    yield "a batch that is refused", "/v1/messages/batch", {"messages": [{}]}


@pytest.mark.parametrize(
    ("path", "body"), [case[1:] for case in submissions()], ids=[case[0] for case in submissions()]
)
async def test_message_that_is_only_checked_takes_from_the_rate_of_messages(
    limited: Harness, path: str, body: Any
) -> None:
    first = await limited.call("POST", path, json=body, client="limited")
    second = await limited.call("POST", path, json=body, client="limited")
    assert first.status in (200, 400)
    assert (second.status, second.headers["x-ms-error-code"]) == (429, "too_many_requests")
    limited.clock.move(float(second.headers["retry-after"]) + 2)
    assert (await limited.call("POST", path, json=body, client="limited")).status == first.status


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages/batch", {"messages": [message(dry_run=True)] * 3}),
        ("/v3/mail/send", mail(personalizations=[to("a@example.org"), to("b@example.org"), to("c@example.org")])),
    ],
)
async def test_each_message_of_a_request_takes_from_the_rate(limited: Harness, path: str, body: Any) -> None:
    await limited.add_client("three", policy=Policy(senders=("*",), rate_per_minute=15))
    assert (await limited.call("POST", path, json=body, client="three")).status in (200, 202)
    assert (await limited.call("POST", path, json=body, client="three")).status == 429
    refused = await limited.call("POST", path, json=body, client="limited")
    assert (refused.status, "at most 1 of them" in refused.body.decode()) == (429, True)


async def test_signed_url_takes_from_the_rate_of_its_client(limited: Harness) -> None:
    begun = await limited.call("POST", "/v1/messages?wait=delivered", json=message(), client="limited")
    poll = begun.headers["location"].removeprefix(BASE)
    assert (await limited.call("GET", poll, client=None)).status == 202
    await spend_requests_left(limited)
    assert (await limited.call("GET", poll, client=None)).status == 429


async def spend_requests_left(relay: Harness) -> None:
    for _ in range(BURST):
        await relay.call("GET", "/v1/me", client="limited")


async def test_large_body_counts_for_its_megabytes(limited: Harness) -> None:
    await limited.call("POST", "/v1/messages", body=b" " * 10_485_760, client="limited")
    statuses = [(await limited.call("GET", "/v1/me", client="limited")).status for _ in range(BURST)]
    assert statuses.count(200) == BURST - 11


async def test_read_costs_no_storage_operation_for_its_rate(limited: Harness) -> None:
    await limited.call("GET", "/v1/me", client="limited")
    before = limited.tables.calls.copy()
    for _ in range(BURST - 2):
        await limited.call("GET", "/v1/me", client="limited")
    assert limited.tables.calls == before


async def test_client_without_a_rate_is_not_limited(relay: Harness) -> None:
    for _ in range(10 * MIN_REQUESTS):
        assert (await relay.call("GET", "/v1/me")).status == 200


async def test_requests_are_a_multiple_of_the_messages(relay: Harness) -> None:
    await relay.add_client("fast", policy=Policy(rate_per_minute=600))
    allowed = burst_of(Pace(count=600 * REQUESTS_PER_MESSAGE, seconds=60))
    statuses = [(await relay.call("GET", "/v1/me", client="fast")).status for _ in range(allowed + 1)]
    assert statuses == [200] * allowed + [429]
