"""Doubles that more than one folder of unit tests uses: a clock, watched storage, scripted providers, a whole Relay of them."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

import msgspec

from relay.bootstrap import Relay
from relay.clients.policy import Policy
from relay.clients.registry import Client
from relay.core import entries, ids
from relay.core.errors import Unavailable
from relay.core.model import Address, Message, Submission
from relay.core.outcomes import Outcome, PerRecipient, RouteFault, Sent, Unknown
from relay.core.send_request import SendRequest
from relay.core.settings import Lane, Route, Rule, Settings
from relay.platform.storage.limits import MAX_PAGE_ROWS
from relay.platform.storage.memory.memory_storage import MemoryStorage, MemoryTables, memory_storage
from relay.platform.storage.ports import Storage
from relay.providers.contract import Provider

START = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
MAC_KEY = b"k" * 32
CLIENT = Client(id="5e2f0a9b1c7d4e36", name="shop", mac_key=MAC_KEY, policy=Policy(senders=("*",)))


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        """Takes no time but the clock's. Others have their turn, as in any sleep."""
        self.move(seconds)
        await asyncio.sleep(0)


class Watched:
    """A storage port whose calls are counted, and which can be away, fail, or wait at a gate.

    `failing` names methods that fail, `most` how many calls of a method succeed, `losing` methods that do their work and
    whose response is lost. `fail`, `lose` and `before` are for the next calls alone.
    """

    def __init__(self, port: object) -> None:
        self._port = port
        self.calls: Counter[str] = Counter()
        self.is_away = False
        self.gate: asyncio.Event | None = None
        self.failing: frozenset[str] = frozenset()
        self.losing: frozenset[str] = frozenset()
        self.most: dict[str, int] = {}
        self._errors: dict[str, deque[Exception | None]] = {}
        self._lost: Counter[str] = Counter()
        self._befores: dict[str, deque[Callable[[], Awaitable[object]]]] = {}
        self._passes: Callable[[], None] = lambda: None

    def take_time(self, clock: Clock, seconds: float) -> None:
        """Let every call take this long, by the clock."""
        self._passes = partial(clock.move, seconds)

    def fail(self, name: str, *errors: Exception | None) -> None:
        """The next calls of this operation fail so, one after the other; None lets one succeed."""
        self._errors.setdefault(name, deque()).extend(errors)

    def lose(self, name: str) -> None:
        """The next call of this operation takes effect, and its response is lost."""
        self._lost[name] += 1

    def before(self, name: str, act: Callable[[], Awaitable[object]]) -> None:
        """Let another caller act just before the next call of this operation."""
        self._befores.setdefault(name, deque()).append(act)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        target = getattr(self._port, name)
        if name == "stream":

            async def stream(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
                self._note(name)
                async for chunk in target(*args, **kwargs):
                    yield chunk

            return stream

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._note(name)
            self._passes()
            if self._befores.get(name):
                await self._befores[name].popleft()()
            error = self._errors[name].popleft() if self._errors.get(name) else None
            if error is not None:
                raise error
            if self.gate is not None:
                await self.gate.wait()
            answer = await target(*args, **kwargs)
            if name in self.losing or self._lost.get(name):
                self._lost[name] -= name not in self.losing
                raise Unavailable("the response was lost", retry_after_seconds=7)
            return answer

        return call

    def _note(self, name: str) -> None:
        self.calls[name] += 1
        if self.is_away or name in self.failing or self.calls[name] > self.most.get(name, self.calls[name]):
            raise Unavailable("away", retry_after_seconds=7)


async def watched_tables(*names: str, rows_looked_at: int = MAX_PAGE_ROWS) -> Watched:
    """Create empty tables in memory, whose rows are all dated `START`; a query reads `rows_looked_at` rows per page."""
    memory = MemoryTables(Clock(), rows_looked_at=rows_looked_at)
    for name in names:
        await memory.create(name)
    return Watched(memory)


class Scripted:
    """A provider that returns the outcomes of its script in turn, and then accepts everything.

    `faults` has the outcome of every message to an address.
    """

    def __init__(self) -> None:
        self.answers: deque[Outcome | PerRecipient | Exception] = deque()
        self.verdicts: deque[Outcome] = deque()
        self.faults: dict[str, Outcome] = {}
        self.health: Sent | RouteFault | Exception = Sent()
        self.sent: list[SendRequest] = []
        self.verified: list[tuple[SendRequest, str | None]] = []
        self.probes = 0
        self.before_send: Callable[[], Awaitable[object]] | None = None
        self.before_probe: Callable[[], Awaitable[object]] | None = None

    async def send(self, request: SendRequest) -> Outcome | PerRecipient:
        self.sent.append(request)
        if self.before_send is not None:
            await self.before_send()
        fault = self.faults.get(request.message.recipients[0].email)
        if fault is not None:
            return fault
        answer = self.answers.popleft() if self.answers else Sent(provider_id=f"p-{len(self.sent)}")
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def probe(self) -> Sent | RouteFault:
        self.probes += 1
        if self.before_probe is not None:
            await self.before_probe()
        if isinstance(self.health, Exception):
            raise self.health
        return self.health

    async def verify(self, request: SendRequest, provider_id: str | None) -> Outcome:
        self.verified.append((request, provider_id))
        return self.verdicts.popleft() if self.verdicts else Unknown(code="response_lost")

    async def close(self) -> None:
        pass


class Place(Relay):
    """A Relay over storage in memory, with a scripted provider for every route and a clock that is moved by hand.

    `queues`, `tables` and `blobs` are watched; `memory` is what lies beneath them.
    """

    def __init__(self, settings: Settings | None = None, clock: Clock | None = None) -> None:
        self.time = clock or Clock()
        self.memory: MemoryStorage = memory_storage(self.time)
        self.queues, self.tables, self.blobs = (
            Watched(self.memory.queues),
            Watched(self.memory.tables),
            Watched(self.memory.blobs),
        )
        self.scripted: dict[str, Scripted] = {}
        storage = Storage(queues=cast(Any, self.queues), tables=cast(Any, self.tables), blobs=cast(Any, self.blobs))
        super().__init__(
            settings or settings_of(),
            storage,
            clock=self.time,
            draw=lambda: 0.5,
            sleep=self.time.sleep,
            new_batch=lambda: batch_id(self.time()),
        )

    def provider(self, route: str) -> Provider:
        return self.script(route)

    def script(self, route: str = "main") -> Scripted:
        """The provider of a route."""
        return self.scripted.setdefault(route, Scripted())

    async def send(self, *submissions: Submission, lane: str = "transactional") -> str:
        """Put one batch with these on its queue and deliver it; the batch's name."""
        entry = entry_of(*submissions, at=self.time(), lane=lane)
        await self.delivery.deliver("relay-transactional", entry)
        return ids_of(entry)

    async def work(self) -> int:
        """Deliver every entry that is visible now, as the host does; how many."""
        delivered = 0
        for queue in self.settings.lanes["transactional"].queues("transactional"):
            while received := await self.memory.queues.receive(queue, limit=1):
                await self.delivery.deliver(queue, received[0].body, is_redelivery=received[0].dequeue_count > 1)
                await self.memory.queues.delete(queue, received[0])
                delivered += 1
        return delivered

    def waiting(self) -> list[entries.Entry]:
        """What lies on the transactional queue, visible or not."""
        return [entries.decode_entry(body) for body in self.memory.queues.bodies("relay-transactional")]


async def place_of(settings: Settings | None = None, clock: Clock | None = None) -> Place:
    """A place whose queues, tables and containers exist, with nothing counted yet."""
    made = Place(settings, clock)
    await made.create_storage()
    for port in (made.queues, made.tables, made.blobs):
        port.calls.clear()
    return made


def settings_of(
    *routes: Route, rules: Sequence[Rule] = (), lanes: Mapping[str, Lane] | None = None, **more: Any
) -> Settings:
    """Settings with these routes, or one named `main` whose provider cannot verify a lost response."""
    routes = routes or (Route(name="main", provider="smtp"),)
    values: dict[str, Any] = {
        "routes": {route.name: route for route in routes},
        "rules": (*rules, Rule(routes=(routes[0].name,))),
        "lanes": lanes or {"transactional": Lane(), "bulk": Lane()},
        "expires_in_seconds": 86_400,
        "retention_days": 14,
        "max_message_bytes": 31_457_280,
        "max_waiting_messages": 2000,
        "max_waiting_bytes": 134_217_728,
        "public_url": "",
        "key_vault_url": "",
        "application": {},
    }
    return Settings(**{**values, **more})


def message_of(*to: str, **fields: Any) -> Message:
    """A small message to these addresses."""
    recipients = tuple(Address(email=email) for email in to or ("ada@example.com",))
    values: dict[str, Any] = {"sender": Address(email="shop@example.org"), "subject": "Hello", "text": "Hi."}
    return Message(**{**values, "to": recipients, **fields})


def submission_of(message: Message | None = None, **fields: Any) -> Submission:
    """A submission that expires a day after the start."""
    values: dict[str, Any] = {
        "client": CLIENT.name,
        "client_id": CLIENT.id,
        "expires_at": START + timedelta(days=1),
        "size": 800,
    }
    return Submission(**{**values, "message": message or message_of(), **fields})


_numbers = iter(range(1, 1 << 40))


def batch_id(at: datetime = START) -> str:
    """A fresh batch name of a moment, in the shape of a UUIDv7."""
    return f"{ids.batch_floor(at)[:12]}7000a000{next(_numbers):012x}"


def entry_of(*submissions: Submission, at: datetime = START, lane: str = "transactional", batch: str = "") -> bytes:
    """A batch entry as acceptance makes it."""
    name = batch or batch_id(at)
    chosen = submissions or (submission_of(),)
    macs = [ids.mac(MAC_KEY, name, index) for index in range(len(chosen))]
    return entries.join_batch(name, lane, macs, [entries.encode_submission(submission) for submission in chosen])


def batch_of(body: bytes) -> entries.BatchEntry:
    """A batch entry, read."""
    entry = entries.decode_entry(body)
    assert isinstance(entry, entries.BatchEntry)
    return entry


def ids_of(body: bytes) -> str:
    """The name of a batch entry's batch."""
    return batch_of(body).batch


def changed[T: msgspec.Struct](struct: T, **fields: Any) -> T:
    """A struct with some fields changed."""
    return msgspec.structs.replace(struct, **fields)
