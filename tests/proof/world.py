"""The world of one trial: storage that outlives every process, the provider's ledger, and the plan of what goes wrong."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime

import msgspec

from relay import ids
from relay.bootstrap import Relay
from relay.clients import Role
from relay.providers.contract import Provider
from relay.settings import Settings
from relay.storage.memory import MemoryBlobs, MemoryStorage, MemoryTables, StorageSnapshot
from tests.proof.faults import LATENCY_SECONDS, Fault, Operation, Process, invocation
from tests.proof.providers import Account, Ledger, ScriptedProvider
from tests.proof.storage import HostQueues, storage_of
from tests.proof.virtual_time import VirtualLoop

JITTER = 0.5
MAIN_QUEUE = "relay-transactional"
POISON_QUEUE = f"{MAIN_QUEUE}-poison"

logging.getLogger("relay").setLevel(logging.CRITICAL + 1)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One fault, at the operation of this number (from 1)."""

    fault: Fault
    at: int


class ProofRelay(Relay):
    """Relay with scripted providers; everything else is the real thing."""

    def __init__(self, world: "World", process: Process) -> None:
        super().__init__(
            world.settings,
            storage_of(process, world.memory),
            clock=world.clock,
            draw=lambda: JITTER,
            sleep=asyncio.sleep,
            new_batch=world.new_batch,
        )
        self._doubles: Mapping[str, Provider] = {
            route: ScriptedProvider(route, account, process, world.ledger) for route, account in world.accounts.items()
        }

    def provider(self, route: str) -> Provider:
        """The double of a route."""
        return self._doubles[route]


class World:
    """Everything that a death leaves as it was. `witness` reads storage without a fault."""

    def __init__(
        self,
        loop: VirtualLoop,
        settings: Settings,
        accounts: Mapping[str, Account],
        plans: Sequence[Plan] = (),
    ) -> None:
        self.settings = settings
        self.accounts = accounts
        self.clock: Callable[[], datetime] = loop.now
        self.queues = HostQueues(loop.now)
        self.memory = MemoryStorage(queues=self.queues, tables=MemoryTables(), blobs=MemoryBlobs(loop.now))
        self.witness = Relay(settings, self.memory, clock=loop.now)
        self.ledger = Ledger()
        self.trace: list[Operation] = []
        self.hits: list[str] = []
        self.queue_names = (MAIN_QUEUE, POISON_QUEUE)
        self.process: Process | None = None
        self.relay: ProofRelay | None = None
        self._plans = {plan.at: plan.fault for plan in plans}
        self._batches = 0
        self._processes: list[Process] = []
        self.started = asyncio.Condition()

    async def start_process(self) -> None:
        """A new process over what the last one left."""
        self.process = Process(len(self._processes) + 1, self._decide)
        self._processes.append(self.process)
        self.relay = ProofRelay(self, self.process)
        async with self.started:
            self.started.notify_all()

    async def living(self) -> tuple[Process, ProofRelay]:
        """The process that lives, as soon as there is one."""
        async with self.started:
            await self.started.wait_for(lambda: self.process is not None and not self.process.is_dead)
        assert self.process is not None
        assert self.relay is not None
        return self.process, self.relay

    def calm(self) -> None:
        """Nothing goes wrong any more."""
        self._plans = {}

    @property
    def dead_processes(self) -> Set[int]:
        """The numbers of the processes that have died."""
        return {process.number for process in self._processes if process.is_dead}

    @property
    def has_writes_under_way(self) -> bool:
        """Whether a write that its caller has given up may still take effect."""
        return any(process.has_writes_under_way for process in self._processes)

    @staticmethod
    def place_of(name: str) -> tuple[str, int]:
        """The batch of a message's name, and its index there."""
        parsed = ids.parse(name)
        return parsed.batch, parsed.index

    def new_batch(self) -> str:
        """Names in the shape of UUIDv7 that are the same in every repetition of a trial."""
        self._batches += 1
        milliseconds = int(self.clock().timestamp() * 1000)
        return f"{milliseconds:012x}7000a000{self._batches:012x}"

    async def _decide(self, process: Process, operation: Operation) -> Fault | None:
        await asyncio.sleep(LATENCY_SECONDS)
        process.raise_if_dead()
        self.trace.append(msgspec.structs.replace(operation, invocation=invocation.get()))
        fault = self._plans.get(len(self.trace))
        if fault is not None:
            self.hits.append(f"{fault} at {operation.name} (operation {len(self.trace)})")
        return fault


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A storage with everything created and one caller, who is also the operator; and the key."""

    storage: StorageSnapshot
    key: str


async def prepare(loop: VirtualLoop, settings: Settings) -> Prepared:
    """Set storage up, as `relay init` does."""
    world = World(loop, settings, {})
    await world.start_process()
    assert world.relay is not None
    await world.relay.create_storage()
    key = await world.relay.clients.create("app", role=Role.OPERATOR)
    return Prepared(storage=world.memory.snapshot(), key=key)
