"""Queue-entry intake: what happens to an entry that cannot be decoded, cannot be handled now, or poisons its function."""

from datetime import timedelta
from typing import NoReturn

import pytest

from relay.core.errors import Changed, NewerVersion, StorageError, Unavailable, UnreadableEntry
from relay.journal.dead_letters import UNREADABLE_CONTAINER
from relay.journal.intake import (
    PATIENCE_SECONDS,
    POISON_PUT_BACK_SECONDS,
    POISON_TRIES,
    PUT_BACK_SECONDS,
    UPGRADE_PAUSE_SECONDS,
    Intake,
)
from tests.doubles import START, Place

QUEUE = "relay-transactional"


def decode(body: bytes) -> str:
    """Decode text; `newer` and `damaged` are entries that this version cannot read."""
    if body == b"newer":
        raise NewerVersion("relay: 2")
    if body == b"damaged":
        raise UnreadableEntry("not ours")
    return body.decode()


class Handler:
    """Records the entries it handles, after raising the given errors in turn."""

    def __init__(self, *errors: Exception) -> None:
        self.handled: list[str] = []
        self.calls = 0
        self._errors = list(errors)

    async def __call__(self, entry: str) -> None:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        self.handled.append(entry)


@pytest.fixture
def intake(place: Place) -> Intake[str]:
    return Intake(decode, place.storage.queues, place.dead_letters, clock=place.time, sleep=place.time.sleep)


async def kept(place: Place) -> list[bytes]:
    blobs, _ = await place.memory.blobs.list(UNREADABLE_CONTAINER)
    return [await place.memory.blobs.get(UNREADABLE_CONTAINER, blob.name) for blob in blobs]


def queued(place: Place) -> list[tuple[bytes, timedelta]]:
    """The bodies on the queue, and the delay of the first."""
    visible_at = place.memory.queues.next_visible_at(QUEUE)
    return [(body, visible_at - place.time()) for body in place.memory.queues.bodies(QUEUE) if visible_at]


@pytest.mark.parametrize("is_poison", [False, True])
class TestBoth:
    """Rules that hold for entries and for poison entries."""

    async def take(self, intake: Intake[str], place: Place, body: bytes, handler: Handler, is_poison: bool) -> None:
        if is_poison:
            await intake.take_poison(QUEUE, body, handler)
        else:
            await intake.take(QUEUE, body, handler)

    async def test_readable_entry_is_handled_once(self, intake: Intake[str], place: Place, is_poison: bool) -> None:
        handler = Handler()
        await self.take(intake, place, b"one", handler, is_poison)
        assert (handler.handled, queued(place), await kept(place)) == (["one"], [], [])

    async def test_newer_entry_is_put_back_until_the_upgrade(
        self, intake: Intake[str], place: Place, is_poison: bool
    ) -> None:
        handler = Handler()
        await self.take(intake, place, b"newer", handler, is_poison)
        assert (handler.calls, queued(place)) == (0, [(b"newer", timedelta(seconds=UPGRADE_PAUSE_SECONDS))])

    async def test_entry_with_a_newer_record_is_put_back_until_the_upgrade(
        self, intake: Intake[str], place: Place, is_poison: bool
    ) -> None:
        await self.take(intake, place, b"one", Handler(NewerVersion("relay: 2")), is_poison)
        assert queued(place) == [(b"one", timedelta(seconds=UPGRADE_PAUSE_SECONDS))]

    @pytest.mark.parametrize("body", [b"newer", b"one"])
    async def test_entry_of_a_newer_version_waits_for_an_outage_of_the_queue(
        self, intake: Intake[str], place: Place, body: bytes, is_poison: bool
    ) -> None:
        place.queues.fail("put", *(Unavailable("away") for _ in range(10)))
        await self.take(intake, place, body, Handler(NewerVersion("relay: 2")), is_poison)
        assert [each for each, _ in queued(place)] == [body]

    async def test_unreadable_entry_is_kept_and_not_handled(
        self, intake: Intake[str], place: Place, is_poison: bool
    ) -> None:
        handler = Handler()
        await self.take(intake, place, b"damaged", handler, is_poison)
        assert (handler.calls, queued(place), await kept(place)) == (0, [], [b"damaged"])


async def test_unavailable_storage_puts_the_entry_back(intake: Intake[str], place: Place) -> None:
    await intake.take(QUEUE, b"one", Handler(Unavailable("away")))
    assert queued(place) == [(b"one", timedelta(seconds=PUT_BACK_SECONDS))]


async def test_put_back_decides_what_is_enqueued(intake: Intake[str], place: Place) -> None:
    await intake.take(QUEUE, b"one", Handler(Unavailable("away")), put_back=lambda entry: f"{entry}, again".encode())
    assert place.memory.queues.bodies(QUEUE) == [b"one, again"]


async def test_failing_put_back_raises_so_that_the_host_keeps_the_entry(intake: Intake[str], place: Place) -> None:
    place.queues.fail("put", *(Unavailable("away") for _ in range(100)))
    with pytest.raises(Unavailable):
        await intake.take(QUEUE, b"one", Handler(Unavailable("away")))
    waited = (place.time.now - START).total_seconds()
    assert PATIENCE_SECONDS <= waited < 540  # the host's time limit


async def test_put_back_waits_for_an_outage_of_minutes(intake: Intake[str], place: Place) -> None:
    place.queues.fail("put", *(Unavailable("away") for _ in range(10)))
    await intake.take(QUEUE, b"one", Handler(Unavailable("away")))
    assert [body for body, _ in queued(place)] == [b"one"]


@pytest.mark.parametrize("error", [ZeroDivisionError(), UnreadableEntry("damaged record"), StorageError("too large")])
async def test_bug_in_the_handler_raises_so_that_the_host_retries(
    intake: Intake[str], place: Place, error: Exception
) -> None:
    with pytest.raises(type(error)):
        await intake.take(QUEUE, b"one", Handler(error))
    assert (queued(place), await kept(place)) == ([], [])


@pytest.mark.parametrize("error", [ZeroDivisionError(), UnreadableEntry("damaged record"), StorageError("too large")])
async def test_bug_in_the_handler_keeps_a_poison_entry(intake: Intake[str], place: Place, error: Exception) -> None:
    handler = Handler(error)
    await intake.take_poison(QUEUE, b"one", handler)
    assert (handler.calls, queued(place), await kept(place)) == (1, [], [b"one"])


async def test_poison_entry_is_retried_with_backoff_while_storage_is_away(intake: Intake[str], place: Place) -> None:
    handler = Handler(Unavailable("away"), Changed("first"))
    await intake.take_poison(QUEUE, b"one", handler)
    assert handler.handled == ["one"]
    assert place.time() - START == timedelta(seconds=1 + 2)


async def test_poison_entry_waits_for_an_outage_of_the_queue(intake: Intake[str], place: Place) -> None:
    place.queues.fail("put", *(Unavailable("away") for _ in range(10)))
    await intake.take_poison(QUEUE, b"one", Handler(*(Unavailable("away") for _ in range(POISON_TRIES))))
    assert [body for body, _ in queued(place)] == [b"one"]


async def test_poison_entry_is_put_back_after_the_last_try(intake: Intake[str], place: Place) -> None:
    handler = Handler(*(Unavailable("away") for _ in range(POISON_TRIES)))
    await intake.take_poison(QUEUE, b"one", handler)
    assert (handler.calls, queued(place)) == (POISON_TRIES, [(b"one", timedelta(seconds=POISON_PUT_BACK_SECONDS))])


async def test_keeping_an_unreadable_poison_entry_is_retried(intake: Intake[str], place: Place) -> None:
    place.blobs.fail("put", Unavailable("away"))

    async def never(entry: str) -> NoReturn:
        raise AssertionError(entry)

    await intake.take_poison(QUEUE, b"damaged", never)
    assert await kept(place) == [b"damaged"]
