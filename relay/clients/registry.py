"""Store clients, their keys and their policies.

One row per client in table `clients`. Its random `id` is made with the row, and everything that belongs to the client is stored
under the id, so that a later client of the same name finds nothing of it. A client may have two active keys of each role, for
rotation. Every process caches all rows for `CACHE_SECONDS`.
"""

import asyncio
import math
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from relay.clients.keys import Key, Role, key_id_of, new_key
from relay.clients.policy import NO_LIMITS, Policy
from relay.core.errors import AlreadyExists, NotFound, StorageError, UnreadableEntry
from relay.platform import resources
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Query, Tables, Value, every_row
from relay.platform.storage.readable import decode, readable_rows

TABLE = resources.CLIENTS_TABLE
_PARTITION = "client"
_USED = "used"
_DELETED = "deleted"
_ENTRA_PREFIX = "entra-"
CACHE_SECONDS = 30.0
RENEWED_AFTER_SECONDS = 25.0
"""At this age one caller reads the rows again, while the others use those that are known: nobody else waits for storage."""
UNKNOWN_KEY_SECONDS = 5.0
"""An unknown key reloads the rows, at most once in this time."""
MAX_ACTIVE_KEYS = 2
"""Active keys of a client with the same role."""
USE_NOTED_EVERY = timedelta(hours=1)
"""Precision of a key's last use: each process records it at most once in this time."""
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Client(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A calling application. `mac_key` ties message ids to it; `principals` are Entra object or application ids.

    `id` identifies this client alone, even after it was deleted and another client got its `name`. `role` is the role of its
    keys without one of their own.
    """

    id: str
    name: str
    mac_key: bytes
    role: Role = Role.CLIENT
    keys: tuple[Key, ...] = ()
    policy: Policy = Policy()
    principals: tuple[str, ...] = ()
    is_disabled: bool = False

    @property
    def roles(self) -> frozenset[Role]:
        """The roles of the client and of its keys."""
        return frozenset({self.role, *(key.role for key in self.keys if key.role is not None)})

    def acting_as(self, role: Role) -> "Client":
        """Return this client with the role of one of its keys.

        With such a key, a client that sends sees its own messages and no others, unless its policy names clients.
        """
        if role is self.role:
            return self
        own = (self.name,) if self.role is Role.CLIENT else ()
        policy = msgspec.structs.replace(self.policy, sees=self.policy.sees or own)
        return msgspec.structs.replace(self, role=role, policy=policy)

    def __repr__(self) -> str:
        return f"Client(name={self.name!r}, role={self.role.value!r})"


class _KeyRemains(msgspec.Struct, frozen=True):
    id: str


class _Remains(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a damaged row that are needed to delete its client."""

    id: str
    name: str
    keys: tuple[_KeyRemains, ...] = ()


class DeletedClient(msgspec.Struct, frozen=True, kw_only=True):
    """A deleted client, some of whose data may still be stored."""

    id: str
    name: str
    key_ids: tuple[str, ...]
    at: datetime


class Clients:
    """Reads clients (cached for `CACHE_SECONDS`) and changes them."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._clock = clock
        self._cached: Mapping[str, Client] = {}
        self._by_key: Mapping[str, Sequence[Client]] = {}
        """The clients that have a key with this id."""
        self._read_at: datetime | None = None
        self._noted: dict[str, datetime] = {}
        self._reading = asyncio.Lock()

    async def all(self, *, older_than_seconds: float = CACHE_SECONDS) -> Mapping[str, Client]:
        """Return all clients by name, read at most this long ago."""
        now = self._clock()
        age = self._age(now)
        if age > older_than_seconds:
            # One read serves all concurrent callers.
            async with self._reading:
                if self._age(now) > older_than_seconds:
                    await self._read(now)
        elif age > RENEWED_AFTER_SECONDS and not self._reading.locked():
            # Until they are too old, the rows that are known serve also if storage does not answer.
            async with self._reading:
                with suppress(StorageError):
                    await self._read(now)
        return self._cached

    async def _read(self, now: datetime) -> None:
        before = self._read_at
        clients = readable_rows(self._tables, TABLE, Query(partition=_PARTITION), _client)
        self._cached = {client.name: client async for client in clients}
        self._by_key = _by_key(self._cached.values())
        # What this process changed meanwhile is read by the next caller.
        if self._read_at is before:
            self._read_at = now

    def _age(self, now: datetime) -> float:
        return math.inf if self._read_at is None else (now - self._read_at).total_seconds()

    async def by_key(self, text: str) -> Client | None:
        """Find the enabled client of a key, with the key's role, or None."""
        key_id = key_id_of(text)
        if key_id is None:
            return None
        await self.all()
        found = self._find(key_id, text)
        if found is None:
            await self.all(older_than_seconds=UNKNOWN_KEY_SECONDS)
            found = self._find(key_id, text)
        return found

    def _find(self, key_id: str, text: str) -> Client | None:
        for client in self._by_key.get(key_id, ()):
            for key in client.keys:
                if key.id == key_id and key.fits(text):
                    is_useless = client.is_disabled or key.is_over(self._clock())
                    return None if is_useless else client.acting_as(key.role or client.role)
        return None

    async def by_principal(self, ids: Sequence[str]) -> Client | None:
        """Find the enabled client that one of these Entra ids is mapped to, or None."""
        wanted = {text.lower() for text in ids}
        for client in (await self.all()).values():
            if not client.is_disabled and wanted & {principal.lower() for principal in client.principals}:
                return client
        return None

    async def get(self, name: str) -> Client:
        """Read a client from storage. Raises `NotFound`."""
        return decode(TABLE, await self._tables.get(TABLE, _PARTITION, name), _client)

    async def is_enabled(self, name: str, client_id: str) -> bool:
        """Return whether this client still exists and is enabled, as of at most `CACHE_SECONDS` ago."""
        known = (await self.all()).get(name)
        if known is None or known.id != client_id:
            # The client may have been created since the rows were read.
            try:
                known = await self.get(name)
            except NotFound:
                return False
        return known.id == client_id and not known.is_disabled

    async def create(
        self, name: str, *, role: Role = Role.CLIENT, policy: Policy | None = None, principals: Sequence[str] = ()
    ) -> str:
        """Create a client. Returns its first key, which is shown only once. Raises `AlreadyExists`, `ValueError`."""
        if not NAME.fullmatch(name):
            raise ValueError("a client's name is 1 to 63 lower-case letters, digits and dashes")
        text, key = new_key(self._clock())
        await self._insert(_new(name, role, keys=(key,), policy=policy or Policy(), principals=tuple(principals)))
        return text

    async def of_role(self, role: Role) -> Client:
        """Return the client that stands for all people with a role in Microsoft Entra; create it, without a key, if needed.

        Its name is `entra-` and the role.
        """
        name = f"{_ENTRA_PREFIX}{role}"
        known = (await self.all()).get(name)
        if known is not None:
            return known
        with suppress(AlreadyExists):
            await self._insert(_new(name, role))
        return await self.get(name)

    async def _insert(self, client: Client) -> None:
        await self._tables.insert(TABLE, _entity(client))
        self._read_at = None

    async def change(self, name: str, change: Callable[[Client], Client]) -> Client:
        """Change a client. Raises `NotFound`, and `Changed` if another writer was first."""
        entity = await self._tables.get(TABLE, _PARTITION, name)
        changed = change(decode(TABLE, entity, _client))
        await self._tables.merge(TABLE, _entity(changed), etag=entity.etag)
        self._read_at = None
        return changed

    async def add_key(self, name: str, *, expires_at: datetime | None = None, role: Role | None = None) -> str:
        """Add a key. Returns its text. Raises `NotFound`, and `ValueError` if two of this role are active."""
        now = self._clock()
        text, key = new_key(now, expires_at=expires_at, role=role)

        def add(client: Client) -> Client:
            active = tuple(known for known in client.keys if not known.is_over(now))
            alike = [known for known in active if (known.role or client.role) == (role or client.role)]
            if len(alike) >= MAX_ACTIVE_KEYS:
                raise ValueError("two keys are active already with this role: remove one first")
            return msgspec.structs.replace(client, keys=(*active, key))

        await self.change(name, add)
        return text

    async def remove_key(self, name: str, key_id: str) -> Client:
        """Remove a key, with effect on all instances within seconds. Raises `NotFound` for an unknown client or key."""

        def remove(client: Client) -> Client:
            kept = tuple(key for key in client.keys if key.id != key_id)
            if len(kept) == len(client.keys):
                raise NotFound("no such key")
            return msgspec.structs.replace(client, keys=kept)

        return await self.change(name, remove)

    async def delete(self, name: str) -> DeletedClient | None:
        """Remove a client with its keys, and list it as deleted. Raises `NotFound`.

        A row that cannot be read is removed too, so that its name is free. Returns None if not even its id is readable: then
        the client's data cannot be found.
        """
        known = await self._tables.get(TABLE, _PARTITION, name)
        gone = _gone(known, self._clock())
        if gone is not None:
            # List it first: if the process dies in between, the client still exists, and `deleted` leaves it out.
            properties: dict[str, Value] = {"client": msgspec.json.encode(gone)}
            await self._tables.upsert(TABLE, Entity(partition=_DELETED, row=gone.id, properties=properties))
        await self._tables.delete(TABLE, _PARTITION, name, etag=known.etag)
        self._read_at = None
        return gone

    async def deleted(self) -> Sequence[DeletedClient]:
        """Return the clients that were deleted and not forgotten."""
        found = readable_rows(self._tables, TABLE, Query(partition=_DELETED), _deleted)
        return [gone async for gone in found if not await self._lives(gone)]

    async def _lives(self, gone: DeletedClient) -> bool:
        """Return whether the client is still there, because its deletion was interrupted. True for a row that cannot be read."""
        try:
            return (await self.get(gone.name)).id == gone.id
        except NotFound:
            return False
        except UnreadableEntry:
            return True

    async def forget(self, gone: DeletedClient) -> None:
        """Remove a deleted client from the list, with the last uses of its keys."""
        await self._tables.delete_all(TABLE, _USED, gone.key_ids)
        await self._tables.delete(TABLE, _DELETED, gone.id)

    async def note_use(self, key_id: str) -> None:
        """Record the use of a key, at most once an hour. A failure is ignored."""
        now = self._clock()
        noted_at = self._noted.get(key_id)
        if noted_at is not None and now - noted_at < USE_NOTED_EVERY:
            return
        self._noted[key_id] = now
        try:
            await self._tables.upsert(TABLE, Entity(partition=_USED, row=key_id, properties={"at": now}))
        except StorageError as error:
            log_event("key_use_not_recorded", error=type(error).__name__)

    async def last_uses(self) -> Mapping[str, datetime]:
        """Return the last use of each key, by its id, with the precision of an hour."""
        rows = [row async for row in every_row(self._tables, TABLE, Query(partition=_USED))]
        return {row.row: at for row in rows if isinstance(at := row.properties.get("at"), datetime)}

    async def ensure(self, name: str, *, role: Role, policy: Policy | None = None) -> str | None:
        """Create a client if it is missing. Returns its first key, or None if it existed."""
        try:
            return await self.create(name, role=role, policy=policy)
        except AlreadyExists:
            return None


def _new(
    name: str,
    role: Role,
    *,
    keys: tuple[Key, ...] = (),
    policy: Policy = NO_LIMITS,
    principals: tuple[str, ...] = (),
) -> Client:
    return Client(
        id=secrets.token_hex(8),
        name=name,
        mac_key=secrets.token_bytes(32),
        role=role,
        keys=keys,
        policy=policy,
        principals=principals,
    )


def _by_key(clients: Iterable[Client]) -> Mapping[str, Sequence[Client]]:
    found: dict[str, list[Client]] = {}
    for client in clients:
        for key in client.keys:
            found.setdefault(key.id, []).append(client)
    return found


def _entity(client: Client) -> Entity:
    return Entity(partition=_PARTITION, row=client.name, properties={"client": msgspec.json.encode(client)})


def _client(entity: Entity) -> Client:
    client = _decoder.decode(msgspec.convert(entity.properties["client"], bytes))
    if client.name != entity.row:
        raise ValueError("the row holds another client")
    return client


def _gone(row: Entity, now: datetime) -> DeletedClient | None:
    """Return the deleted client, from the readable fields of its row; None without an id."""
    try:
        client: Client | _Remains = decode(TABLE, row, _client)
    except UnreadableEntry:
        try:
            client = msgspec.json.decode(msgspec.convert(row.properties.get("client"), bytes), type=_Remains)
        except msgspec.MsgspecError:
            return None
        # The id in a row that names another client may belong to a client that still exists.
        if client.name != row.row or not client.id:
            return None
    return DeletedClient(id=client.id, name=row.row, key_ids=tuple(key.id for key in client.keys), at=now)


def _deleted(entity: Entity) -> DeletedClient:
    return _deleted_decoder.decode(msgspec.convert(entity.properties["client"], bytes))


_decoder = msgspec.json.Decoder(Client)
_deleted_decoder = msgspec.json.Decoder(DeletedClient)
