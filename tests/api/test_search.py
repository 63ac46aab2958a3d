"""Search through the index: by everything at once, after an erasure, after the retention, and at which cost."""

from typing import Any

import pytest

from relay.platform.storage.ports import Query, every_row
from tests.api.harness import BASE, Harness
from tests.api.test_cost import counts, spent


async def subjects(relay: Harness, query: str, client: str = "app") -> list[str]:
    """Return the subjects of all messages that a search finds."""
    found: list[str] = []
    path = f"/v1/messages?{query}"
    while path:
        response = await relay.call("GET", path, client=client)
        assert response.status == 200, response.body
        found += [each["subject"] for each in response.json["value"]]
        path = response.json.get("next_link", "").removeprefix(BASE)
    return found


@pytest.fixture
async def filled(relay: Harness) -> Harness:
    """Two clients' messages, indexed."""
    await relay.add_client("other")
    mails: list[tuple[str, dict[str, Any]]] = [
        ("app", {"subject": "Invoice one", "tags": ["invoice"], "metadata": {"order": "1"}}),
        ("app", {"subject": "Invoice two", "to": "rejected@relay.test"}),
        ("other", {"subject": "Invoice three"}),
    ]
    for client, fields in mails:
        await relay.send(client, **fields)
        await relay.deliver()
        relay.clock.move(60)
    relay.clock.move(900)
    await relay.relay.search_indexing.run()
    return relay


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("subject=invoice", ["Invoice two", "Invoice one"]),
        ("subject=invoice&state=failed", ["Invoice two"]),
        (
            "subject=invoice&recipient=@example.org&tag=invoice&metadata=order%3D1&from=orders@example.com",
            ["Invoice one"],
        ),
        ("subject=one+two", []),
        ("recipient=nobody@example.org", []),
    ],
)
async def test_search_combines_index_and_current_state(filled: Harness, query: str, found: list[str]) -> None:
    assert await subjects(filled, query) == found


async def test_search_shows_a_client_its_own_messages_alone(filled: Harness) -> None:
    assert await subjects(filled, "subject=invoice", "other") == ["Invoice three"]
    assert len(await subjects(filled, "subject=invoice", "boss")) == 3


async def test_message_that_is_not_indexed_yet_is_found(filled: Harness) -> None:
    await filled.send(subject="Invoice four")
    await filled.deliver()
    filled.clock.move(1)
    assert await subjects(filled, "subject=invoice") == ["Invoice four", "Invoice two", "Invoice one"]


async def rows(relay: Harness) -> int:
    """Count the rows of terms."""
    query = Query(partition_from="terms", partition_before="termt")
    return len([row async for row in every_row(relay.relay.storage.tables, "search", query)])


async def test_erasure_and_purge_delete_from_the_index(filled: Harness) -> None:
    before = await rows(filled)
    erased = await filled.call("POST", "/v1/erase", json={"recipient": "rejected@relay.test"}, client="boss")
    assert erased.json["erased"] == 1
    filled.clock.move(600)
    await filled.relay.search_indexing.run()
    assert 0 < await rows(filled) < before
    assert await subjects(filled, "subject=two") == []
    filled.clock.move(40 * 86_400)
    await filled.relay.purge.run()
    assert await rows(filled) == 0


async def test_search_of_two_weeks_costs_few_operations(filled: Harness) -> None:
    filled.clock.move(13 * 86_400)
    await filled.relay.search_indexing.run()
    before = counts(filled)
    assert await subjects(filled, "subject=invoice&tag=invoice&since=2026-02-20T00:00:00Z") == ["Invoice one"]
    # Three times sixteen shards are scanned, of what is not indexed: the last minutes, and before the first message.
    # A window of two days costs one query, and one for each term.
    assert spent(filled, before)["tables query"] <= 80


async def test_indexing_costs_a_row_for_a_bucket_of_a_slice_and_nothing_for_a_message(relay: Harness) -> None:
    for number in range(64):
        await relay.send(subject=f"Invoice {number}")
    await relay.deliver()
    relay.clock.move(900)
    await relay.relay.search_indexing.run()
    await relay.send(subject="Invoice")
    await relay.deliver()
    for number in range(32):
        await relay.send(subject=f"Invoice {number}")
    await relay.deliver()
    relay.clock.move(600)
    before = counts(relay)
    await relay.relay.search_indexing.run()
    cost = spent(relay, before)
    # Rows: one for each bucket that a term of the slice falls into. Queries: the hours, twice the names of an hour's
    # shards, and the records of the slice and of that before, in which a record has come late.
    assert cost["tables upsert"] <= 80
    assert cost["tables query"] <= 65
