"""Store templates by name and version.

Table `templates`: partition the name, a row for each version, the newest first. A row is never changed: the first writer to
insert a number has it. A deletion is a version too, an empty one, so that a number is never used for another version.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from relay.clients.templates.compiled import CompiledTemplate
from relay.clients.templates.model import Template
from relay.core.errors import AlreadyExists, NotFound, Unavailable
from relay.platform import resources
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Query, Tables, Value, every_row
from relay.platform.storage.readable import decode, moment_of, readable_rows

TABLE = resources.TEMPLATES_TABLE
CACHE = timedelta(seconds=30)
"""Time until all processes know a change."""
MAX_VERSIONS = 100
"""Versions kept of a template."""
_CHUNK = 60_000
_LAST = 99_999_999
_MOST_CACHED = 200


type _Key = tuple[str, int | None]


class Templates:
    """Stores and finds templates."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._clock = clock
        self._compiled: dict[_Key, tuple[CompiledTemplate, datetime]] = {}
        # Kept apart, so that requests for templates that do not exist push no compiled one out.
        self._missing: dict[_Key, datetime] = {}

    async def put(self, template: Template) -> Template:
        """Store the next version. Sets `version` and `created_at`."""
        while True:
            last = await self._newest(template.name)
            if last is not None and _is_deleted(last):
                await self._clear(template.name)
            number = 1 if last is None else _version_of(last) + 1
            made = msgspec.structs.replace(template, version=number, created_at=self._clock())
            try:
                await self._tables.insert(TABLE, _entity(made))
            except AlreadyExists:  # another writer took the number first
                continue
            if number > MAX_VERSIONS:
                await self._tables.delete(TABLE, made.name, _row(number - MAX_VERSIONS))
            self._forget(made.name)
            return made

    async def get(self, name: str, version: int | None = None) -> Template:
        """Read a version, by default the newest. Raises `NotFound`."""
        newest = await self._existing(name)
        is_newest = version is None or version == _version_of(newest)
        row = newest if is_newest else await self._tables.get(TABLE, name, _row(version or 0))
        found = decode(TABLE, row, _template)
        if found.is_deleted:
            raise NotFound("no such version")
        return found

    async def compiled(self, name: str, version: int | None = None) -> CompiledTemplate:
        """Return a compiled version, at most `CACHE` old. Raises `NotFound`."""
        compiled = await self.find(name, version)
        if compiled is None:
            raise NotFound("no such template or version")
        return compiled

    async def find(self, name: str, version: int | None = None) -> CompiledTemplate | None:
        """Return a compiled version, or None if there is none, at most `CACHE` old.

        Raises `StorageError` only before the first read: while storage is unavailable, the last read counts.
        """
        key, now = (name, version), self._clock()
        compiled, read_at = self._compiled.get(key, (None, now))
        if compiled is not None and now - read_at <= CACHE:
            return compiled
        missed_at = self._missing.get(key)
        if missed_at is not None and now - missed_at <= CACHE:
            return None
        try:
            template = await self.get(name, version)
        except NotFound:
            self._compiled.pop(key, None)
            _put_bounded(self._missing, key, now)
            return None
        except Unavailable:
            if compiled is None and missed_at is None:
                raise
            log_event("templates_stale", level=logging.WARNING)
            return compiled
        if compiled is None or compiled.template != template:
            # Compiling a large template would block the event loop for too long.
            compiled = await asyncio.to_thread(CompiledTemplate, template)
        _put_bounded(self._compiled, key, (compiled, now))
        return compiled

    async def versions(self, name: str) -> Sequence[Template]:
        """Return all usable versions, newest first. Raises `NotFound` if there is none."""
        await self._existing(name)
        found = readable_rows(self._tables, TABLE, Query(partition=name), _template)
        return [each async for each in found if not each.is_deleted]

    async def index(self) -> Sequence[tuple[str, int, datetime]]:
        """List every template: name, newest version and its time. Costs one operation per thousand versions."""
        query = Query(select=("version", "created_at", "is_deleted"))
        newest: dict[str, Entity] = {}
        async for entity in every_row(self._tables, TABLE, query):
            newest.setdefault(entity.partition, entity)
        return [
            (name, _version_of(row), moment_of(row, "created_at") or self._clock())
            for name, row in newest.items()
            if not _is_deleted(row)
        ]

    async def delete(self, name: str) -> None:
        """Delete a template with all its versions. Raises `NotFound`."""
        await self._existing(name)
        # From here on it is deleted; if the process dies now, the next `put` removes the rest.
        await self.put(Template(name=name, version=0, created_at=self._clock(), is_deleted=True))
        await self._clear(name)

    async def _clear(self, name: str) -> None:
        """Delete all versions but the newest."""
        query = Query(partition=name, select=("version",))
        rows = [row.row async for row in every_row(self._tables, TABLE, query)]
        await self._tables.delete_all(TABLE, name, rows[1:])

    async def _existing(self, name: str) -> Entity:
        """Return the row of the newest version. Raises `NotFound` if there is none, or the template is deleted."""
        newest = await self._newest(name)
        if newest is None or _is_deleted(newest):
            raise NotFound("no such template")
        return newest

    async def _newest(self, name: str) -> Entity | None:
        page = await self._tables.query(TABLE, Query(partition=name), limit=1)
        return page.entities[0] if page.entities else None

    def _forget(self, name: str) -> None:
        self._compiled = {key: value for key, value in self._compiled.items() if key[0] != name}
        self._missing = {key: value for key, value in self._missing.items() if key[0] != name}


def _put_bounded[T](cache: dict[_Key, T], key: _Key, value: T) -> None:
    if len(cache) >= _MOST_CACHED:
        cache.clear()
    cache[key] = value


def _row(version: int) -> str:
    return f"{_LAST - version:08d}"


def _version_of(row: Entity) -> int:
    return _LAST - int(row.row)


def _is_deleted(row: Entity) -> bool:
    """Return whether a version is a deletion; one that does not say so is not."""
    return row.properties.get("is_deleted") is True


def _entity(template: Template) -> Entity:
    encoded = msgspec.json.encode(template)
    chunks = [encoded[at : at + _CHUNK] for at in range(0, len(encoded), _CHUNK)]
    properties: dict[str, Value] = {f"template{number}": chunk for number, chunk in enumerate(chunks)}
    properties |= {
        "version": template.version,
        "created_at": template.created_at.isoformat(),
        "is_deleted": template.is_deleted,
    }
    return Entity(partition=template.name, row=_row(template.version), properties=properties)


def _template(entity: Entity) -> Template:
    properties = entity.properties
    count = sum(name.startswith("template") for name in properties)
    chunks = [properties[f"template{number}"] for number in range(count)]
    return _decoder.decode(b"".join(chunk for chunk in chunks if isinstance(chunk, bytes)))


_decoder = msgspec.json.Decoder(Template)
