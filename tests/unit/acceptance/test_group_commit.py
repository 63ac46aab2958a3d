"""Group commit: shared entries, their limits, and failed puts."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest

from relay.acceptance.content_blobs import ContentBlobs, Element
from relay.acceptance.group_commit import GroupCommit
from relay.core import entries as wire
from relay.core import ids
from relay.core.errors import StorageError, Unavailable
from relay.platform.storage.memory.memory_storage import memory_storage
from tests.doubles import MAC_KEY, Clock, Watched, batch_id, batch_of, message_of, submission_of

QUEUE = "relay-bulk"


def elements(*texts: str) -> list[Element]:
    return [Element.of(wire.encode_submission(submission_of(message_of(text=text)))) for text in texts]


class Commits:
    """A group commit over a queue that records its puts and can delay them at a gate."""

    def __init__(self, clock: Clock, *names: str) -> None:
        storage = memory_storage(clock)
        self.memory, self.blobs = storage.queues, Watched(storage.blobs)
        self.contents = ContentBlobs(self.blobs, clock)
        self.queues = Watched(self.memory)
        self.batches: list[str] = []
        self.commit = GroupCommit(self.queues, "bulk", names or (QUEUE,), self._new_batch, self.contents.share)

    def _new_batch(self) -> str:
        self.batches.append(batch_id())
        return self.batches[-1]

    def put(self, text: str = "Hi.", key: bytes = MAC_KEY) -> asyncio.Task[str]:
        """Begin to put a submission with this text."""
        [element] = elements(text)
        return asyncio.create_task(self.commit.put(element, key))

    def gate(self) -> asyncio.Event:
        """The next put waits until this is set."""
        gate = asyncio.Event()
        self.queues.before("put", gate.wait)
        return gate

    def entries(self, queue: str = QUEUE) -> list[wire.BatchEntry]:
        return [batch_of(body) for body in self.memory.bodies(queue)]

    def texts(self) -> list[list[str | None]]:
        return [[each.message.text if each.message else None for each in entry.messages] for entry in self.entries()]


@pytest.fixture
async def commits(clock: Clock) -> Commits:
    made = Commits(clock)
    await made.memory.create(QUEUE)
    return made


async def turns(number: int = 10) -> None:
    """Let every task run as far as it can."""
    for _ in range(number):
        await asyncio.sleep(0)


# ── sharing ──


async def test_single_submission_is_put_at_once(commits: Commits) -> None:
    name = ids.parse(await commits.put("a"))
    assert commits.texts() == [["a"]]
    assert (name.batch, name.index) == (commits.batches[0], 0)
    assert ids.belongs_to(name, MAC_KEY)


async def test_concurrent_submissions_share_an_entry(commits: Commits) -> None:
    names = await asyncio.gather(*(commits.put(str(number)) for number in range(5)))
    assert commits.texts() == [["0", "1", "2", "3", "4"]]
    assert [ids.parse(name).index for name in names] == [0, 1, 2, 3, 4]


async def test_submissions_during_a_put_share_the_next_entry(commits: Commits) -> None:
    gate = commits.gate()
    first = commits.put("first")
    await turns()
    others = [commits.put(str(number)) for number in range(3)]
    await turns()
    assert commits.texts() == []
    assert not any(task.done() for task in (first, *others))
    gate.set()
    await asyncio.gather(first, *others)
    assert commits.texts() == [["first"], ["0", "1", "2"]]


async def test_each_client_has_its_own_macs(commits: Commits) -> None:
    one, other = await asyncio.gather(commits.put(key=b"1" * 32), commits.put(key=b"2" * 32))
    assert ids.belongs_to(ids.parse(one), b"1" * 32)
    assert ids.belongs_to(ids.parse(other), b"2" * 32)
    (entry,) = commits.entries()
    assert entry.macs == (ids.parse(one).mac, ids.parse(other).mac)


async def test_queues_of_a_lane_are_used_in_turn(clock: Clock) -> None:
    commits = Commits(clock, "relay-bulk", "relay-bulk-2")
    for queue in ("relay-bulk", "relay-bulk-2"):
        await commits.memory.create(queue)
    for _ in range(4):
        await commits.put()
    assert len(commits.entries("relay-bulk")) == len(commits.entries("relay-bulk-2")) == 2


# ── limits ──


async def test_entry_holds_32_messages(commits: Commits) -> None:
    names = await asyncio.gather(*(commits.put(str(number)) for number in range(70)))
    assert [len(texts) for texts in commits.texts()] == [32, 32, 6]
    assert len(set(names)) == 70
    assert [text for texts in commits.texts() for text in texts] == [str(number) for number in range(70)]


@pytest.mark.parametrize("text", ["x" * 6000, "é" * 3000, "<" * 1500, "&" * 1200, "\ufffe" * 1000])
async def test_entry_stays_within_its_size_limit(commits: Commits, text: str) -> None:
    await asyncio.gather(*(commits.put(text) for _ in range(30)))
    weights = [wire.weight(body) for body in commits.memory.bodies(QUEUE)]
    assert max(weights) <= wire.MAX_ENTRY_BYTES
    # Two consecutive entries would not have fitted into one.
    heaviest = wire.weight(wire.encode_submission(submission_of(message_of(text=text))))
    assert all(one + heaviest + 200 > wire.MAX_ENTRY_BYTES for one in weights[:-1])
    assert sum(len(texts) for texts in commits.texts()) == 30


async def test_largest_submission_gets_its_own_entry(commits: Commits) -> None:
    heavy = "x" * (wire.MAX_INLINE_BYTES - 400)
    await asyncio.gather(commits.put("a"), commits.put(heavy), commits.put(heavy), commits.put("b"))
    assert [len(texts) for texts in commits.texts()] == [2, 2]


# ── failures ──


async def failures(tasks: Sequence[asyncio.Task[str]]) -> list[BaseException]:
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, BaseException) for result in results)
    return [result for result in results if isinstance(result, BaseException)]


async def test_failed_put_fails_every_caller(commits: Commits) -> None:
    gate = commits.gate()
    commits.queues.fail("put", Unavailable("busy", retry_after_seconds=9))
    first = [commits.put("a"), commits.put("b")]
    await turns()
    waiting = [commits.put("c")]
    await turns()
    gate.set()
    errors = await failures([*first, *waiting])
    assert [(type(error), getattr(error, "retry_after_seconds", None)) for error in errors] == [(Unavailable, 9)] * 3
    assert len(set(map(id, errors))) == 3
    assert commits.texts() == []
    await commits.put("later")
    assert commits.texts() == [["later"]]


async def test_storage_refusal_is_raised_to_the_caller(commits: Commits) -> None:
    commits.queues.fail("put", StorageError("no"))
    assert [type(error) for error in await failures([commits.put()])] == [StorageError]


async def test_bug_leaves_no_caller_waiting(commits: Commits) -> None:
    gate = commits.gate()
    commits.queues.fail("put", ZeroDivisionError())
    first = commits.put("a")
    await turns()
    second = commits.put("b")
    gate.set()
    assert [type(error) for error in await failures([first])] == [ZeroDivisionError]
    await second
    assert commits.texts() == [["b"]]


async def test_caller_cancelled_before_its_put_submits_nothing(commits: Commits) -> None:
    gate = commits.gate()
    first = commits.put("first")
    await turns()
    leaving, staying = commits.put("leaving"), commits.put("staying")
    await turns()
    leaving.cancel()
    await turns()
    gate.set()
    await asyncio.gather(first, staying)
    assert leaving.cancelled()
    assert commits.texts() == [["first"], ["staying"]]


async def test_caller_cancelled_during_its_put_does_not_affect_others(commits: Commits) -> None:
    gate = commits.gate()
    leaving, staying = commits.put("leaving"), commits.put("staying")
    await turns()
    leaving.cancel()
    await turns()
    gate.set()
    assert ids.parse(await staying).index == 1
    assert commits.texts() == [["leaving", "staying"]]


async def test_nothing_is_put_when_all_callers_are_cancelled(commits: Commits) -> None:
    gate = commits.gate()
    first = commits.put("first")
    await turns()
    leaving = [commits.put("a"), commits.put("b")]
    await turns()
    for task in leaving:
        task.cancel()
    gate.set()
    await first
    await turns()
    assert commits.texts() == [["first"]]
    await commits.put("later")
    assert commits.texts() == [["first"], ["later"]]


# ── requests as entries ──


async def test_request_is_packed_into_entries_with_derived_batch_ids(commits: Commits) -> None:
    batch, texts = batch_id(), [str(number) for number in range(40)]
    packed = commits.commit.pack(batch, elements(*texts), MAC_KEY)
    assert packed == commits.commit.pack(batch, elements(*texts), MAC_KEY)
    for entry in packed.entries:
        await commits.commit.put_entry(entry)
    assert [len(group) for group in commits.texts()] == [32, 8]
    assert all(ids.belongs_to(ids.parse(name), MAC_KEY) for name in packed.names)


async def test_single_message_keeps_the_chosen_batch_id(commits: Commits) -> None:
    batch = batch_id()
    (name,) = commits.commit.pack(batch, elements("a"), MAC_KEY).names
    assert (ids.parse(name).batch, ids.parse(name).index) == (batch, 0)


async def test_different_splits_of_a_request_share_no_batch_id(commits: Commits) -> None:
    # Otherwise the journal would mistake one batch for another, and messages would be lost.
    batch, texts = batch_id(), ["x" * 1800] * 60
    before = commits.commit.pack(batch, elements(*texts), MAC_KEY).names
    after = commits.commit.pack(batch, elements("x" * 3600, *texts[1:]), MAC_KEY).names
    groups = {
        batch: tuple(index for index, _ in group)
        for names in (before, after)
        for batch, group in itertools.groupby(enumerate(names), key=lambda pair: ids.parse(pair[1]).batch)
    }
    assert len(set(groups.values())) == len(groups) == 4


async def test_entry_is_of_version_2_only_if_content_is_in_a_blob(commits: Commits) -> None:
    # An older Relay cannot read such content: it must leave the entry to the upgrade.
    await commits.put("a")
    claimed = Element.of(elements("b")[0].encode(), has_span=True)
    await commits.commit.put(claimed, MAC_KEY)
    packed = commits.commit.pack(batch_id(), [*elements("c"), claimed], MAC_KEY)
    assert [entry.relay for entry in commits.entries()] == [1, 2]
    assert [batch_of(body).relay for body in packed.entries] == [2]
