"""A request of many messages is accepted with one write and fanned out later, each message once."""

from collections import Counter
from datetime import timedelta

import pytest

from relay.acceptance.acceptance import LaneGroup, Prepared
from relay.core import entries, ids
from relay.core.errors import Refusal, UnreadableEntry
from relay.core.model import Address, Message, Submission
from tests.api.harness import Harness

QUEUE = "relay-transactional"
MANY = 70
"""Three entries: an entry holds 32 messages."""


async def accept(relay: Harness, count: int = MANY, *, batch: str | None = None, text: str = "hi") -> list[str]:
    """Accept `count` messages, each to a different address. Returns their ids."""
    client = await relay.relay.clients.get("app")
    submissions = [
        Submission(
            client="app",
            client_id="c1",
            expires_at=relay.clock() + timedelta(days=1),
            message=Message(
                sender=Address(email="app@example.com"),
                to=(Address(email=f"r{number}@example.org"),),
                subject="s",
                text=text,
            ),
            size=len(text),
        )
        for number in range(count)
    ]
    batch = batch or ids.new_batch_id()
    accepted = await relay.relay.acceptance.accept_together(
        client, [LaneGroup(lane="transactional", submissions=submissions)], batch
    )
    return [one.id for one in accepted]


async def caught(relay: Harness) -> Counter[str]:
    """Count the sent mails by message id."""
    return Counter([mail.message async for mail in relay.relay.inbox.all()])


async def test_many_messages_are_written_as_one_entry_and_one_blob(relay: Harness) -> None:
    names = await accept(relay)
    assert (relay.queues.calls["put"], relay.blobs.calls["put"], relay.waiting) == (1, 1, 1)
    await relay.deliver()
    assert await caught(relay) == Counter(names)
    assert [(await relay.status(name))["state"] for name in names] == ["sent"] * MANY
    assert not (await relay.memory.blobs.list("content"))[0]


async def test_batch_that_fits_an_entry_needs_no_blob(relay: Harness) -> None:
    names = await accept(relay, 32)
    assert (relay.queues.calls["put"], relay.blobs.calls["put"]) == (1, 0)
    await relay.deliver()
    assert await caught(relay) == Counter(names)


async def test_large_messages_are_stored_in_separate_blobs(relay: Harness) -> None:
    names = await accept(relay, 20, text="x" * 60_000)
    assert (relay.queues.calls["put"], relay.blobs.calls["put"]) == (1, 20)
    await relay.deliver()
    assert await caught(relay) == Counter(names)


@pytest.mark.parametrize("port", ["queues", "blobs"])
async def test_unavailable_storage_accepts_nothing(relay: Harness, port: str) -> None:
    getattr(relay, port).is_away = True
    with pytest.raises(Refusal) as refused:
        await accept(relay)
    assert (refused.value.status, relay.waiting) == (503, 0)


async def test_ids_are_reported_before_anything_is_durable(relay: Harness) -> None:
    client = await relay.relay.clients.get("app")
    reported: list[str] = []

    async def reserve(prepared: Prepared) -> None:
        assert relay.waiting == 0
        reported.extend(each.id for each in prepared.accepted)

    submission = Submission(
        client="app", client_id="c1", expires_at=relay.clock(), message=Message(sender=Address(email="a@b.example"))
    )
    accepted = await relay.relay.acceptance.accept_together(
        client,
        [LaneGroup(lane="transactional", submissions=[submission])],
        ids.new_batch_id(),
        reserve=reserve,
    )
    assert reported == [accepted[0].id]


async def test_repeated_request_changes_nothing(relay: Harness) -> None:
    batch = ids.new_batch_id()
    first = await accept(relay, batch=batch)
    await relay.deliver()
    assert await accept(relay, batch=batch) == first
    await relay.deliver()
    assert await caught(relay) == Counter(first)


@pytest.mark.parametrize("puts", [0, 1, 2])
async def test_crash_during_fan_out_loses_and_duplicates_nothing(relay: Harness, puts: int) -> None:
    names = await accept(relay)
    (entry,) = await relay.memory.queues.receive(QUEUE, lease_seconds=1)
    relay.queues.most["put"] = relay.queues.calls["put"] + puts
    with pytest.raises(Exception, match="away"):
        # Storage takes neither all entries nor this one back: as if the process had died here.
        await relay.relay.delivery.deliver(QUEUE, entry.body)
    relay.queues.most.clear()
    relay.clock.move(2)
    await relay.deliver()
    assert await caught(relay) == Counter(names)


async def test_crash_after_fan_out_duplicates_nothing(relay: Harness) -> None:
    names = await accept(relay)
    (entry,) = await relay.memory.queues.receive(QUEUE, lease_seconds=1)
    await relay.relay.delivery.deliver(QUEUE, entry.body)
    relay.clock.move(2)
    await relay.deliver()
    assert await caught(relay) == Counter(names)


async def test_unavailable_storage_puts_the_entry_back(relay: Harness) -> None:
    names = await accept(relay)
    relay.blobs.is_away = True
    assert await relay.deliver() == 1
    relay.blobs.is_away = False
    relay.clock.move(60)
    await relay.deliver()
    assert await caught(relay) == Counter(names)


async def test_poison_fan_out_entry_still_delivers_each_batch(relay: Harness) -> None:
    names = await accept(relay)
    (entry,) = await relay.memory.queues.receive(QUEUE)
    await relay.memory.queues.delete(QUEUE, entry)
    await relay.relay.poison.record_dead_letters(QUEUE, entry.body)
    await relay.deliver()
    assert await caught(relay) == Counter(names)


def test_fan_out_entry_has_its_documented_format() -> None:
    body = b'{"relay":1,"fan_out":"20260301/0195","lane":"bulk"}'
    entry = entries.decode_entry(body)
    assert entry == entries.FanOutEntry(relay=1, fan_out="20260301/0195", lane="bulk")
    assert entries.encode_fan_out("20260301/0195", "bulk") == body
    with pytest.raises(UnreadableEntry):
        entries.decode_entry(b'{"relay":1,"fan_out":7,"lane":"bulk"}')
