"""Sightings on their way into the journal: durable first, matched, once each, and nothing left out by a death in between."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core import entries, ids
from relay.core.errors import Unavailable, UnreadableEntry
from relay.core.events import MessageEvent, RecordedEvent, fates
from relay.core.model import Attempt, MessageStatus, Part, State
from relay.events.apply import Events
from relay.events.observation import QUEUE, Entry, ProviderEvent, decode, encode, pack
from tests.doubles import START, Place, batch_of, entry_of, message_of, submission_of

SAMPLES = Path(__file__).parents[2] / "samples"


class Following:
    """Keeps what it is told, after failing as often as asked."""

    def __init__(self) -> None:
        self.noted: list[MessageEvent] = []
        self.failures = 0

    async def follow(self, noted: Sequence[MessageEvent]) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("away")
        self.noted += noted


@pytest.fixture
def following() -> Following:
    return Following()


@pytest.fixture
def events(place: Place, following: Following) -> Events:
    return Events(
        journal=place.journal,
        queues=place.storage.queues,
        dead_letters=place.dead_letters,
        followers=(following,),
        content=place.content.stored,
        sleep=place.time.sleep,
    )


ATTEMPTS = (
    Attempt(number=1, route="main", provider="sendgrid", at=START, outcome="deferred"),
    Attempt(number=2, route="main", provider="sendgrid", at=START + timedelta(minutes=5), outcome="sent"),
)


async def recorded(place: Place, *to: str, count: int = 1) -> list[str]:
    """A batch in the journal; the ids of its messages."""
    body = entry_of(*(submission_of(message_of(*(to or ("ada@example.org",)))) for _ in range(count)))
    entry = batch_of(body)
    part = Part(route="main", state=State.SENT, attempt=2, attempts=ATTEMPTS)
    record = await place.journal.open(entry, body, [MessageStatus(parts=(part,))] * count)
    return [record.message_id(index, entry) for index in range(count)]


def sighting(message: str, kind: str = "delivered", **fields: Any) -> ProviderEvent:
    values = {"key": f"{kind}-1", "recipient": "ada@example.org", "at": START + timedelta(minutes=9), **fields}
    return ProviderEvent(kind=kind, provider="sendgrid", message=message, **values)


async def story(place: Place, name: str) -> list[RecordedEvent]:
    return list((await place.journal.story(ids.parse(name).batch))[1])


async def apply(place: Place, events: Events, *found: ProviderEvent) -> None:
    """Take them in and apply what is on the queue now."""
    await events.take(found)
    await drain(place, events)


async def drain(place: Place, events: Events) -> None:
    while received := await place.memory.queues.receive(QUEUE, limit=32):
        for entry in received:
            await events.apply(entry.body, is_redelivery=entry.dequeue_count > 1)
            await place.memory.queues.delete(QUEUE, entry)


# ── the entry ──


def sample() -> Entry:
    name = "msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735"
    whole = sighting(
        name,
        "bounced",
        attempt=2,
        code="5.1.1",
        bounce_class="address",
        reply="550 5.1.1 no such user",
        client="shop",
        raw='{"event":"bounce"}',
    )
    return Entry(relay=1, sightings=(whole, sighting(name)), again=True)


def test_entries_are_read_and_written_as_ever() -> None:
    kept = (SAMPLES / "events-entry-1.json").read_bytes()
    assert encode(sample()) == kept.strip()
    assert decode(kept) == sample()
    # The host copies top-level fields over the trigger's metadata, but no arrays.
    assert {key for key, value in json.loads(kept).items() if not isinstance(value, list)} == {"relay", "again"}


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"relay":2,"sightings":[]}', b'{"relay":1,"sightings":[{}]}', b"\xff"]
)
def test_what_is_no_entry_is_not_read(body: bytes) -> None:
    with pytest.raises(UnreadableEntry):
        decode(body)


@given(st.lists(st.text(max_size=9_000).map(lambda text: sighting("m", reply=text[:1_000], raw=text)), max_size=30))
def test_packing_loses_nothing_and_every_entry_fits(found: list[ProviderEvent]) -> None:
    packed = list(pack(found))
    assert [each for body in packed for each in decode(body).sightings] == found
    assert all(entries.weight(body) <= entries.MAX_ENTRY_BYTES for body in packed)


def test_what_grows_too_large_on_its_way_is_cut() -> None:
    [body] = pack([sighting("m", reply="<" * 1_000, raw="&" * 12_000)])
    assert entries.weight(body) <= entries.MAX_ENTRY_BYTES
    assert decode(body).sightings[0].raw == "&" * 1_000


# ── applying ──


async def test_an_event_comes_into_the_journal_of_its_message(
    place: Place, events: Events, following: Following
) -> None:
    names = await recorded(place, count=2)
    await apply(place, events, sighting(names[1], code="2.0.0", raw="{}"))
    [event] = await story(place, names[0])
    assert (event.index, event.kind, event.code, event.raw, event.attempt) == (1, "delivered", "2.0.0", "{}", 2)
    [noted] = following.noted
    assert (noted.message, noted.client, noted.is_ours, noted.event) == (names[1], "shop", True, event)


async def test_many_events_of_a_batch_cost_one_query_and_one_row(place: Place, events: Events) -> None:
    names = await recorded(place, count=32)
    found = [
        sighting(name, kind, key=f"{kind}-{name}") for name in names for kind in ("processed", "delivered", "opened")
    ]
    await events.take(found)
    place.tables.calls.clear()
    await drain(place, events)
    assert place.tables.calls == {"query": 1, "upsert": 1}
    assert len(await story(place, names[0])) == 96


async def test_long_events_take_several_rows(place: Place, events: Events) -> None:
    [name] = await recorded(place)
    found = [sighting(name, key=f"k{number}", raw="請" * 8_000) for number in range(7)]
    await apply(place, events, *found)
    assert {event.key for event in await story(place, name)} == {f"k{number}" for number in range(7)}


async def test_two_that_write_the_same_make_one_of_it(place: Place, events: Events) -> None:
    [name] = await recorded(place)
    first, second = [pack([sighting(name, key=key), sighting(name, key="both")]) for key in ("a", "b")]
    [one], [other] = list(first), list(second)
    place.tables.before("upsert", lambda: events.apply(other))
    await events.apply(one)
    assert sorted(event.key for event in await story(place, name)) == ["a", "b", "both"]


async def test_an_event_that_is_known_is_not_followed_again(place: Place, events: Events, following: Following) -> None:
    [name] = await recorded(place)
    await apply(place, events, sighting(name), sighting(name))
    await apply(place, events, sighting(name))
    assert len(await story(place, name)) == len(following.noted) == 1


async def test_a_death_between_record_and_follow_leaves_nothing_out(
    place: Place, events: Events, following: Following
) -> None:
    [name] = await recorded(place)
    following.failures = 1
    await apply(place, events, sighting(name))
    assert len(await story(place, name)) == 1
    assert following.noted == []
    [body] = place.memory.queues.bodies(QUEUE)
    assert decode(body).again
    place.time.move(60)
    await drain(place, events)
    assert len(following.noted) == 1


async def test_an_entry_that_the_host_gives_out_again_is_followed_again(
    place: Place, events: Events, following: Following
) -> None:
    [name] = await recorded(place)
    [body] = pack([sighting(name)])
    await events.apply(body)
    await events.apply(body, is_redelivery=True)
    assert len(following.noted) == 2
    assert len(await story(place, name)) == 1


@pytest.mark.parametrize("operation", ["query", "upsert"])
async def test_an_entry_is_put_back_when_storage_is_away(place: Place, events: Events, operation: str) -> None:
    [name] = await recorded(place)
    place.tables.fail(operation, Unavailable("away"))
    await apply(place, events, sighting(name))
    place.time.move(60)
    await drain(place, events)
    assert len(await story(place, name)) == 1


async def test_nothing_is_taken_when_the_queue_is_away(place: Place, events: Events) -> None:
    place.queues.fail("put", Unavailable("away"))
    with pytest.raises(Unavailable):
        await events.take([sighting("m")])


async def test_who_does_not_know_the_id_changes_nothing(place: Place, events: Events, following: Following) -> None:
    [name] = await recorded(place)
    forged = ids.parse(name)
    strangers = [
        str(ids.MessageId(batch=forged.batch, index=0, mac="0" * 16)),
        str(ids.MessageId(batch=forged.batch, index=7, mac=forged.mac)),
        str(ids.MessageId(batch="0" * 32, index=0, mac=forged.mac)),
        "msg_x",
        "",
    ]
    await apply(place, events, *(sighting(each) for each in strangers))
    assert await story(place, name) == []
    assert following.noted == []


async def test_what_a_client_tells_counts_for_its_own_messages(place: Place, events: Events) -> None:
    [name] = await recorded(place)
    await apply(place, events, sighting(name, client="other"))
    assert await story(place, name) == []
    await apply(place, events, sighting(name, client="shop"))
    assert len(await story(place, name)) == 1


async def test_a_recipient_of_another_name_is_recorded_and_not_ours(
    place: Place, events: Events, following: Following
) -> None:
    [name] = await recorded(place)
    await apply(place, events, sighting(name, recipient="forwarded@elsewhere.example"))
    assert len(await story(place, name)) == 1
    assert not following.noted[0].is_ours


@pytest.mark.parametrize(
    ("fields", "attempt"),
    [
        ({"attempt": 1}, 1),
        ({}, 2),
        ({"at": START + timedelta(minutes=1)}, 1),
        ({"at": START - timedelta(minutes=1)}, 0),
    ],
)
async def test_the_attempt_is_told_or_follows_from_the_time(
    place: Place, events: Events, fields: dict[str, Any], attempt: int
) -> None:
    [name] = await recorded(place)
    await apply(place, events, sighting(name, **fields))
    assert [event.attempt for event in await story(place, name)] == [attempt]


async def test_what_cannot_be_read_is_kept(place: Place, events: Events) -> None:
    await events.apply(b"{}")
    await events.apply_poison(b"{}")
    [kept], _ = await place.memory.blobs.list("unreadable")
    assert await place.memory.blobs.get("unreadable", kept.name) == b"{}"


async def test_a_poison_entry_costs_only_what_poisons_it(place: Place, events: Events, following: Following) -> None:
    names = await recorded(place, count=3)
    [body] = pack([sighting(name) for name in names])
    # The first of them meets a bug, the second an outage that passes.
    place.tables.fail("query", ZeroDivisionError(), Unavailable("away"))
    await events.apply_poison(body)
    assert [noted.message for noted in following.noted] == names[1:]
    [kept], _ = await place.memory.blobs.list("unreadable")
    left = decode(await place.memory.blobs.get("unreadable", kept.name))
    assert [each.message for each in left.sightings] == names[:1]


async def test_a_poison_entry_waits_for_storage(place: Place, events: Events) -> None:
    [name] = await recorded(place)
    [body] = pack([sighting(name)])
    place.tables.fail("query", *(Unavailable("away") for _ in range(9)))
    await events.apply_poison(body)
    [waiting] = place.memory.queues.bodies(QUEUE)
    assert decode(waiting).again


KINDS = ["processed", "deferred", "delivered", "bounced", "complained", "opened", "clicked", "unsubscribed"]


@given(st.data())
async def test_any_order_and_any_repetition_end_the_same(data: st.DataObject) -> None:
    """The journal after any course of posts is the journal after one, and so is each recipient's state."""
    from tests.doubles import place_of

    place, ordered = await place_of(), await place_of()
    people = ["ada@example.org", "bob@example.org"]
    kinds = data.draw(
        st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(people), st.integers(1, 3)), min_size=1)
    )

    async def told(where: Place, course: list[tuple[str, str, int]]) -> list[RecordedEvent]:
        following = Following()
        events = Events(
            journal=where.journal,
            queues=where.storage.queues,
            dead_letters=where.dead_letters,
            followers=(following,),
            content=where.content.stored,
            sleep=where.time.sleep,
        )
        body = entry_of(submission_of(message_of(*people)), batch="019ca966a7fa7a3b8c4d5e6f70819203")
        part = Part(route="main", state=State.SENT, attempt=2, attempts=ATTEMPTS)
        record = await where.journal.open(batch_of(body), body, [MessageStatus(parts=(part,))])
        name = record.message_id(0, batch_of(body))
        for kind, recipient, number in course:
            key = f"{kind}-{recipient}-{number}"
            seen = sighting(name, kind, recipient=recipient, key=key, at=START + timedelta(minutes=number))
            await apply(where, events, seen)
        assert {each.event.key for each in following.noted} == {f"{k}-{r}-{n}" for k, r, n in course}
        return await story(where, name)

    shuffled = data.draw(st.permutations([*kinds, *data.draw(st.lists(st.sampled_from(kinds)))]))
    once, often = await told(ordered, kinds), await told(place, shuffled)
    assert {event.key: event for event in often} == {event.key: event for event in once}
    assert fates(often) == fates(once)
