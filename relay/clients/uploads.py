"""Store files that callers upload once and use in messages: `POST /v1/attachments`.

Table `attachments`: partition the client's id, a row for each upload; its bytes are blob `uploads/<id>` of container
`attachments`, and while it is uploaded in parts, `uploads/<id>.<part>`. An unused upload is deleted after a day. A used one is
kept as long as any message may need it: `keep` writes that before the message is accepted, and the purge deletes a row only
if its ETag still matches.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Set
from datetime import datetime, timedelta
from functools import partial

import msgspec

from relay.core.errors import Changed, NotFound
from relay.platform import concurrency, resources
from relay.platform.concurrency import NEVER, Deadline, Progress, process
from relay.platform.resources import ATTACHMENTS_CONTAINER
from relay.platform.storage.ports import Blob, Blobs, Entity, Query, Tables, every_blob, every_row
from relay.platform.storage.readable import decode, readable
from relay.platform.storage.rows import RowChange, change_row

TABLE = resources.UPLOADS_TABLE
PREFIX = "att_"
MAX_BYTES = 157_286_400
"""Limit of an upload: that of Exchange Online for one attachment."""
MAX_PART_BYTES = 16_777_216
MAX_PARTS = 1000
KEPT_UNUSED = timedelta(hours=24)
_EXTENDED_EARLY = timedelta(days=1)
"""Extra time an upload is kept, so that a frequently used one is written once a day."""
_BLOBS = "uploads/"
_AT_ONCE = 8

_DELETES_AT_ONCE = 8


class TooLarge(ValueError):
    """The upload exceeds `MAX_BYTES`."""


class Incomplete(ValueError):
    """Parts are missing: `missing` is the first of them, `parts` the number of existing parts."""

    def __init__(self, missing: int, parts: int) -> None:
        super().__init__(f"part {missing} is missing")
        self.missing = missing
        self.parts = parts


class WrongSize(ValueError):
    """The parts have `size` bytes together, which differs from the announced size."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the parts have {size} bytes")
        self.size = size


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload. `size` is 0 until it is complete. The purge may delete it after `keep_until`."""

    id: str
    client_id: str
    name: str
    type: str
    size: int
    is_complete: bool
    created_at: datetime
    keep_until: datetime
    etag: str = ""

    @property
    def blob(self) -> str:
        """The name of its blob in container `attachments`."""
        return _BLOBS + self.id

    @property
    def is_used(self) -> bool:
        """Whether a message uses it."""
        return self.keep_until > self.created_at + KEPT_UNUSED


class Uploads:
    """Stores and finds uploads."""

    def __init__(
        self, *, tables: Tables, blobs: Blobs, clock: Callable[[], datetime], new_id: Callable[[], str]
    ) -> None:
        self._tables = tables
        self._blobs = blobs
        self._clock = clock
        self._new_id = new_id

    async def store(self, client_id: str, name: str, type_: str, body: bytes) -> Upload:
        """Store a whole file. Raises `TooLarge`."""
        if len(body) > MAX_BYTES:
            raise TooLarge
        upload = self._fresh(client_id, name, type_, size=len(body))
        # The row first, so that the purge finds the blob by its row.
        await self._tables.insert(TABLE, _entity(msgspec.structs.replace(upload, is_complete=False)))
        await self._blobs.put(ATTACHMENTS_CONTAINER, upload.blob, body)
        await self._tables.merge(TABLE, _entity(upload))
        return upload

    async def begin(self, client_id: str, name: str, type_: str) -> Upload:
        """Start an upload in parts."""
        upload = msgspec.structs.replace(self._fresh(client_id, name, type_, size=0), is_complete=False)
        await self._tables.insert(TABLE, _entity(upload))
        return upload

    async def put_part(self, upload: Upload, number: int, body: bytes) -> None:
        """Store a part. Repeating a number replaces the part."""
        await self._blobs.put(ATTACHMENTS_CONTAINER, _part(upload, number), body)

    async def complete(self, upload: Upload, size: int | None = None) -> Upload:
        """Join the parts as a stream. Repeating is safe. `size` is the expected total.

        Raises `Incomplete`, `WrongSize` and `TooLarge`.
        """
        if upload.is_complete:
            return upload
        sizes = await self._parts(upload)
        missing = next((number for number in range(1, len(sizes) + 2) if number not in sizes), 1)
        if missing <= len(sizes) or not sizes:
            raise Incomplete(missing, len(sizes))
        total = sum(sizes.values())
        if size is not None and size != total:
            raise WrongSize(total)
        if total > MAX_BYTES:
            raise TooLarge
        joined = await self._blobs.put_stream(ATTACHMENTS_CONTAINER, upload.blob, self._joined(upload, len(sizes)))
        whole = msgspec.structs.replace(upload, size=joined, is_complete=True)
        etag = await self._tables.merge(TABLE, _entity(whole), etag=upload.etag)
        await self._delete_parts(upload)
        return msgspec.structs.replace(whole, etag=etag)

    async def get(self, client_id: str, name: str) -> Upload:
        """Read an upload of a client. Raises `NotFound`."""
        return decode(TABLE, await self._tables.get(TABLE, client_id, name), _upload)

    async def find(self, client_id: str, names: Iterable[str]) -> Mapping[str, Upload]:
        """Return the complete uploads of the client among these ids, by id."""

        async def one(name: str) -> Upload | None:
            try:
                return await self.get(client_id, name)
            except NotFound:
                return None

        found = await concurrency.gather_limited((partial(one, name) for name in names), limit=_AT_ONCE)
        return {upload.id: upload for upload in found if upload is not None and upload.is_complete}

    async def keep(self, upload: Upload, until: datetime) -> bool:
        """Keep an upload at least until this time. Returns False if it was deleted."""
        if upload.keep_until >= until:
            return True

        def decide(entity: Entity | None) -> RowChange[bool]:
            known = decode(TABLE, entity, _upload) if entity else None
            if known is None or not known.is_complete:
                return RowChange(result=False)
            if known.keep_until >= until:
                return RowChange(result=True)
            longer = msgspec.structs.replace(known, keep_until=until + _EXTENDED_EARLY)
            return RowChange(result=True, properties=_entity(longer).properties)

        return await change_row(self._tables, TABLE, upload.client_id, upload.id, decide, known=_entity(upload))

    async def delete(self, upload: Upload) -> None:
        """Delete an upload. Raises `Changed` if a message has used it since it was read."""
        gone = msgspec.structs.replace(upload, is_complete=False)
        # From here on no message can use it, and the next purge finishes an interrupted deletion.
        etag = await self._tables.merge(TABLE, _entity(gone), etag=upload.etag)
        await self._blobs.delete(ATTACHMENTS_CONTAINER, upload.blob)
        await self._delete_parts(upload)
        await self._tables.delete(TABLE, upload.client_id, upload.id, etag=etag)

    async def remove_all(self, client_id: str, deadline: Deadline = NEVER) -> Progress:
        """Delete the uploads of a deleted client that no message uses; the others are purged when no message may need them."""
        return await process(
            self._every(Query(partition=client_id)),
            self._delete_unless_changed,
            limit=_DELETES_AT_ONCE,
            deadline=deadline,
            needs_work=lambda upload: not upload.is_used,
        )

    async def purge(self, deadline: Deadline = NEVER) -> Progress:
        """Delete expired uploads. Costs one operation per thousand uploads, and four per deletion."""
        now = self._clock()
        known: set[str] = set()
        progress = await process(
            self._every(Query(), known),
            self._delete_unless_changed,
            limit=_DELETES_AT_ONCE,
            deadline=deadline,
            needs_work=lambda upload: upload.keep_until <= now,
        )
        if progress.is_complete:
            # Only now are all existing uploads known.
            progress += Progress(is_complete=await self._sweep(known, now - KEPT_UNUSED, deadline))
        return progress

    async def _every(self, query: Query, rows: set[str] | None = None) -> AsyncIterator[Upload]:
        """Yield the readable uploads of a query. `rows` gets the ids of all, also of those that cannot be read."""
        async for entity in every_row(self._tables, TABLE, query):
            if rows is not None:
                rows.add(entity.row)
            for upload in readable(TABLE, (entity,), _upload):
                yield upload

    async def _delete_unless_changed(self, upload: Upload) -> bool:
        try:
            await self.delete(upload)
        except (Changed, NotFound):
            return False
        return True

    async def _sweep(self, known: Set[str], before: datetime, deadline: Deadline) -> bool:
        """Delete old blobs without a row: parts that arrived while their upload was deleted. Returns whether all are gone."""

        def is_unknown(blob: Blob) -> bool:
            return blob.name.removeprefix(_BLOBS).partition(".")[0] not in known and blob.modified_at < before

        async def delete(blob: Blob) -> bool:
            await self._blobs.delete(ATTACHMENTS_CONTAINER, blob.name)
            return True

        blobs = every_blob(self._blobs, ATTACHMENTS_CONTAINER, prefix=_BLOBS)
        swept = await process(blobs, delete, limit=_DELETES_AT_ONCE, deadline=deadline, needs_work=is_unknown)
        return swept.is_complete

    def _fresh(self, client_id: str, name: str, type_: str, *, size: int) -> Upload:
        now = self._clock()
        return Upload(
            id=PREFIX + self._new_id(),
            client_id=client_id,
            name=name,
            type=type_,
            size=size,
            is_complete=True,
            created_at=now,
            keep_until=now + KEPT_UNUSED,
        )

    async def _parts(self, upload: Upload) -> Mapping[int, int]:
        """Return the sizes of the existing parts, by number."""
        prefix = f"{upload.blob}."
        parts = every_blob(self._blobs, ATTACHMENTS_CONTAINER, prefix=prefix)
        return {int(part.name.removeprefix(prefix)): part.size async for part in parts}

    async def _joined(self, upload: Upload, parts: int) -> AsyncIterator[bytes]:
        for number in range(1, parts + 1):
            async for chunk in self._blobs.stream(ATTACHMENTS_CONTAINER, _part(upload, number)):
                yield chunk

    async def _delete_parts(self, upload: Upload) -> None:
        for number in await self._parts(upload):
            await self._blobs.delete(ATTACHMENTS_CONTAINER, _part(upload, number))


def _part(upload: Upload, number: int) -> str:
    return f"{upload.blob}.{number:04d}"


def _entity(upload: Upload) -> Entity:
    return Entity(
        partition=upload.client_id,
        row=upload.id,
        properties={
            "name": upload.name,
            "type": upload.type,
            "size": upload.size,
            "is_complete": upload.is_complete,
            "created_at": upload.created_at.isoformat(),
            "keep_until": upload.keep_until.isoformat(),
        },
        etag=upload.etag,
    )


def _upload(entity: Entity) -> Upload:
    properties = entity.properties
    return Upload(
        id=entity.row,
        client_id=entity.partition,
        name=str(properties["name"]),
        type=str(properties["type"]),
        size=int(str(properties["size"])),
        is_complete=msgspec.convert(properties["is_complete"], bool),
        created_at=datetime.fromisoformat(str(properties["created_at"])),
        keep_until=datetime.fromisoformat(str(properties["keep_until"])),
        etag=entity.etag,
    )
