"""Stopped send groups: no message is sent that a concurrent stop did not count."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from relay.bootstrap import Relay
from relay.core import ids
from relay.delivery.send_groups import Stop, is_group, new_group
from relay.platform.storage.ports import Blobs, Queues, Storage, Tables
from tests.api.harness import Harness
from tests.api.sendgrid_requests import mail

QUEUE = "relay-transactional"
KEY = b"k" * 32
NAME = "019c9e5e7a107a3b8c4d5e6f70819203"


class Interrupted:
    """A storage port on whose call of a number something else happens first."""

    def __init__(self, port: object, moment: "Moment") -> None:
        self._port = port
        self._moment = moment

    def __getattr__(self, name: str) -> Callable[..., Any]:
        target = getattr(self._port, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._moment.pass_by()
            return await target(*args, **kwargs)

        return call


class Moment:
    """The moment before a storage operation of this number (from 0), over all ports."""

    def __init__(self, number: int, act: Callable[[], Awaitable[None]]) -> None:
        self._left = number
        self._act = act
        self.has_come = False

    async def pass_by(self) -> None:
        if self._left == 0 and not self.has_come:
            self.has_come = True
            await self._act()
        self._left -= 1


def process(relay: Harness, moment: Moment) -> Relay:
    """Another process on the same storage, in which something happens at the moment."""
    memory = relay.memory
    storage = Storage(
        queues=cast(Queues, Interrupted(memory.queues, moment)),
        tables=cast(Tables, Interrupted(memory.tables, moment)),
        blobs=cast(Blobs, Interrupted(memory.blobs, moment)),
    )
    return Relay(relay.relay.settings, storage, clock=relay.clock, draw=lambda: 0.5, sleep=relay.clock.sleep)


async def grouped_message(relay: Harness) -> str:
    """Accept a message of a group; the group."""
    batch = str((await relay.call("POST", "/v3/mail/batch")).json["batch_id"])
    assert (await relay.call("POST", "/v3/mail/send", json=mail(batch_id=batch))).status == 202
    return batch


async def stop(relay: Relay, group: str, counts: list[int]) -> None:
    app = await relay.clients.get("app")
    assert await relay.send_groups.stop(app.id, group, Stop.CANCEL)
    counts.append(await relay.send_groups.left(group))


async def cross(number: int, *, stop_interrupts: bool) -> tuple[bool, int, bool]:
    """Run a stop and an attempt concurrently.

    Returns whether the message was sent, how many the stop counted, and whether the interruption happened.
    """
    relay = await Harness().start()
    group = await grouped_message(relay)
    counts: list[int] = []

    async def act() -> None:
        await (stop(relay.relay, group, counts) if stop_interrupts else relay.deliver())

    moment = Moment(number, act)
    other = process(relay, moment)
    if stop_interrupts:
        [entry] = await relay.memory.queues.receive(QUEUE)
        await other.delivery.deliver(QUEUE, entry.body)
        await relay.memory.queues.delete(QUEUE, entry)
    else:
        await stop(other, group, counts)
    if not moment.has_come:
        await act()
    await relay.pass_time(86_400)
    was_sent = bool([each async for each in relay.relay.inbox.all()])
    await relay.relay.close()
    return was_sent, counts[0], moment.has_come


@pytest.mark.parametrize("stop_interrupts", [True, False])
async def test_concurrent_stop_and_attempt_send_nothing_uncounted(stop_interrupts: bool) -> None:
    seen: set[tuple[bool, int]] = set()
    number, has_come = 0, True
    while has_come:
        was_sent, counts, has_come = await cross(number, stop_interrupts=stop_interrupts)
        assert counts == 1 or not was_sent, f"sent and not counted, at operation {number}"
        seen.add((was_sent, counts))
        number += 1
    assert {(True, 1), (False, 0)} <= seen
    assert number > 3


def test_group_name_contains_its_client() -> None:
    name = new_group(KEY, NAME)
    assert len(name) == 32
    assert is_group(name, KEY)
    assert not is_group(name, b"another")
    assert not is_group(new_group(KEY, ids.new_batch_id())[:-1], KEY)
    for wrong in ("", "x", "é" * 32, name[:-4], name + "AAAA", name.replace(name[3], "!"), name + "\n"):
        assert not is_group(wrong, KEY)


async def test_group_rows_outlive_waiting_messages(relay: Harness) -> None:
    group = await grouped_message(relay)
    app = await relay.relay.clients.get("app")
    await relay.relay.send_groups.stop(app.id, group, Stop.PAUSE)
    relay.clock.move(140 * 86_400)
    await relay.relay.purge.run()
    assert await relay.relay.send_groups.stop_of(app.id, group) is Stop.PAUSE
    relay.clock.move(10 * 86_400)
    await relay.relay.purge.run()
    assert await relay.relay.send_groups.stop_of(app.id, group) is None
