"""The same request twice is one request: `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).

A key is reserved together with the batch id its messages will have. So a process may die at any point: whoever
repeats the request puts an entry with the same batch id, and the journal's duplicate check makes the two one.
Table `idempotency`: partition by hash, a row per client and key, kept for a day.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from relay.core import ids
from relay.core.errors import AlreadyExists, Changed, NotFound, Refusal
from relay.platform import resources
from relay.platform.storage.ports import Entity, Tables

TABLE = resources.IDEMPOTENCY_TABLE
KEPT = timedelta(hours=24)
LEASE = timedelta(seconds=30)
MAX_KEY = 255
MAX_ANSWER = 900_000
"""Bytes of an answer that can be kept."""
_CHUNK = 60_000
"""Bytes of an answer in one property; a property holds 64 KiB, a row 1 MiB."""


class Reserved(msgspec.Struct, frozen=True, kw_only=True):
    """The right to answer this key now. `batch` is the batch id to use, whoever has the right."""

    partition: str
    row: str
    batch: str
    etag: str


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The key was answered already: with this body."""

    body: bytes


class Idempotency:
    """Reserves keys and keeps their answers."""

    def __init__(
        self, tables: Tables, clock: Callable[[], datetime], new_batch: Callable[[], str] = ids.new_batch_id
    ) -> None:
        self._tables = tables
        self._clock = clock
        self._new_batch = new_batch

    async def begin(self, client: str, key: str, fingerprint: str) -> Reserved | Replay:
        """Reserve a key, or find its answer.

        Raises `Refusal`: 422 when the key came with another payload, 409 when the first request is still under way.
        """
        partition, row = _place(client, key)
        fresh = Reserved(partition=partition, row=row, batch=self._new_batch(), etag="")
        try:
            etag = await self._tables.insert(TABLE, self._entity(fresh, fingerprint))
            return msgspec.structs.replace(fresh, etag=etag)
        except AlreadyExists:
            return await self._again(fresh, fingerprint)

    async def finish(self, reserved: Reserved, body: bytes) -> None:
        """Keep the answer. If this is lost, a repetition makes the same answer from the same batch id."""
        chunks = {f"answer{n:02d}": body[at : at + _CHUNK] for n, at in enumerate(range(0, len(body), _CHUNK))}
        row = Entity(
            partition=reserved.partition,
            row=reserved.row,
            properties={"is_done": True, "chunks": len(chunks), **chunks},
        )
        await self._tables.merge(TABLE, row)

    async def release(self, reserved: Reserved) -> None:
        """Let the next request with this key try at once: this one failed. The batch id stays."""
        row = Entity(
            partition=reserved.partition, row=reserved.row, properties={"lease_until": self._clock().isoformat()}
        )
        await self._tables.merge(TABLE, row)

    async def _again(self, fresh: Reserved, fingerprint: str) -> Reserved | Replay:
        try:
            known = await self._tables.get(TABLE, fresh.partition, fresh.row)
        except NotFound as error:
            raise in_flight(1) from error
        now = self._clock()
        if datetime.fromisoformat(str(known.properties["created_at"])) + KEPT <= now:
            return await self._take(fresh, fingerprint, known.etag)
        if known.properties["fingerprint"] != fingerprint:
            raise Refusal(
                422,
                "idempotency_key_reused",
                "This Idempotency-Key was used with another payload. Use a new key for a new message.",
                target="Idempotency-Key",
            )
        if known.properties.get("is_done"):
            return Replay(body=_answer(known))
        lease_until = datetime.fromisoformat(str(known.properties["lease_until"]))
        if lease_until > now:
            raise in_flight(1 + int((lease_until - now).total_seconds()))
        same = msgspec.structs.replace(fresh, batch=str(known.properties["batch"]))
        return await self._take(same, fingerprint, known.etag, created_at=str(known.properties["created_at"]))

    async def _take(self, reserved: Reserved, fingerprint: str, etag: str, created_at: str | None = None) -> Reserved:
        try:
            etag = await self._tables.merge(TABLE, self._entity(reserved, fingerprint, created_at), etag=etag)
        except (Changed, NotFound) as error:
            raise in_flight(1) from error
        return msgspec.structs.replace(reserved, etag=etag)

    def _entity(self, reserved: Reserved, fingerprint: str, created_at: str | None = None) -> Entity:
        now = self._clock()
        return Entity(
            partition=reserved.partition,
            row=reserved.row,
            properties={
                "fingerprint": fingerprint,
                "batch": reserved.batch,
                "created_at": created_at or now.isoformat(),
                "lease_until": (now + LEASE).isoformat(),
                "is_done": False,
            },
        )


def fingerprint(*parts: str | bytes) -> str:
    """A digest of what a request says; JSON bodies in one canonical form, whatever the order of their fields."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else _canonical(part)
        digest.update(len(encoded).to_bytes(8))
        digest.update(encoded)
    return digest.hexdigest()


def in_flight(seconds: int) -> Refusal:
    """The answer while the first request with a key is under way."""
    return Refusal(
        409,
        "idempotency_key_in_use",
        "A request with this Idempotency-Key is still under way. Repeat it after Retry-After.",
        target="Idempotency-Key",
        headers={"Retry-After": str(seconds)},
    )


def _canonical(body: bytes) -> bytes:
    try:
        return msgspec.json.encode(msgspec.json.decode(body), order="sorted")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return body


def _place(client: str, key: str) -> tuple[str, str]:
    digest = hashlib.sha256(f"{client}\n{key}".encode()).hexdigest()
    return digest[:2], digest[2:]


def _answer(entity: Entity) -> bytes:
    # Counted, because a row that was taken again after its day may still hold more chunks of an older answer.
    chunks = (entity.properties[f"answer{n:02d}"] for n in range(int(str(entity.properties["chunks"]))))
    return b"".join(chunk for chunk in chunks if isinstance(chunk, bytes))
