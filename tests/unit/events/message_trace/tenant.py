"""A Relay over storage in memory that reads the message trace of a tenant's stand-in over TLS, both by one clock."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from relay.core.events import RecordedEvent
from relay.core.model import Submission
from relay.core.settings import MessageTrace, Route, Settings
from relay.events.provider_events import QUEUE, Entry, decode
from standins.entra import DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT
from standins.graph.server import GraphStandIn
from standins.graph.trace import Trace, TraceRow
from standins.tls import Authority
from tests.doubles import Clock, Place, settings_of
from tests.http_clients import trust

AUTHORITY = Authority()
ROUTE = "exchange"
SENDER = "shop@example.org"


class Tenant:
    """A tenant's stand-in and a Relay that reads its trace."""

    def __init__(self, standin: GraphStandIn, place: Place) -> None:
        self.standin = standin
        self.place = place

    @property
    def trace(self) -> Trace:
        return self.standin.trace

    @property
    def clock(self) -> Clock:
        return self.place.time

    async def send(self, *submissions: Submission) -> tuple[str, Sequence[str]]:
        """Send messages in one batch; its name, and the names of its messages."""
        batch = await self.place.send(*submissions)
        record = await self.place.journal.read(batch)
        entry = record.entry()
        return batch, [record.message_id(index, entry) for index in range(len(record.statuses))]

    def add(self, message: str, recipient: str, status: str = "delivered", **fields: Any) -> None:
        """Add a row that Exchange has for a message of Relay's, received now."""
        row: dict[str, Any] = {
            "id": f"trace-{message}",
            "message_id": f"<{message}@example.org>",
            "recipient": recipient,
            "status": status,
            "received_at": self.clock(),
        }
        self.trace.others.append(TraceRow(**{**row, **fields}))

    async def run(self, minutes: float = 0.0) -> None:
        """Let the time pass, then read the trace."""
        self.clock.move(minutes * 60)
        await self.place.message_traces.run()

    async def events(self, batch: str) -> Sequence[RecordedEvent]:
        """Apply what is on the queue; the events of a batch."""
        while received := await self.place.memory.queues.receive(QUEUE, limit=32):
            for each in received:
                await self.place.events.apply(each.body)
                await self.place.memory.queues.delete(QUEUE, each)
        _, events = await self.place.journal.history(batch)
        return events

    def queued(self) -> list[Entry]:
        return [decode(body) for body in self.place.memory.queues.bodies(QUEUE)]

    def most_requests(self, within: timedelta = timedelta(minutes=5)) -> int:
        """Return the most requests that the tenant served in any period of this length."""
        times = self.trace.requests
        return max((sum(1 for each in times if at <= each < at + within) for at in set(times)), default=0)


def trace_settings(url: str, **more: Any) -> Settings:
    identity = {
        "tenant_id": DEFAULT_TENANT,
        "client_id": DEFAULT_CLIENT,
        "client_secret": "setting:CLIENT_SECRET",
        "authority": url,
        "base_url": url,
    }
    values: dict[str, Any] = {
        "message_traces": (MessageTrace(routes=(ROUTE,), settings=identity),),
        "application": {"CLIENT_SECRET": DEFAULT_SECRET},
    }
    return settings_of(Route(name=ROUTE, provider="graph"), **{**values, **more})


@asynccontextmanager
async def another(tenant: Tenant) -> AsyncIterator[Place]:
    """Yield another instance of the same Relay."""
    place = Place(tenant.place.settings, tenant.clock)
    place.memory = tenant.place.memory
    place.storage = tenant.place.storage
    trust(place, AUTHORITY)
    yield place
    await place.credentials.close()
    place.http.close()
    await place.azure_session().close()


@asynccontextmanager
async def tenant_of(start: datetime | None = None, **more: Any) -> AsyncIterator[Tenant]:
    """Yield a tenant whose trace nothing was read of."""
    clock = Clock(start) if start is not None else Clock()
    async with GraphStandIn(authority=AUTHORITY, clock=clock) as standin:
        place = Place(trace_settings(standin.url, **more), clock)
        await place.create_storage()
        trust(place, AUTHORITY)
        yield Tenant(standin, place)
        await place.close()
