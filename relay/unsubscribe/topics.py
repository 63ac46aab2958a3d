"""Store the topics of clients: table `topics`, partition the client's id, a row for each topic.

A recipient can unsubscribe from a topic. Deleting a topic keeps its suppressions, so that recipients who had unsubscribed get no
mail about a later topic of the same name.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from relay.core.errors import NotFound
from relay.platform import resources
from relay.platform.concurrency import NEVER, Deadline, Progress
from relay.platform.storage.ports import Entity, Query, Tables, delete_where
from relay.platform.storage.readable import decode, readable, readable_rows

TABLE = resources.TOPICS_TABLE
CACHE = timedelta(seconds=30)
"""Time until all processes know a change."""
MAX_TOPICS = 100
"""Topics of a client: a preference page shows all of them."""
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class Topic(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A topic. `titles` and `descriptions` are by language (`en`, `ja`, `pt-br`).

    `sendgrid_group_id` is the unsubscribe group of SendGrid for the same topic; 0: none.
    """

    name: str
    created_at: datetime
    titles: Mapping[str, str] = {}
    descriptions: Mapping[str, str] = {}
    sendgrid_group_id: int = 0


class Topics:
    """Reads topics (cached for `CACHE`) and changes them."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._clock = clock
        self._known: dict[str, tuple[Mapping[str, Topic], datetime]] = {}
        self._reading = asyncio.Lock()

    async def of(self, client_id: str, *, fresh: bool = False) -> Mapping[str, Topic]:
        """Return the topics of a client by name, at most `CACHE` old."""
        async with self._reading:
            now = self._clock()
            known, read_at = self._known.get(client_id, ({}, None))
            if fresh or read_at is None or now - read_at > CACHE:
                topics = readable_rows(self._tables, TABLE, Query(partition=client_id), _topic)
                known = {topic.name: topic async for topic in topics}
                self._known[client_id] = known, now
            return known

    async def get(self, client_id: str, name: str) -> Topic:
        """Read a topic from storage. Raises `NotFound`."""
        return decode(TABLE, await self._tables.get(TABLE, client_id, name), _topic)

    async def of_group(self, client_id: str, group: int) -> Topic | None:
        """Return the topic for an unsubscribe group of SendGrid, the first by name if there are several; else None."""
        found = (each for _, each in sorted((await self.of(client_id)).items()) if each.sendgrid_group_id == group)
        return next(found, None) if group else None

    async def put(self, client_id: str, topic: Topic) -> bool:
        """Store a topic in place of the one of its name. Returns whether there was none."""
        try:
            known = await self._tables.get(TABLE, client_id, topic.name)
        except NotFound:
            known = None
        for each in readable(TABLE, (known,) if known is not None else (), _topic):
            topic = msgspec.structs.replace(topic, created_at=each.created_at)
        properties = {"topic": msgspec.json.encode(topic)}
        await self._tables.upsert(TABLE, Entity(partition=client_id, row=topic.name, properties=properties))
        self._known.pop(client_id, None)
        return known is None

    async def delete(self, client_id: str, name: str) -> None:
        """Delete a topic. A missing one is not an error."""
        await self._tables.delete(TABLE, client_id, name)
        self._known.pop(client_id, None)

    async def remove_all(self, client_id: str, deadline: Deadline = NEVER) -> Progress:
        """Delete the topics of a deleted client."""
        query = Query(partition=client_id, select=())
        return await delete_where(self._tables, TABLE, query, lambda _: True, deadline=deadline, keeps_changed=False)


def _topic(entity: Entity) -> Topic:
    topic = _decoder.decode(msgspec.convert(entity.properties["topic"], bytes))
    if topic.name != entity.row:
        raise ValueError("the row holds another topic")
    return topic


_decoder = msgspec.json.Decoder(Topic)
