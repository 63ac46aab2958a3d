"""Webhook retries that wait in rows: when they are on the queue, and what a process that dies anywhere leaves."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from relay.core.errors import Unavailable
from relay.events.webhooks.http_post import PostResult
from relay.events.webhooks.payload import QUEUE, event_id
from relay.events.webhooks.retries import DAMAGED_KEPT, PARTITION, Retry
from relay.journal.pending import SOON, TABLE
from relay.platform.concurrency import Deadline
from relay.platform.storage.ports import Entity
from tests.doubles import START, Place, place_of
from tests.unit.events.webhooks.receiving import (
    FAILED,
    TAKEN,
    Receiver,
    add_clients,
    deliver_visible,
    noted,
    subscribed,
    webhooks_of,
)

HOUR = timedelta(hours=1)


def retry(number: int = 1, *, after: timedelta = HOUR, client: str = "shop", webhook: str = "wh_1") -> Retry:
    return Retry(client_id=client, webhook=webhook, at=START + after, body=b'{"relay":1,"number":%d}' % number)


def rows(place: Place) -> list[Entity]:
    return [row for row in place.memory.tables.rows(TABLE) if row.partition == PARTITION]


async def taken(place: Place) -> list[bytes]:
    """Take what is visible on the queue, as the host does."""
    found: list[bytes] = []
    while received := await place.memory.queues.receive(QUEUE, limit=32):
        for entry in received:
            found.append(entry.body)
            await place.memory.queues.delete(QUEUE, entry)
    return found


async def test_retry_that_is_due_soon_waits_on_the_queue(place: Place) -> None:
    await place.webhook_retries.put(retry(after=SOON))
    assert (rows(place), len(place.memory.queues.bodies(QUEUE))) == ([], 1)
    place.time.move(SOON.total_seconds())
    assert await taken(place) == [retry().body]


async def test_later_retry_is_on_the_queue_only_in_its_last_two_minutes(place: Place) -> None:
    await place.webhook_retries.put(retry())
    place.time.move((HOUR - SOON).total_seconds())
    assert (await place.webhook_retries.run()).done == 0
    assert (len(rows(place)), place.memory.queues.bodies(QUEUE)) == (1, [])
    place.time.move(1)
    assert (await place.webhook_retries.run()).done == 1
    assert (rows(place), await taken(place)) == ([], [])
    place.time.move(SOON.total_seconds() - 1)
    assert await taken(place) == [retry().body]


async def test_run_ends_at_its_deadline_and_the_next_one_goes_on(place: Place) -> None:
    for number in range(100):
        await place.webhook_retries.put(retry(number))
    place.time.move(HOUR.total_seconds())
    place.queues.take_time(place.time, 1.0)
    first = await place.webhook_retries.run(Deadline(place.time, 20.0))
    assert (0 < first.done < 100, first.is_complete) == (True, False)
    assert (await place.webhook_retries.run()).done == 100 - first.done
    assert len(await taken(place)) == 100


async def test_idle_run_costs_one_query(place: Place) -> None:
    for number in range(100):
        await place.webhook_retries.put(retry(number))
    place.tables.calls.clear()
    await place.webhook_retries.run()
    assert (dict(place.tables.calls), dict(place.queues.calls)) == ({"query": 1}, {})


async def test_rows_of_a_webhook_or_a_client_are_deleted_alone(place: Place) -> None:
    for client, webhook in (("shop", "wh_1"), ("shop", "wh_2"), ("other", "wh_3")):
        await place.webhook_retries.put(retry(client=client, webhook=webhook))
    await place.webhook_retries.remove("shop", "wh_1")
    assert [row.properties["webhook"] for row in rows(place)] == ["wh_2", "wh_3"]
    await place.webhook_retries.remove("shop")
    assert [row.properties["webhook"] for row in rows(place)] == ["wh_3"]


async def test_damaged_row_hides_no_other_and_is_purged(place: Place) -> None:
    await place.webhook_retries.put(retry())
    await place.webhook_retries.put(retry(2, client="damaged"))
    [damaged] = [row for row in rows(place) if row.properties["client_id"] == "damaged"]
    await place.memory.tables.upsert(TABLE, Entity(partition=PARTITION, row=damaged.row, properties={"body": 3}))
    # After a long stop of the app the purge may run before the minute timer.
    place.time.move((HOUR + DAMAGED_KEPT).total_seconds() + 1)
    assert (await place.webhook_retries.purge()).done == 1
    assert (await place.webhook_retries.run()).done == 1
    assert (rows(place), await taken(place)) == ([], [retry().body])


async def test_late_minute_timer_is_replaced_by_traffic(place: Place) -> None:
    await place.every_minute.run()
    await place.webhook_retries.put(retry())
    place.time.move(HOUR.total_seconds())
    assert await place.late_timer.run_if_late()
    assert await taken(place) == [retry().body]


# ── a process that dies, or a response that is lost, at each operation ──


class Killed(BaseException):
    """The process died."""


class Fault:
    """Strikes at one operation of several ports: kills the process before or after it, or loses its response."""

    def __init__(self, kind: str = "none", at: int = 0) -> None:
        self.kind, self.at, self.operations = kind, at, 0

    def on(self, port: object) -> Any:
        """Return the port with this fault."""
        return _Struck(port, self)

    async def strike(self, operation: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        self.operations += 1
        is_here = self.operations == self.at
        if is_here and self.kind == "killed before":
            raise Killed
        result = await operation(*args, **kwargs)
        if is_here:
            raise Unavailable("the response was lost") if self.kind == "lost" else Killed
        return result


class _Struck:
    def __init__(self, port: object, fault: Fault) -> None:
        self._port, self._fault = port, fault

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        return partial(self._fault.strike, getattr(self._port, name))


class Stubborn(Receiver):
    """Refuses one post for five minutes, and notes what it accepts."""

    def __init__(self, place: Place, refused: str) -> None:
        super().__init__(place)
        self._place, self._refused = place, refused
        self.accepted: Counter[str] = Counter()

    async def post(self, url: str, name: str, body: bytes, *, media_type: str, secrets: Sequence[str]) -> PostResult:
        if name == self._refused and self._place.time() < START + timedelta(minutes=5):
            return FAILED
        self.accepted[name] += 1
        return TAKEN


async def play(fault: Fault) -> Counter[str]:
    """Post three events with this fault until nothing waits; the accepted posts. One needs four attempts."""
    place = await place_of()
    names = [event_id("wh_1", "msg_x", str(number)) for number in range(3)]
    receiver = Stubborn(place, names[1])
    await add_clients(place)
    sound = webhooks_of(place, receiver, place.storage.queues, place.storage.tables)
    await subscribed(sound)
    await sound.follow([noted(key=str(number)) for number in range(3)])
    at_work = webhooks_of(place, receiver, fault.on(place.memory.queues), fault.on(place.memory.tables))
    for _ in range(30):
        try:
            with suppress(Unavailable):
                await at_work.retries.run()
            await deliver_visible(place, at_work)
        except Killed:
            at_work = sound
        if not rows(place) and not place.memory.queues.bodies(QUEUE):
            break
        place.time.move(60)
    assert (rows(place), place.memory.queues.bodies(QUEUE)) == ([], [])
    assert set(receiver.accepted) == set(names)
    return receiver.accepted


async def test_posts_without_a_fault_are_accepted_once() -> None:
    assert set((await play(Fault())).values()) == {1}


@pytest.mark.parametrize("kind", ["killed before", "killed after", "lost"])
async def test_fault_at_any_operation_loses_no_post_and_repeats_one_at_most_once(kind: str) -> None:
    await play(faultless := Fault())
    for at in range(1, faultless.operations + 1):
        accepted = await play(Fault(kind, at))
        assert max(accepted.values()) <= 2, f"{kind} operation {at}"
