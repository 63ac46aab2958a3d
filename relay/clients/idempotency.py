"""Process a repeated request once: `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).

A key is reserved together with the entry to put and the response to return. So a process may die at any point: a repeated
request puts the same bytes, whatever has changed since (time, policy, template, settings), and the journal's duplicate check
recognizes the second entry. Table `idempotency`: partition by hash, a row per client (its id) and key, kept for a day
(docs/decisions/0008-idempotency.md).
"""

import hashlib
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from relay.core import entries
from relay.core.errors import AlreadyExists, Changed, NotFound, Refusal, UnreadableEntry
from relay.platform import resources
from relay.platform.storage.ports import Entity, Tables, Value
from relay.platform.storage.readable import decode, moment_of

TABLE = resources.IDEMPOTENCY_TABLE
KEPT = timedelta(hours=24)
LEASE = timedelta(seconds=30)
MAX_KEY = 255
MAX_RESPONSE = 900_000
"""Limit of a stored response, in compressed bytes."""
_CHUNK = 60_000
"""Bytes of a response per property; the limit of a property is 64 KiB, of a row 1 MiB."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of a request, decided once: the entry to put on a queue of `lane`, and the response to return.

    `expires_at` is the expiry of the message, if the request is one message.
    """

    lane: str
    entry: bytes
    response: bytes
    expires_at: datetime | None = None


class Reserved(msgspec.Struct, frozen=True, kw_only=True):
    """The right to put the entry of this key's plan, until the lease ends."""

    partition: str
    row: str
    plan: Plan


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The stored response of a key whose request was already accepted."""

    response: bytes
    expires_at: datetime | None = None


class Idempotency:
    """Reserves each key with the plan of its request, and records when the request was accepted."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._clock = clock

    async def find(self, client_id: str, key: str, fingerprint: str) -> Reserved | Replay | None:
        """Find a key: None if it is new, `Reserved` if its first request did not finish, `Replay` if it did.

        Raises `Refusal`: 422 if the key came with another payload, 409 while the first request is still in progress.
        """
        partition, row = _place(client_id, key)
        try:
            known = await self._tables.get(TABLE, partition, row)
        except NotFound:
            return None
        if self._is_over(known):
            return None
        try:
            plan, is_done = decode(TABLE, known, _stored)
        except UnreadableEntry as error:
            # The request may have been accepted: repeating it could send the message twice.
            text = (
                "What was recorded for this Idempotency-Key cannot be read, so the first request may have been accepted. "
                "Use a new key to send the message again."
            )
            raise Refusal(409, "idempotency_key_unreadable", text, target="Idempotency-Key") from error
        if known.properties["fingerprint"] != fingerprint:
            raise Refusal(
                422,
                "idempotency_key_reused",
                "This Idempotency-Key was already used with a different payload. Use a new key for a new message.",
                target="Idempotency-Key",
            )
        if is_done:
            return Replay(response=plan.response, expires_at=plan.expires_at)
        return await self._take_over(known, plan)

    async def reserve(self, client_id: str, key: str, fingerprint: str, plan: Plan) -> Reserved:
        """Store the plan of a new key. No entry is put before this has returned.

        Raises `Refusal`: 409 if another request was faster, 413 if the response is too large to be kept.
        """
        partition, row = _place(client_id, key)
        entity = Entity(partition=partition, row=row, properties=self._properties(fingerprint, plan))
        try:
            await self._tables.insert(TABLE, entity)
        except AlreadyExists as error:
            await self._replace(entity, error)
        return Reserved(partition=partition, row=row, plan=plan)

    async def finish(self, reserved: Reserved) -> None:
        """Record that the entry was put, and delete its content. If this write is lost, a repeated request puts it again."""
        properties: dict[str, Value] = {"is_done": True, "entry": b""}
        await self._tables.merge(TABLE, Entity(partition=reserved.partition, row=reserved.row, properties=properties))

    async def release(self, reserved: Reserved) -> None:
        """End the lease: the put failed, so the next request with this key may try at once."""
        properties: dict[str, Value] = {"lease_until": self._clock().isoformat()}
        await self._tables.merge(TABLE, Entity(partition=reserved.partition, row=reserved.row, properties=properties))

    async def _take_over(self, known: Entity, plan: Plan) -> Reserved:
        now = self._clock()
        lease_until = _lease_end(known) or now
        if lease_until > now:
            raise in_flight(1 + int((lease_until - now).total_seconds()))
        properties: dict[str, Value] = {"lease_until": (now + LEASE).isoformat()}
        taken = Entity(partition=known.partition, row=known.row, properties=properties)
        try:
            await self._tables.merge(TABLE, taken, etag=known.etag)
        except (Changed, NotFound) as error:
            raise in_flight(1) from error
        return Reserved(partition=known.partition, row=known.row, plan=plan)

    async def _replace(self, entity: Entity, error: AlreadyExists) -> None:
        """Overwrite the row of a key whose day is over. Raises `Refusal` if it is not, or another request was faster."""
        try:
            known = await self._tables.get(TABLE, entity.partition, entity.row)
            if not self._is_over(known):
                raise in_flight(1) from error
            await self._tables.merge(TABLE, entity, etag=known.etag)
        except (Changed, NotFound) as lost:
            raise in_flight(1) from lost

    def _is_over(self, known: Entity) -> bool:
        created_at = moment_of(known, "created_at")
        return created_at is not None and created_at + KEPT <= self._clock()

    def _properties(self, fingerprint: str, plan: Plan) -> dict[str, Value]:
        now = self._clock()
        response = zlib.compress(plan.response)
        if len(response) > MAX_RESPONSE:
            text = "The response to this request is too large to be kept for its Idempotency-Key. Send smaller batches."
            raise Refusal(413, "message_too_large", text)
        chunks = [response[at : at + _CHUNK] for at in range(0, len(response), _CHUNK)]
        return {
            "fingerprint": fingerprint,
            "created_at": now.isoformat(),
            "lease_until": (now + LEASE).isoformat(),
            "is_done": False,
            "lane": plan.lane,
            "entry": plan.entry,
            "expires_at": "" if plan.expires_at is None else plan.expires_at.isoformat(),
            "chunks": len(chunks),
            **{f"response{number:02d}": chunk for number, chunk in enumerate(chunks)},
        }


def _lease_end(known: Entity) -> datetime | None:
    """Return the end of a lease: at most `LEASE` after its write by the service's clock, even if the writer's was ahead."""
    lease_until, written_at = moment_of(known, "lease_until"), known.written_at
    if lease_until is None or written_at is None:
        return lease_until
    return min(lease_until, written_at + LEASE)


def _stored(known: Entity) -> tuple[Plan, bool]:
    """Read the plan of a key, and whether its request was finished."""
    for name in ("fingerprint", "lane"):
        msgspec.convert(known.properties[name], str)
    is_done = msgspec.convert(known.properties["is_done"], bool)
    plan = _plan(known)
    if not is_done:
        # A damaged entry must not be put on the queue.
        entries.decode_entry(plan.entry)
    return plan, is_done


def _plan(known: Entity) -> Plan:
    # Read only `chunks` of them: a row that is reused after its day may still contain more chunks of an older response.
    count = int(str(known.properties["chunks"]))
    chunks = (known.properties[f"response{number:02d}"] for number in range(count))
    expires_at = str(known.properties["expires_at"])
    entry = known.properties["entry"]
    return Plan(
        lane=str(known.properties["lane"]),
        entry=entry if isinstance(entry, bytes) else b"",
        response=zlib.decompress(b"".join(chunk for chunk in chunks if isinstance(chunk, bytes))),
        expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
    )


def fingerprint(*parts: str | bytes) -> str:
    """Hash a request. JSON bodies are brought to a canonical form first, so that the order of fields does not matter."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else _canonical(part)
        digest.update(len(encoded).to_bytes(8))
        digest.update(encoded)
    return digest.hexdigest()


def in_flight(seconds: int) -> Refusal:
    """Return the refusal while the first request with a key is in progress."""
    return Refusal(
        409,
        "idempotency_key_in_use",
        "A request with this Idempotency-Key is still in progress. Retry after Retry-After.",
        target="Idempotency-Key",
        headers={"Retry-After": str(seconds)},
    )


def _canonical(body: bytes) -> bytes:
    try:
        return msgspec.json.encode(msgspec.json.decode(body), order="sorted")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return body


def _place(client_id: str, key: str) -> tuple[str, str]:
    digest = hashlib.sha256(f"{client_id}\n{key}".encode()).hexdigest()
    return digest[:2], digest[2:]
