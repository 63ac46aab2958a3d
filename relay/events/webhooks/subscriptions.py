"""Store webhook subscriptions: table `webhooks`, partition the client's id, one row per subscription.

The client's settings (`definition`) and the results of deliveries (`failing_since`, `disabled_at`, `disabled_reason`) are
separate properties, so that neither overwrites the other. The signing secret is stored in clear, because every delivery needs
it. The client sees it once.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from relay.platform import resources
from relay.platform.storage.ports import Entity, Query, Tables, delete_where
from relay.platform.storage.readable import decode, readable

TABLE = resources.WEBHOOKS_TABLE
CACHE = timedelta(seconds=30)
MAX_SUBSCRIPTIONS = 20
"""Subscriptions per client."""
OLD_SECRET_LASTS = timedelta(hours=24)
"""Time after a rotation during which posts are signed with the old secret too."""
_SECRET_BYTES = 32
_encoder = msgspec.json.Encoder()


class Format(StrEnum):
    """The format of a body."""

    STANDARD = "standard"
    """`{"type", "timestamp", "data"}`, as Standard Webhooks proposes."""
    CLOUDEVENTS = "cloudevents"
    """CloudEvents 1.0, structured JSON."""


class Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The client's settings. No `events` means all kinds; a newer version may have written kinds that are unknown here.

    `is_callback`: a Logic App created it with a `callbackUrl`.
    """

    url: str
    secret: str
    created_at: datetime
    events: tuple[str, ...] = ()
    format: Format = Format.STANDARD
    note: str = ""
    old_secret: str = ""
    old_secret_until: datetime | None = None
    is_callback: bool = False

    def __repr__(self) -> str:
        return f"Definition(events={list(self.events)}, format={self.format.value!r})"


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A row. `failing_since`: no delivery succeeded since then. `disabled_reason` is empty while it is enabled."""

    id: str
    client_id: str
    definition: Definition
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str = ""

    @property
    def is_enabled(self) -> bool:
        """Whether events are posted to it."""
        return not self.disabled_reason

    def wants(self, kind: str) -> bool:
        """Return whether the subscription wants events of this kind."""
        return self.is_enabled and (not self.definition.events or kind in self.definition.events)

    def secrets(self, now: datetime) -> Sequence[str]:
        """Return the secrets that sign posts now, the newest first."""
        until = self.definition.old_secret_until
        old = [self.definition.old_secret] if until is not None and until > now else []
        return [self.definition.secret, *old]


def new_secret() -> str:
    """Make a signing secret in the format of Standard Webhooks: `whsec_` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def callback_id(client_id: str, url: str) -> str:
    """Return the id of the subscription for a `callbackUrl`: the same for the same URL, so that repeating is idempotent."""
    return "wh_" + hashlib.sha256(f"{client_id}\n{url}".encode()).hexdigest()[:32]


class Subscriptions:
    """Reads subscriptions (cached for seconds) and changes them."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._clock = clock
        self._cached: dict[str, tuple[datetime, Sequence[Subscription]]] = {}

    async def of(self, client_id: str, *, fresh: bool = False) -> Sequence[Subscription]:
        """Return the subscriptions of a client."""
        now = self._clock()
        kept = self._cached.get(client_id)
        if kept is None or fresh or now - kept[0] >= CACHE:
            page = await self._tables.query(TABLE, Query(partition=client_id))
            kept = now, list(readable(TABLE, page.entities, _subscription))
            self._cached[client_id] = kept
        return kept[1]

    async def get(self, client_id: str, name: str, *, fresh: bool = True) -> Subscription:
        """Return one subscription. Raises `NotFound`."""
        if not fresh:
            found = next((each for each in await self.of(client_id) if each.id == name), None)
            if found is not None:
                return found
        return decode(TABLE, await self._tables.get(TABLE, client_id, name), _subscription)

    async def put(self, subscription: Subscription) -> None:
        """Store a new subscription, enabled. Replaces one of the same id."""
        await self._tables.upsert(TABLE, _entity(subscription))
        self._cached.pop(subscription.client_id, None)

    async def change(self, subscription: Subscription, definition: Definition) -> None:
        """Store changed settings of the client. Raises `NotFound`."""
        await self._merge(subscription, definition=_encoder.encode(definition))

    async def disable(self, subscription: Subscription, why: str) -> None:
        """Stop posting to a subscription, and record why."""
        await self._merge(subscription, disabled_reason=why, disabled_at=self._clock().isoformat())

    async def enable(self, subscription: Subscription) -> None:
        """Post to a disabled subscription again, and clear its failures."""
        await self._merge(subscription, disabled_reason="", disabled_at="", failing_since="")

    async def note_failing(self, subscription: Subscription, since: datetime | None) -> None:
        """Record since when deliveries fail; None after a success."""
        await self._merge(subscription, failing_since=since.isoformat() if since else "")

    async def remove(self, client_id: str, name: str) -> None:
        """Delete a subscription. A missing one is not an error."""
        await self._tables.delete(TABLE, client_id, name)
        self._cached.pop(client_id, None)

    async def remove_all(self, client_id: str) -> None:
        """Delete the subscriptions of a deleted client."""
        await delete_where(
            self._tables, TABLE, Query(partition=client_id, select=()), lambda _: True, keeps_changed=False
        )
        self._cached.pop(client_id, None)

    async def _merge(self, subscription: Subscription, **properties: str | bytes) -> None:
        row = Entity(partition=subscription.client_id, row=subscription.id, properties=properties)
        try:
            await self._tables.merge(TABLE, row)
        finally:
            self._cached.pop(subscription.client_id, None)


def _entity(subscription: Subscription) -> Entity:
    return Entity(
        partition=subscription.client_id,
        row=subscription.id,
        properties={
            "definition": _encoder.encode(subscription.definition),
            "failing_since": "",
            "disabled_at": "",
            "disabled_reason": subscription.disabled_reason,
        },
    )


def _subscription(entity: Entity) -> Subscription:
    known = {name: value for name, value in entity.properties.items() if value not in ("", b"")}
    definition = known.pop("definition", b"")
    if not isinstance(definition, bytes):
        raise TypeError("the definition of a subscription is not bytes")
    return msgspec.convert(
        {
            **known,
            "id": entity.row,
            "client_id": entity.partition,
            "definition": msgspec.json.decode(definition, type=Definition),
        },
        Subscription,
    )
