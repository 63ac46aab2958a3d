"""Store function keys and decide what each gives access to, for a host started with --enable-auth.

Source: azure-functions-host SecretManager and KeyAuthenticationHandler. Keys are stored unencrypted in the container
azure-webjobs-secrets, in `<host id>/host.json` and `<host id>/<function>.json`, and created when first needed.
"""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Callable, Mapping
from enum import Enum

import msgspec

from devhost.storage import BlobTexts

MASTER = "master"
REFRESH_SECONDS = 60.0


class Level(Enum):
    """The level that a key gives and a function requires."""

    ANONYMOUS = "anonymous"
    FUNCTION = "function"
    SYSTEM = "system"
    ADMIN = "admin"

    def opens(self, required: Level) -> bool:
        """Return whether this level satisfies `required`. Levels have no order: only the master key satisfies them all."""
        return required in {Level.ANONYMOUS, self} or self is Level.ADMIN


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key as stored in the blobs."""

    name: str
    value: str
    encrypted: bool = False


class HostKeys(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The content of host.json in the secrets container."""

    master_key: Key
    function_keys: tuple[Key, ...] = ()
    system_keys: tuple[Key, ...] = ()


class FunctionKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a function's blob there."""

    keys: tuple[Key, ...] = ()


def required_level(trigger: Mapping[str, object]) -> Level:
    """Return the level that an HTTP trigger requires; `function` by default."""
    return Level(str(trigger.get("authLevel") or "function").lower())


def presented_key(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """Return the key in a request: its x-functions-key header, else `code` in its query, else empty."""
    return headers.get("x-functions-key", "").split(",")[0] or query.get("code", "").split(",")[0]


class KeyRing:
    """Reads the keys once, and again at most once a minute for an unknown key.

    `new_key` creates a key; `clock` returns seconds. Storage errors are not caught.
    """

    def __init__(
        self, blobs: BlobTexts, host_id: str, *, new_key: Callable[[], str], clock: Callable[[], float]
    ) -> None:
        self._blobs = blobs
        self._host_id = host_id
        self._new_key = new_key
        self._clock = clock
        self._held: dict[str, HostKeys | FunctionKeys] = {}
        self._read_at = clock()

    async def level_of(self, key: str, function: str | None) -> Level:
        """Return the level of a key for that function, or for the host's own pages if None."""
        level = await self._look_up(key, function)
        if level is Level.ANONYMOUS and key and self._clock() - self._read_at >= REFRESH_SECONDS:
            self._held.clear()
            self._read_at = self._clock()
            level = await self._look_up(key, function)
        return level

    async def _look_up(self, key: str, function: str | None) -> Level:
        host = await self._keys("host", HostKeys, self._new_host_keys)
        if not key:
            return Level.ANONYMOUS
        if _is_among(key, (host.master_key,)):
            return Level.ADMIN
        if _is_among(key, host.system_keys):
            return Level.SYSTEM
        if function is None:
            return Level.ANONYMOUS
        own = await self._keys(function.lower(), FunctionKeys, self._new_function_keys)
        return Level.FUNCTION if _is_among(key, (*host.function_keys, *own.keys)) else Level.ANONYMOUS

    async def _keys[Kind: HostKeys | FunctionKeys](self, name: str, kind: type[Kind], make: Callable[[], Kind]) -> Kind:
        held = self._held.get(name)
        if isinstance(held, kind):
            return held
        blob = f"{self._host_id}/{name}.json"
        text = await self._blobs.read(blob)
        if text is None:
            keys = make()
            await self._blobs.write(blob, msgspec.json.encode(keys).decode())
        else:
            keys = msgspec.json.decode(text, type=kind)
        self._held[name] = keys
        return keys

    def _new_host_keys(self) -> HostKeys:
        return HostKeys(
            master_key=Key(name=MASTER, value=self._new_key()),
            function_keys=(Key(name="default", value=self._new_key()),),
        )

    def _new_function_keys(self) -> FunctionKeys:
        return FunctionKeys(keys=(Key(name="default", value=self._new_key()),))


def _is_among(key: str, keys: tuple[Key, ...]) -> bool:
    return any(hmac.compare_digest(key.encode(), held.value.encode()) for held in keys)


def new_key() -> str:
    """Return 40 random bytes as URL-safe text."""
    return base64.urlsafe_b64encode(os.urandom(40)).decode()
