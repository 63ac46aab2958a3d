"""Watches a world: whether it is at rest, and whether the guarantees hold on the way and at the end."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from relay.core import entries
from relay.core.arrival.arrivals import reported_of
from relay.core.events import RecordedEvent
from relay.core.model import FINAL
from relay.platform.resources import CONTENT_CONTAINER
from tests.crash_points import accounting
from tests.crash_points.accounting import Accounting, Line
from tests.crash_points.caller import Caller
from tests.crash_points.host import Host
from tests.crash_points.world import World
from tests.traces import traces

MAX_SECONDS = 90_000.0
"""Virtual time that it may take to come to rest; expiry comes after a day."""
LOOK_SECONDS = 5.0


class Audit:
    """The accounting of one world. `lines` are as last read."""

    def __init__(self, world: World, caller: Caller) -> None:
        self.caller = caller
        self.lines: Sequence[Line] = ()
        self._world = world
        self._broken: list[str] = []
        self._accounting = Accounting(world.witness.journal, world.memory, world.ledger, world.queues.history)
        self._look = world.poll(LOOK_SECONDS)

    async def ended(self, number: int) -> None:
        """Check after an invocation that each acceptance the provider reported in it is recorded."""
        for taken in self._world.ledger.acceptances:
            # One that stood still may have been taken for dead, and another process recorded the attempt.
            is_stalled = taken.process in self._world.stalled_processes
            if taken.invocation == number and taken.was_confirmed and not is_stalled:
                batch, index = self._world.place_of(taken.message)
                record = await self._world.witness.journal.read(batch)
                if record.is_erased(index):
                    continue
                if taken.provider_id not in accounting.recorded_in(record.statuses[index]):
                    self._broken.append(
                        f"{taken.provider_id} was accepted and confirmed, but its invocation recorded nothing"
                    )

    async def read(self) -> Sequence[Line]:
        """Read all recorded messages."""
        self.lines = await self._accounting.read()
        return self.lines

    async def until_rest(self, hosts: Sequence[Host], is_played: Callable[[], bool]) -> None:
        """Wait until the scenario is over, nothing runs, and every message has ended."""
        try:
            async with asyncio.timeout(MAX_SECONDS):
                while not (is_played() and all(host.is_idle for host in hosts) and await self._is_at_rest()):
                    await self._look.wait()
        except TimeoutError:
            self._broken.append("it never came to rest")

    async def violations(self, hosts: Sequence[Host]) -> list[str]:
        """Return every violation of the guarantees, at rest."""
        world, submissions = self._world, self.caller.submissions
        lines = await self.read()
        return [
            *self._broken,
            *self.caller.broken_promises,
            *(f"a function raised {text}" for host in hosts for text in host.raised),
            *world.ledger.violations,
            *accounting.violations(lines, submissions, world.dead_processes | world.stalled_processes, world.memory),
            *await self._answers(lines),
            *await self._arrivals(lines),
            *await self._remains(),
        ]

    async def excesses(self) -> list[str]:
        """Return violations that must not exist at any moment."""
        return [
            *self.caller.broken_promises,
            *(
                violation
                for line in await self.read()
                for violation in accounting.excesses(line, self.caller.submissions)
            ),
        ]

    def is_pending(self, body: bytes) -> bool:
        """Return whether an entry is a reference whose messages have rows in `pending`, as last read."""
        entry = entries.decode_entry(body)
        if not isinstance(entry, entries.ReferenceEntry):
            return False
        rows = {row.row for row in self._world.memory.tables.rows("pending")}
        own = [line for line in self.lines if line.batch == entry.ref and line.index in entry.indices]
        wanted = accounting.rows_for(own)
        moving = [part for line in own for part in line.status.parts if part.state not in FINAL]
        return wanted <= rows and all(part.due_at is not None for part in moving)

    async def _is_at_rest(self) -> bool:
        world = self._world
        if world.has_writes_under_way or any([await world.queues.count(queue) for queue in world.queue_names]):
            return False
        return accounting.is_at_rest(await self.read(), world.memory)

    async def _remains(self) -> list[str]:
        """Return where an erased address, or a message that the purge must have deleted, is still stored.

        A blob that no entry names is an orphan of a message that was never accepted: only the purge finds it.
        """
        named = b"".join(self._world.queues.history)
        gone = [(address, "was erased") for address in self.caller.erased]
        gone += [(label, "is older than the retention") for label in self.caller.purged]
        return [
            f"{text} {why}, and is in {place}"
            for text, why in gone
            for place in await traces(self._world.memory, text)
            if not place.startswith(f"{CONTENT_CONTAINER}: ") or place.partition(": ")[2].encode() in named
        ]

    async def _arrivals(self, lines: Sequence[Line]) -> list[str]:
        """Check that each record says what its events report, so that a list and the counts of arrivals are right."""
        found, histories = list[str](), dict[str, Sequence[RecordedEvent]]()
        for line in lines:
            if line.batch not in histories:
                _, histories[line.batch] = await self._world.witness.journal.history(line.batch)
            own = [event for event in histories[line.batch] if event.index == line.index]
            emails = [address.email.lower() for address in line.message.recipients]
            if line.status.erased is None and line.status.reported != reported_of(own, emails):
                found.append(f"{line.label}: the record does not say what its events report")
        return found

    async def _answers(self, lines: Sequence[Line]) -> list[str]:
        """Check that the API returns what the journal holds."""
        by_id, found = {line.id: line for line in lines}, list[str]()
        for submission in self.caller.submissions.values():
            if submission.id is None or submission.id not in by_id:
                continue
            response = await self.caller.insist("GET", f"/v1/messages/{submission.id}")
            state = msgspec.json.decode(response.body).get("state")
            if response.status != 200 or state != by_id[submission.id].status.state:
                found.append(f"{submission.label}: the API returns {response.status} {state}")
        return found
