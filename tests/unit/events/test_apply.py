"""Provider events: stored on the queue, matched with their messages, recorded once, and followed up even after a crash."""

import asyncio
import base64
import json
import zlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core import entries, ids
from relay.core.arrival.recipient_states import recipient_states
from relay.core.errors import Unavailable, UnreadableEntry
from relay.core.events import EventSource, MessageEvent, RecordedEvent
from relay.core.model import Attempt, MessageStatus, Part, State
from relay.events.apply import Events
from relay.events.provider_events import QUEUE, Entry, ProviderEvent, decode, encode, mark_again, pack
from tests.doubles import CLIENT, START, Place, batch_of, entry_of, message_of, submission_of

SAMPLES = Path(__file__).parents[2] / "samples"


class Following:
    """A follower that collects events, after the given number of failures."""

    def __init__(self) -> None:
        self.noted: list[MessageEvent] = []
        self.failures = 0

    async def follow(self, events: Sequence[MessageEvent]) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("away")
        self.noted += events


@pytest.fixture
def following() -> Following:
    return Following()


async def no_topic(client_id: str, group: int) -> str:
    return ""


@pytest.fixture
def events(place: Place, following: Following) -> Events:
    return process(place, following)


def process(place: Place, following: Following) -> Events:
    """Return what one process applies events with."""
    return Events(
        journal=place.journal,
        queues=place.storage.queues,
        dead_letters=place.dead_letters,
        followers=(following,),
        gets_reports=lambda *_: True,
        content=place.content.message,
        topic_of_group=no_topic,
        clock=place.time,
        sleep=place.time.sleep,
    )


ATTEMPTS = (
    Attempt(number=1, route="main", provider="sendgrid", at=START, outcome="deferred"),
    Attempt(number=2, route="main", provider="sendgrid", at=START + timedelta(minutes=5), outcome="sent"),
)


async def recorded(place: Place, *to: str, count: int = 1) -> list[str]:
    """Record a batch in the journal, and return the ids of its messages."""
    body = entry_of(*(submission_of(message_of(*(to or ("ada@example.org",)))) for _ in range(count)))
    entry = batch_of(body)
    part = Part(route="main", state=State.SENT, attempt=2, attempts=ATTEMPTS)
    record = await place.journal.open(entry, body, [MessageStatus(parts=(part,))] * count)
    return [record.message_id(index, entry) for index in range(count)]


def reported(message: str, kind: str = "delivered", **fields: Any) -> ProviderEvent:
    values = {"key": f"{kind}-1", "recipient": "ada@example.org", "at": START + timedelta(minutes=9), **fields}
    return ProviderEvent(kind=kind, provider="sendgrid", message=message, **values)


async def history(place: Place, name: str) -> list[RecordedEvent]:
    return list((await place.journal.history(ids.parse(name).batch))[1])


async def apply(place: Place, events: Events, *found: ProviderEvent) -> None:
    """Enqueue events, and apply what is on the queue now."""
    await events.enqueue(found)
    await drain(place, events)


async def drain(place: Place, events: Events) -> None:
    while received := await place.memory.queues.receive(QUEUE, limit=32):
        for entry in received:
            await events.apply(entry.body, is_redelivery=entry.dequeue_count > 1)
            await place.memory.queues.delete(QUEUE, entry)


# ── the entry ──


def sample() -> Entry:
    name = "msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735"
    whole = reported(
        name,
        "bounced",
        attempt=2,
        code="5.1.1",
        bounce_class="address",
        reply="550 5.1.1 no such user",
        client_id=CLIENT.id,
        raw='{"event":"bounce"}',
    )
    return Entry(relay=1, events=(whole, reported(name)), again=True)


def test_sample_entry_about_a_topic_round_trips() -> None:
    name = "msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735"
    about: dict[str, Any] = {"source": EventSource.RECIPIENT, "client_id": CLIENT.id, "client": "shop", "topic": "news"}
    entry = Entry(relay=1, events=(reported(name, "unsubscribed", **about), reported(name, "unsubscribed", group=12)))
    kept = (SAMPLES / "events-entry-1.1.json").read_bytes()
    assert encode(entry) == kept.strip()
    assert decode(kept) == entry


def test_sample_entry_round_trips() -> None:
    kept = (SAMPLES / "events-entry-1.json").read_bytes()
    assert encode(sample()) == kept.strip()
    assert decode(kept) == sample()
    # The host copies top-level fields over the trigger's metadata, except arrays.
    assert {key for key, value in json.loads(kept).items() if not isinstance(value, list)} == {"relay", "again"}


def test_sample_of_a_compressed_entry_is_read() -> None:
    kept = (SAMPLES / "events-entry-2.json").read_bytes()
    assert decode(kept) == Entry(relay=2, events=sample().events, again=True)
    assert {key for key, value in json.loads(kept).items() if not isinstance(value, list)} == {"relay", "again"}


def compressed(content: bytes) -> bytes:
    return b'{"relay":2,"compressed":["%s"]}' % base64.b64encode(content)


WHOLE = zlib.compress(b"[]")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"[]", b'{"relay":2,"events":[]}', b'{"relay":1,"events":[{}]}', b"\xff"),
        b'{"relay":2,"compressed":[]}',
        compressed(b"[]"),
        compressed(WHOLE[:-1]),
        compressed(zlib.compress(b"[{}]")),
        compressed(zlib.compress(b" " * 600_000 + b"[]")),
    ],
)
def test_invalid_entry_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableEntry):
        decode(body)


@given(st.lists(st.text(max_size=9_000).map(lambda text: reported("m", reply=text[:1_000], raw=text)), max_size=30))
def test_packing_keeps_every_event_and_every_entry_fits(found: list[ProviderEvent]) -> None:
    packed = list(pack(found))
    assert [each for body in packed for each in decode(body).events] == found
    assert all(entries.weight(body) <= entries.MAX_ENTRY_BYTES for body in packed)


def test_events_of_a_large_post_are_one_compressed_entry() -> None:
    found = [reported(f"msg_{number}", raw=f'{{"email":"n{number}@example.net"}}' * 10) for number in range(500)]
    [body] = pack(found)
    assert decode(body).events == tuple(found)
    assert not decode(body).again
    assert decode(mark_again(body)) == Entry(relay=2, events=tuple(found), again=True)


def test_event_that_grows_when_escaped_is_truncated() -> None:
    [body] = pack([reported("m", reply="<" * 1_000, raw="&" * 12_000)])
    assert entries.weight(body) <= entries.MAX_ENTRY_BYTES
    assert decode(body).events[0].raw == "&" * 1_000


# ── applying ──


async def test_event_is_recorded_with_its_message(place: Place, events: Events, following: Following) -> None:
    names = await recorded(place, count=2)
    await apply(place, events, reported(names[1], code="2.0.0", raw="{}"))
    [event] = await history(place, names[0])
    assert (event.index, event.kind, event.code, event.raw, event.attempt) == (1, "delivered", "2.0.0", "{}", 2)
    [noted] = following.noted
    assert (noted.message, noted.client, noted.is_ours, noted.event) == (names[1], "shop", True, event)


async def test_events_of_a_batch_cost_one_query_and_one_row(place: Place, events: Events) -> None:
    names = await recorded(place, count=32)
    found = [
        reported(name, kind, key=f"{kind}-{name}") for name in names for kind in ("processed", "delivered", "opened")
    ]
    await events.enqueue(found)
    place.tables.calls.clear()
    await drain(place, events)
    assert place.tables.calls == {"query": 1, "merge_with": 1}
    assert len(await history(place, names[0])) == 96


async def test_record_says_what_its_events_report(place: Place, events: Events) -> None:
    [name] = await recorded(place, "ada@example.org", "bob@example.org", "cleo@example.org")
    bounced = reported(name, "bounced", recipient="Bob@example.org", code="5.1.1", bounce_class="address")
    await apply(place, events, reported(name, "opened"), bounced)
    assert await record_of(place, name) == {"bounced": (1,), "delivered": (0,)}
    place.tables.calls.clear()
    await apply(place, events, bounced, reported(name, "delivered"))
    # An event that changes no arrival leaves the record alone, so that it conflicts with no other writer.
    assert place.tables.calls == {"query": 1, "upsert": 1}
    await apply(place, events, reported(name, "complained"))
    assert await record_of(place, name) == {"bounced": (1,), "complained": (0,)}


async def test_events_that_an_older_version_recorded_are_made_up_for(place: Place, events: Events) -> None:
    [name] = await recorded(place, "ada@example.org", "bob@example.org")
    known = RecordedEvent(index=0, kind="complained", at=START, key="old", recipient="ada@example.org", attempt=2)
    await place.journal.note(ids.parse(name).batch, known)
    await apply(place, events, reported(name, recipient="bob@example.org"))
    assert await record_of(place, name) == {"complained": (0,), "delivered": (1,)}


async def test_record_that_another_writer_changes_keeps_both_changes(place: Place, events: Events) -> None:
    [name] = await recorded(place)
    batch = ids.parse(name).batch

    async def settle() -> None:
        record = await place.journal.read(batch)
        failed = Part(route="main", state=State.FAILED, attempt=2, attempts=ATTEMPTS)
        await place.journal.settle(record, {0: MessageStatus(parts=(failed,))})

    place.tables.before("merge_with", settle)
    await apply(place, events, reported(name))
    [status] = (await place.journal.read(batch)).statuses
    assert (status.state, [each.word for each in status.reported]) == (State.FAILED, ["delivered"])
    assert len(await history(place, name)) == 1


async def test_events_of_a_record_that_was_purged_in_between_are_dropped(place: Place, events: Events) -> None:
    [name] = await recorded(place)

    async def purge() -> None:
        [row] = place.memory.tables.rows("journal")
        await place.memory.tables.delete("journal", row.partition, row.row)

    place.tables.before("merge_with", purge)
    await apply(place, events, reported(name))
    assert place.memory.tables.rows("journal") == []


async def record_of(place: Place, name: str) -> dict[str, tuple[int, ...]]:
    [status] = (await place.journal.read(ids.parse(name).batch)).statuses
    return {each.word: each.recipients for each in status.reported}


async def test_long_events_take_several_rows(place: Place, events: Events) -> None:
    [name] = await recorded(place)
    found = [reported(name, key=f"k{number}", raw="請" * 8_000) for number in range(7)]
    await apply(place, events, *found)
    assert {event.key for event in await history(place, name)} == {f"k{number}" for number in range(7)}


async def test_duplicates_in_two_processes_are_recorded_once(
    place: Place, events: Events, following: Following
) -> None:
    [name] = await recorded(place)
    first, second = [pack([reported(name, key=key), reported(name, key="both")]) for key in ("a", "b")]
    [one], [other] = list(first), list(second)
    place.tables.before("merge_with", lambda: process(place, following).apply(other))
    await events.apply(one)
    assert sorted(event.key for event in await history(place, name)) == ["a", "b", "both"]


async def test_entries_about_one_batch_share_its_read_and_its_write(
    place: Place, events: Events, following: Following
) -> None:
    names = await recorded(place, count=3)
    bodies = [body for name in names for body in pack([reported(name), reported(name, "opened")])]
    place.tables.calls.clear()
    await asyncio.gather(*map(events.apply, bodies))
    assert place.tables.calls == {"query": 1, "merge_with": 1}
    assert len(await history(place, names[0])) == len(following.noted) == 6


async def test_event_in_two_entries_is_followed_up_by_one_of_them(
    place: Place, events: Events, following: Following
) -> None:
    [name] = await recorded(place)
    [body] = pack([reported(name)])
    await asyncio.gather(events.apply(body), events.apply(body))
    assert len(await history(place, name)) == len(following.noted) == 1


async def test_redelivered_event_is_followed_up_although_another_entry_repeats_it(
    place: Place, events: Events, following: Following
) -> None:
    [name] = await recorded(place)
    await apply(place, events, reported(name))
    following.noted.clear()
    [body] = pack([reported(name)])
    await asyncio.gather(events.apply(body, is_redelivery=True), events.apply(body))
    assert len(following.noted) == 1


async def test_outage_ends_the_work_on_an_entry_of_many_batches(place: Place, events: Events) -> None:
    names = [name for _ in range(30) for name in await recorded(place)]
    await events.enqueue([reported(name) for name in names])
    place.tables.calls.clear()
    place.tables.failing = frozenset(("query",))
    await drain(place, events)
    assert place.tables.calls["query"] < 10
    place.tables.failing = frozenset()
    place.time.move(60)
    await drain(place, events)
    assert len([await history(place, name) for name in names]) == 30


async def test_known_event_is_not_followed_up_again(place: Place, events: Events, following: Following) -> None:
    [name] = await recorded(place)
    await apply(place, events, reported(name), reported(name))
    await apply(place, events, reported(name))
    assert len(await history(place, name)) == len(following.noted) == 1


async def test_crash_between_record_and_follow_up_loses_nothing(
    place: Place, events: Events, following: Following
) -> None:
    [name] = await recorded(place)
    following.failures = 2
    await apply(place, events, reported(name))
    assert len(await history(place, name)) == 1
    assert following.noted == []
    [body] = place.memory.queues.bodies(QUEUE)
    assert decode(body).again
    place.time.move(60)
    await drain(place, events)
    assert len(following.noted) == 1


async def test_redelivered_entry_is_followed_up_again(place: Place, events: Events, following: Following) -> None:
    [name] = await recorded(place)
    [body] = pack([reported(name)])
    await events.apply(body)
    await events.apply(body, is_redelivery=True)
    assert len(following.noted) == 2
    assert len(await history(place, name)) == 1


@pytest.mark.parametrize("operation", ["query", "merge_with"])
async def test_entry_is_put_back_while_storage_is_unavailable(place: Place, events: Events, operation: str) -> None:
    [name] = await recorded(place)
    place.tables.fail(operation, *(Unavailable("away"),) * 2)
    await apply(place, events, reported(name))
    assert await history(place, name) == []
    place.time.move(60)
    await drain(place, events)
    assert len(await history(place, name)) == 1


async def test_entry_is_put_back_at_once_while_storage_throttles(place: Place, events: Events) -> None:
    [name] = await recorded(place)
    place.tables.fail("query", Unavailable("busy", retry_after_seconds=5))
    await apply(place, events, reported(name))
    assert await history(place, name) == []


async def test_lost_connection_delays_none_of_the_entries_that_read_together(
    place: Place, events: Events, following: Following
) -> None:
    [name] = await recorded(place)
    bodies = [body for kind in KINDS[:3] for body in pack([reported(name, kind)])]
    place.tables.fail("query", Unavailable("connection lost"))
    await asyncio.gather(*(events.apply(body) for body in bodies))
    assert place.memory.queues.bodies(QUEUE) == []
    assert {event.kind for event in await history(place, name)} == {*KINDS[:3]}
    assert {noted.event.kind for noted in following.noted} == {*KINDS[:3]}


async def test_processes_that_record_events_of_one_batch_put_no_entry_back(place: Place, following: Following) -> None:
    """Each process joins its own entries; the processes race for the record."""
    names = await recorded(place, count=8)
    bodies = [body for name in names for kind in KINDS[:3] for body in pack([reported(name, kind)])]
    processes = [process(place, following) for _ in range(8)]
    await asyncio.gather(*(processes[at % 8].apply(body) for at, body in enumerate(bodies)))
    assert place.memory.queues.bodies(QUEUE) == []
    assert sum([len(await history(place, name)) for name in names[:1]]) == 24


async def test_enqueue_fails_while_the_queue_is_unavailable(place: Place, events: Events) -> None:
    place.queues.fail("put", Unavailable("away"))
    with pytest.raises(Unavailable):
        await events.enqueue([reported("m")])


async def test_event_with_a_wrong_id_changes_nothing(place: Place, events: Events, following: Following) -> None:
    [name] = await recorded(place)
    forged = ids.parse(name)
    strangers = [
        str(ids.MessageId(batch=forged.batch, index=0, mac="0" * 16)),
        str(ids.MessageId(batch=forged.batch, index=7, mac=forged.mac)),
        str(ids.MessageId(batch="0" * 32, index=0, mac=forged.mac)),
        "msg_x",
        "",
    ]
    await apply(place, events, *(reported(each) for each in strangers))
    assert await history(place, name) == []
    assert following.noted == []


async def test_client_report_applies_only_to_its_own_messages(place: Place, events: Events) -> None:
    [name] = await recorded(place)
    await apply(place, events, reported(name, client_id="other"))
    assert await history(place, name) == []
    await apply(place, events, reported(name, client_id=CLIENT.id))
    assert len(await history(place, name)) == 1


@pytest.mark.parametrize("recipient", ["ada@example.org", "forwarded@elsewhere.example", ""])
async def test_event_about_a_message_without_an_attempt_is_not_recorded(
    place: Place, events: Events, following: Following, recipient: str
) -> None:
    body = entry_of(submission_of(message_of("ada@example.org")))
    entry = batch_of(body)
    waiting = Part(route="main", state=State.SCHEDULED, due_at=START + timedelta(days=30))
    record = await place.journal.open(entry, body, [MessageStatus(parts=(waiting,))])
    name = record.message_id(0, entry)
    await apply(place, events, reported(name, "bounced", recipient=recipient))
    assert await history(place, name) == []
    assert following.noted == []


async def test_event_is_recorded_only_for_recipients_with_an_attempt(
    place: Place, events: Events, following: Following
) -> None:
    body = entry_of(submission_of(message_of("ada@example.org", "bob@example.org")))
    entry = batch_of(body)
    sent = Part(route="main", state=State.SENT, recipients=(0,), attempt=1, attempts=ATTEMPTS[:1])
    held = Part(route="main", state=State.HELD, recipients=(1,))
    record = await place.journal.open(entry, body, [MessageStatus(parts=(sent, held))])
    name = record.message_id(0, entry)
    await apply(
        place, events, *(reported(name, recipient=each, key=each) for each in ("ada@example.org", "bob@example.org"))
    )
    assert [event.recipient for event in await history(place, name)] == ["ada@example.org"]
    assert [noted.is_sole_recipient for noted in following.noted] == [False]


async def test_unknown_recipient_is_recorded_and_not_ours(place: Place, events: Events, following: Following) -> None:
    [name] = await recorded(place)
    await apply(place, events, reported(name, recipient="forwarded@elsewhere.example"))
    assert len(await history(place, name)) == 1
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
async def test_missing_attempt_is_derived_from_the_time(
    place: Place, events: Events, fields: dict[str, Any], attempt: int
) -> None:
    [name] = await recorded(place)
    await apply(place, events, reported(name, **fields))
    assert [event.attempt for event in await history(place, name)] == [attempt]


async def test_unreadable_entry_is_kept(place: Place, events: Events) -> None:
    await events.apply(b"{}")
    await events.apply_poison(b"{}")
    [kept], _ = await place.memory.blobs.list("unreadable")
    assert await place.memory.blobs.get("unreadable", kept.name) == b"{}"


async def test_poison_entry_loses_only_the_event_that_fails(place: Place, events: Events, following: Following) -> None:
    names = await recorded(place, count=3)
    [body] = pack([reported(name) for name in names])
    # The first event hits a bug, the second a short outage.
    place.tables.fail("query", ZeroDivisionError(), Unavailable("away"))
    await events.apply_poison(body)
    assert [noted.message for noted in following.noted] == names[1:]
    [kept], _ = await place.memory.blobs.list("unreadable")
    left = decode(await place.memory.blobs.get("unreadable", kept.name))
    assert [each.message for each in left.events] == names[:1]


async def test_poison_entry_is_applied_apart_from_entries_that_meet_a_bug(
    place: Place, events: Events, following: Following
) -> None:
    [name] = await recorded(place)
    [bad], [good] = list(pack([reported(name, "opened")])), list(pack([reported(name)]))
    place.tables.fail("query", None, ZeroDivisionError())
    place.tables.before("query", lambda: events.apply_poison(good))
    async with asyncio.timeout(5):
        with pytest.raises(ZeroDivisionError):
            await events.apply(bad)
    assert [noted.event.kind for noted in following.noted] == ["delivered"]


async def test_poison_entry_is_put_back_while_storage_is_unavailable(place: Place, events: Events) -> None:
    [name] = await recorded(place)
    [body] = pack([reported(name)])
    place.tables.fail("query", *(Unavailable("away") for _ in range(9)))
    await events.apply_poison(body)
    [waiting] = place.memory.queues.bodies(QUEUE)
    assert decode(waiting).again


KINDS = ["processed", "deferred", "delivered", "bounced", "complained", "opened", "clicked", "unsubscribed"]


@given(st.data())
async def test_any_order_and_repetition_give_the_same_result(data: st.DataObject) -> None:
    """Any order and repetition of events leaves the same journal and recipient states as each event once, in order."""
    from tests.doubles import place_of

    place, ordered = await place_of(), await place_of()
    people = ["ada@example.org", "bob@example.org"]
    kinds = data.draw(
        st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(people), st.integers(1, 3)), min_size=1)
    )

    async def recorded_after(where: Place, course: list[tuple[str, str, int]]) -> list[RecordedEvent]:
        following = Following()
        events = Events(
            journal=where.journal,
            queues=where.storage.queues,
            dead_letters=where.dead_letters,
            followers=(following,),
            gets_reports=lambda *_: True,
            content=where.content.message,
            topic_of_group=no_topic,
            clock=where.time,
            sleep=where.time.sleep,
        )
        body = entry_of(submission_of(message_of(*people)), batch="019ca966a7fa7a3b8c4d5e6f70819203")
        part = Part(route="main", state=State.SENT, attempt=2, attempts=ATTEMPTS)
        record = await where.journal.open(batch_of(body), body, [MessageStatus(parts=(part,))])
        name = record.message_id(0, batch_of(body))
        for kind, recipient, number in course:
            key = f"{kind}-{recipient}-{number}"
            event = reported(name, kind, recipient=recipient, key=key, at=START + timedelta(minutes=number))
            await apply(where, events, event)
        assert {each.event.key for each in following.noted} == {f"{k}-{r}-{n}" for k, r, n in course}
        return await history(where, name)

    shuffled = data.draw(st.permutations([*kinds, *data.draw(st.lists(st.sampled_from(kinds)))]))
    once, often = await recorded_after(ordered, kinds), await recorded_after(place, shuffled)
    assert {event.key: event for event in often} == {event.key: event for event in once}
    assert recipient_states(often) == recipient_states(once)


async def test_recipients_that_the_message_does_not_name_become_one_event_if_the_event_asks_for_it(
    place: Place, events: Events
) -> None:
    (name,) = await recorded(place, "ada@example.org")
    people = ("ada@example.org", "member-1@example.org", "member-2@example.org")
    found = [reported(name, key=f"k-{each}", recipient=each, unnamed_key="list") for each in people]
    forwarded = reported(name, key="forwarded", recipient="else@example.org")
    await apply(place, events, *found, forwarded)
    assert sorted((event.key, event.kind, event.recipient) for event in await history(place, name)) == [
        ("forwarded", "delivered", "else@example.org"),
        ("k-ada@example.org", "delivered", "ada@example.org"),
        ("list", "processed", ""),
    ]
