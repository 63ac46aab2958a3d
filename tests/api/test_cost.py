"""Storage operations per message: a change that makes messages more expensive fails here."""

import asyncio
from collections import Counter

import pytest

from tests.api.harness import BASE, Harness, message


def spent(relay: Harness, before: tuple[Counter[str], ...]) -> dict[str, int]:
    """Operations of each kind since `before`."""
    now = counts(relay)
    names = ("queues", "tables", "blobs")
    return {
        f"{name} {call}": count
        for name, mine, theirs in zip(names, now, before, strict=True)
        for call, count in sorted((mine - theirs).items())
    }


def counts(relay: Harness) -> tuple[Counter[str], ...]:
    return tuple(Counter(port.calls) for port in (relay.queues, relay.tables, relay.blobs))


async def warm(relay: Harness) -> None:
    """One message through everything, so that clients, keys and routes are known."""
    await relay.send(subject="warm")
    await relay.deliver()


@pytest.mark.parametrize("messages", [1, 16, 32])
async def test_concurrent_submissions_cost_one_put(relay: Harness, messages: int) -> None:
    await warm(relay)
    before = counts(relay)
    await asyncio.gather(*(relay.send(subject=f"number {number}") for number in range(messages)))
    assert spent(relay, before) == {"queues put": 1}


@pytest.mark.parametrize("messages", [1, 32])
async def test_delivery_of_a_batch_costs_two_journal_writes(relay: Harness, messages: int) -> None:
    await warm(relay)
    await asyncio.gather(*(relay.send(subject=f"number {number}") for number in range(messages)))
    before = counts(relay)
    await relay.deliver()
    # Two blobs a message are the local inbox's, not Relay's.
    assert spent(relay, before) == {"tables insert": 1, "tables merge": 1, "blobs put": 2 * messages}


async def test_large_content_costs_one_more_blob(relay: Harness) -> None:
    await warm(relay)
    before = counts(relay)
    await relay.send(text="x" * 100_000)
    assert spent(relay, before) == {"blobs put": 1, "queues put": 1}


async def test_deferral_of_a_batch_costs_one_row_and_one_entry(relay: Harness) -> None:
    await warm(relay)
    await asyncio.gather(*(relay.send(to=f"deferred+{number}@relay.test") for number in range(16)))
    before = counts(relay)
    await relay.deliver()
    assert spent(relay, before) == {"queues put": 1, "tables insert": 1, "tables merge": 1, "tables upsert": 1}


async def test_status_costs_one_query(relay: Harness) -> None:
    name = await relay.send()
    await relay.deliver()
    before = counts(relay)
    await relay.status(name)
    assert spent(relay, before) == {"tables query": 1}


async def test_idempotency_key_costs_one_read_and_two_writes(relay: Harness) -> None:
    await warm(relay)
    before = counts(relay)
    message = {"from": "a@example.com", "to": "b@example.com", "subject": "s", "text": "t"}
    await relay.call("POST", "/v1/messages", json=message, headers={"Idempotency-Key": "k"})
    assert spent(relay, before) == {"queues put": 1, "tables get": 1, "tables insert": 1, "tables merge": 1}


async def test_only_workflow_requests_pay_for_a_derived_key(relay: Harness) -> None:
    await warm(relay)
    said = {"x-ms-workflow-run-id": "r", "x-ms-workflow-operation-name": "Send_mail", "x-ms-client-request-id": "c"}
    before = counts(relay)
    await relay.call("POST", "/v1/messages", json=message(), headers=said)
    assert spent(relay, before) == {"queues put": 1}
    before = counts(relay)
    await relay.call("POST", "/v1/messages", json=message(), headers={**said, "x-ms-action-tracking-id": "t"})
    assert spent(relay, before) == {"queues put": 1, "tables get": 1, "tables insert": 1, "tables merge": 1}


async def test_each_poll_costs_one_query(relay: Harness) -> None:
    await warm(relay)
    begun = await relay.call("POST", "/v1/messages?wait=delivered", json=message())
    await relay.deliver()
    before = counts(relay)
    await relay.call("GET", begun.headers["location"].removeprefix(BASE), client=None)
    assert spent(relay, before) == {"tables query": 1}
