"""Count the cost of table rows that many instances write: operations, lost races, refusals, the hottest partition.

Instances are simulated (`bench.simulation`), so the counts are the same in every run. "hottest" is the number of operations on
the busiest partition: Azure serves about 2,000 entities per second and partition.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta

import msgspec

from bench.results import Figure
from bench.simulation import RemoteTables, now, pause, simulated, together
from relay.bootstrap import configuration
from relay.clients.idempotency import Idempotency, Plan
from relay.clients.policy import Policy
from relay.clients.quotas import Quotas
from relay.clients.registry import Client
from relay.core import ids
from relay.core.entries import join_batch
from relay.core.errors import Refusal, Unavailable
from relay.core.model import Address, Message, State
from relay.core.outcomes import NotYet
from relay.core.send_request import SendRequest
from relay.core.settings import Pace, Route
from relay.journal.dead_letters import DeadLetter, DeadLetters
from relay.journal.pending import Due, Pending
from relay.platform.resources import (
    DEAD_LETTERS_TABLE,
    IDEMPOTENCY_TABLE,
    PACING_TABLE,
    PENDING_TABLE,
    QUOTAS_TABLE,
    ROUTES_TABLE,
)  # fmt: skip
from relay.platform.storage.memory.blobs import MemoryBlobs
from relay.routes.hold_rows import RouteState
from relay.routes.holds import Holds
from relay.routes.pacing import Pacing
from relay.routes.recipient_budget.counting import ExternalRecipients

INSTANCES = (1, 4, 10, 40, 200)
SENDERS = 24
"""Entries that an instance delivers concurrently (host.json: batchSize and newBatchThreshold), and requests that it serves."""
ROUNDS = 4
"""Operations of each sender, one after the other."""
MESSAGES = 16
"""Messages of an entry."""
PLENTY = Pace(count=10**9, seconds=60)
"""Slots are never scarce, so that every refusal is caused by contention."""


class Counts(msgspec.Struct):
    """The counts of a simulation besides the operations of its tables."""

    messages: int = 0
    refused: int = 0


type Scenario = Callable[[RemoteTables, Counts, int], Awaitable[None]]


async def contention(_: int) -> AsyncIterator[Figure]:
    """Measure every shared row and partition by the number of instances."""
    for name in SCENARIOS:
        for instances in INSTANCES:
            tables, counts = await simulate(name, instances)
            for what, value in (
                ("operations", tables.operations), ("lost races", tables.lost_races), ("hottest", tables.hottest)
            ):  # fmt: skip
                yield Figure(
                    name=f"{name}/{instances} instances {what}", unit="a message", runs=[value / counts.messages]
                )
            refused = 100 * counts.refused / counts.messages
            yield Figure(name=f"{name}/{instances} instances refused", unit="%", runs=[refused])


async def simulate(name: str, instances: int) -> tuple[RemoteTables, Counts]:
    """Run a scenario with this number of instances."""

    async def run() -> tuple[RemoteTables, Counts]:
        tables, counts = RemoteTables(), Counts()
        for table in _TABLES:
            await tables.create(table)
        await SCENARIOS[name](tables, counts, instances)
        return tables, counts

    return await simulated(run)


async def _sending(senders: int, work: Callable[[], Awaitable[None]], counts: Counts, messages: int = 1) -> None:
    async def send() -> None:
        for _ in range(ROUNDS):
            await pause(0.05, 0.3)
            counts.messages += messages
            try:
                await work()
            except (Refusal, Unavailable):
                counts.refused += messages

    await together(send() for _ in range(senders))


async def _paces(tables: RemoteTables, counts: Counts, instances: int) -> None:
    """Simulate entries of one message, all from one paced mailbox."""

    async def instance() -> None:
        pacing = Pacing(tables, now)

        async def reserve() -> None:
            await pacing.slots([PLENTY], ["mailbox"], 1)

        await _sending(SENDERS, reserve, counts)

    await together(instance() for _ in range(instances))


async def _external_recipients(tables: RemoteTables, counts: Counts, instances: int) -> None:
    """Simulate entries of one message, all from a tenant whose external recipients are counted."""
    message = Message(sender=Address(email="app@contoso.com"), to=(Address(email="ada@example.com"),))
    request = SendRequest(
        id="", message=message, recipients=(0,), message_id_header="", attempt=1, attempt_id="", date=now()
    )
    budget = {"per_tenant": 10_000_000}
    route = Route(name="main", provider="graph", settings={"external_recipients": budget})
    settings = configuration.load({})

    async def instance() -> None:
        recipients = ExternalRecipients(msgspec.structs.replace(settings, routes={"main": route}), tables, now)

        async def take() -> None:
            if isinstance(await recipients.take("main", request), NotYet):
                counts.refused += 1

        await _sending(SENDERS, take, counts)

    await together(instance() for _ in range(instances))


async def _quotas(tables: RemoteTables, counts: Counts, instances: int) -> None:
    """Simulate a client at half of its rate and of its daily quota, whose requests come one by one."""
    messages = instances * SENDERS * ROUNDS
    # A sender sends a message every 0.175 seconds.
    rate = 2 * round(instances * SENDERS / 0.175 * 60)
    policy = Policy(rate_per_minute=rate, daily_quota=2 * messages)
    client = Client(id="0" * 16, name="app", mac_key=b"", policy=policy)

    async def instance() -> None:
        quotas = Quotas(tables, now)

        async def take() -> None:
            await quotas.take_messages(client, 1)
            await quotas.take_recipients(client, 1)

        await _sending(SENDERS, take, counts)

    await together(instance() for _ in range(instances))


async def _holds(tables: RemoteTables, counts: Counts, instances: int) -> None:
    """Simulate a provider that is away for twenty seconds: the route is held, probed, tried by a canary batch and released."""
    away_until = now() + timedelta(seconds=20)
    is_over = False

    async def deliver(holds: Holds, batch: str) -> None:
        hold = (await holds.all()).get("route")
        if hold is not None and hold.state is RouteState.HELD:
            return
        is_canary = hold is not None and hold.state is RouteState.TRIAL
        if is_canary and not await holds.claim_canary("route", batch):
            return
        await pause(0.05, 0.2)
        if now() < away_until:
            await holds.hold("route", "provider_unavailable", suspect=f"{batch}-00")
        elif is_canary:
            await holds.release("route", "canary", is_by_canary=True, message=f"{batch}-00")

    async def instance(number: int) -> None:
        holds = Holds(tables, now, ())

        async def send(sender: int) -> None:
            while not is_over:
                counts.messages += MESSAGES
                try:
                    await deliver(holds, f"{number:08x}{sender:04x}")
                except Unavailable:
                    counts.refused += MESSAGES
                await pause(0.05, 0.3)

        await together(send(sender) for sender in range(SENDERS))

    async def probe() -> None:
        nonlocal is_over
        holds = Holds(tables, now, ())
        while (hold := (await holds.all(fresh=True)).get("route")) is None or hold.state is not RouteState.ACTIVE:
            if hold is not None and hold.next_probe_at is not None and hold.next_probe_at <= now():
                claimed = await holds.claim_probe(hold)
                if claimed is not None and now() >= away_until:
                    await holds.begin_trial(claimed)
                elif claimed is not None:
                    await holds.postpone_probe(claimed, "provider_unavailable", "")
            await pause(0.9, 1.1)
        is_over = True

    await together([probe(), *(instance(number) for number in range(instances))])


async def _pending(tables: RemoteTables, counts: Counts, instances: int) -> None:
    """Simulate entries that are deferred once: the row is written, and removed when the entry was sent."""
    pending = Pending(tables)

    async def defer() -> None:
        due = Due(
            batch=ids.new_batch_id(), lane="transactional", at=now(), indices=tuple(range(MESSAGES)),
            kind=State.DEFERRED, attempt=2,
        )  # fmt: skip
        await pending.put(due)
        await pending.remove(due)

    await _sending(instances * SENDERS, defer, counts, MESSAGES)


async def _dead_letters(tables: RemoteTables, counts: Counts, instances: int) -> None:
    """Simulate messages that all fail with the same cause."""
    dead_letters = DeadLetters(tables, MemoryBlobs(now), now)

    async def die() -> None:
        batch = ids.new_batch_id()
        dead = [DeadLetter(code="rejected", batch=batch, index=index, at=now()) for index in range(MESSAGES)]
        await dead_letters.note(dead)

    await _sending(instances * SENDERS, die, counts, MESSAGES)


async def _idempotency(tables: RemoteTables, counts: Counts, instances: int) -> None:
    """Simulate requests of one message, each with its own key."""
    keys = Idempotency(tables, now)
    plan = Plan(lane="transactional", entry=join_batch("0" * 32, "transactional", [], []), response=b"{}")

    async def accept() -> None:
        key = ids.new_batch_id()
        await keys.find("0" * 16, key, key)
        await keys.finish(await keys.reserve("0" * 16, key, key, plan))

    await _sending(instances * SENDERS, accept, counts)


_TABLES = (DEAD_LETTERS_TABLE, IDEMPOTENCY_TABLE, PACING_TABLE, PENDING_TABLE, QUOTAS_TABLE, ROUTES_TABLE)
SCENARIOS: Mapping[str, Scenario] = {
    "pace": _paces,
    "external recipients": _external_recipients,
    "quota": _quotas,
    "hold": _holds,
    "pending": _pending,
    "dead letters": _dead_letters,
    "idempotency": _idempotency,
}
