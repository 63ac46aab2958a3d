"""The world of a trial: storage that outlives every process, the providers' ledger, and the planned faults."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime, timedelta

import msgspec

from relay.bootstrap import Relay
from relay.clients.keys import Role
from relay.clients.policy import Policy
from relay.core import ids
from relay.core.send_request import SendRequest
from relay.core.settings import Settings
from relay.platform.storage.memory.memory_storage import MemoryBlobs, MemoryStorage, MemoryTables, StorageSnapshot
from relay.providers.contract import Provider
from tests.crash_points.faults import LATENCY_SECONDS, Fault, Operation, Process, invocation
from tests.crash_points.providers import Account, Ledger, ScriptedProvider
from tests.crash_points.storage import HostQueues, storage_of
from tests.crash_points.virtual_time import Poll, VirtualLoop

MAIN_QUEUE = "relay-transactional"
POISON_QUEUE = f"{MAIN_QUEUE}-poison"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One fault, at the operation of this number (from 1).

    With `seconds`, storage refuses from that operation on: all operations, or those of the name `only`.
    """

    fault: Fault
    at: int
    seconds: float = 0.0
    only: str = ""


class ProofRelay(Relay):
    """Relay with scripted providers; everything else is the real thing."""

    def __init__(self, world: "World", process: Process, skew: timedelta) -> None:
        super().__init__(
            world.settings,
            storage_of(process, world.memory),
            clock=lambda: world.clock() + skew,
            draw=world.chance.random,
            sleep=asyncio.sleep,
            new_batch=world.new_batch,
        )
        self._doubles: Mapping[str, Provider] = {
            route: ScriptedProvider(route, account, process, world.ledger, world.is_leased)
            for route, account in world.accounts.items()
        }

    def provider(self, route: str) -> Provider:
        """Return the double of a route."""
        return self._doubles[route]


class Instance:
    """A process with its application."""

    def __init__(self, world: "World", process: Process, skew: timedelta) -> None:
        self.process = process
        self.relay = ProofRelay(world, process, skew)


class World:
    """Everything that survives a crash. `witness` reads storage without faults."""

    def __init__(
        self,
        loop: VirtualLoop,
        settings: Settings,
        accounts: Mapping[str, Account],
        *,
        plans: Sequence[Plan] = (),
        chance: random.Random | None = None,
        latency: Callable[[], float] = lambda: LATENCY_SECONDS,
    ) -> None:
        self.settings = settings
        self.accounts = accounts
        self.clock: Callable[[], datetime] = loop.now
        self.chance = chance or random.Random(0)
        self.queues = HostQueues(loop.now, self.note_change)
        self.queue_names: tuple[str, ...] = (MAIN_QUEUE, POISON_QUEUE)
        self.memory = MemoryStorage(queues=self.queues, tables=MemoryTables(loop.now), blobs=MemoryBlobs(loop.now))
        self.witness = Relay(settings, self.memory, clock=loop.now)
        self.ledger = Ledger()
        self.trace: list[Operation] = []
        self.hits: list[str] = []
        self.changes = 0
        self._loop = loop
        self._polls: list[Poll] = []
        self._latency = latency
        self._plans = {plan.at: plan for plan in plans}
        self._outage_until = loop.now()
        self._refuses: Callable[[Operation], bool] = lambda _: True
        self._instances: list[Instance] = []
        self._batches = 0
        self._changed = asyncio.Condition()

    async def start(self, skew: timedelta = timedelta()) -> Instance:
        """Start a new process on the same storage, whose clock is ahead by `skew`."""
        instance = Instance(self, Process(len(self._instances) + 1, self._decide, self.note_change), skew)
        self._instances.append(instance)
        async with self._changed:
            self._changed.notify_all()
        return instance

    async def living(self, *, is_oldest: bool = False) -> Instance:
        """Return a living process, as soon as there is one: the oldest, or any."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._alive)
        return self._alive[0] if is_oldest else self.chance.choice(self._alive)

    @property
    def _alive(self) -> list[Instance]:
        return [each for each in self._instances if not (each.process.is_dead or each.process.is_stalled)]

    @property
    def dead_processes(self) -> Set[int]:
        """The numbers of the processes that have died."""
        return {instance.process.number for instance in self._instances if instance.process.is_dead}

    @property
    def stalled_processes(self) -> Set[int]:
        """The numbers of the processes that have stood still for longer than a lease."""
        return {instance.process.number for instance in self._instances if instance.process.has_stalled}

    @property
    def has_stalled_process(self) -> bool:
        """Whether a process stands still now."""
        return any(instance.process.is_stalled for instance in self._instances)

    @property
    def has_writes_under_way(self) -> bool:
        """Whether a write that its caller has given up may still take effect."""
        return any(instance.process.has_writes_under_way for instance in self._instances)

    def poll(self, seconds: float) -> Poll:
        """The wait of a task that looks at this world every few seconds."""
        made = Poll(self._loop, seconds)
        self._polls.append(made)
        return made

    def stir(self) -> None:
        """Wake the tasks that look at this world every few seconds."""
        for poll in self._polls:
            poll.stir()

    def note_change(self) -> None:
        """Count a change that is no operation of a process, or takes effect later than one."""
        self.changes += 1
        self.stir()

    async def pass_time(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    def skip_to(self, moment: datetime) -> None:
        """Move all clocks forward, as if no process had run until then."""
        self._loop.skip_to(moment)
        self.note_change()

    def plan(self, fault: Fault, after: int) -> None:
        """Plan a fault for one of the next operations."""
        at = len(self.trace) + after
        self._plans[at] = Plan(fault=fault, at=at)

    def lose_storage(self, seconds: float, refuses: Callable[[Operation], bool] = lambda _: True) -> None:
        """Make storage refuse operations for `seconds`: all, or those that `refuses` names."""
        self._outage_until = self.clock() + timedelta(seconds=seconds)
        self._refuses = refuses

    def calm(self) -> None:
        """Remove all planned faults."""
        self._plans = {}
        self._outage_until = self.clock()

    async def is_leased(self, request: SendRequest) -> bool:
        """Return whether the journal has a lease, which is not over, for the attempt that a request is of."""
        batch, index = self.place_of(request.id)
        status = (await self.witness.journal.read(batch)).statuses[index]
        return any(
            part.attempt == request.attempt and part.lease_until is not None and part.lease_until > self.clock()
            for part in status.parts
        )

    @staticmethod
    def place_of(name: str) -> tuple[str, int]:
        """Return the batch and the index of a message id."""
        parsed = ids.parse(name)
        return parsed.batch, parsed.index

    def new_batch(self) -> str:
        """Generate UUIDv7 names that are the same in every run of a trial."""
        self._batches += 1
        milliseconds = int(self.clock().timestamp() * 1000)
        return f"{milliseconds:012x}7000a000{self._batches:012x}"

    async def _decide(self, process: Process, operation: Operation) -> Fault | None:
        await self._loop.pause(self._latency())
        process.raise_if_dead()
        self.stir()
        self.changes += operation.is_write
        operation.invocation = invocation.get()
        self.trace.append(operation)
        plan = self._plans.get(len(self.trace))
        if plan is not None:
            self.hits.append(f"{plan.fault} at {operation.name} (operation {len(self.trace)})")
            if not plan.seconds:
                return plan.fault
            self.lose_storage(plan.seconds, lambda each: plan.only in ("", each.name))
        is_out = self.clock() < self._outage_until and self._refuses(operation)
        return Fault.REFUSED if operation.is_storage and is_out else None


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """Create a storage with all resources and one operator. Returns it with the key."""

    storage: StorageSnapshot
    key: str


async def prepare(loop: VirtualLoop, settings: Settings) -> Prepared:
    """Set storage up, as `relay init` does."""
    world = World(loop, settings, {})
    instance = await world.start()
    await instance.relay.create_storage()
    key = await instance.relay.clients.create("app", role=Role.OPERATOR, policy=Policy(senders=("*",)))
    return Prepared(storage=world.memory.snapshot(), key=key)
