"""Read secrets from application settings or Key Vault, cache them, and reread them when a provider refuses one.

A reference is `setting:NAME` or `vault:NAME`, or several separated by commas, any of which may be valid during rotation (an
ACS resource has two keys). When a provider refuses a key, `refresh` rereads all of them and returns the next one that
differs. The previous value is also tried, because the vault may have a new key before the provider does.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from relay.core.errors import SettingsError
from relay.platform.log import log_event

LIFETIME = timedelta(minutes=10)
"""The time for which a cached secret is used before it is reread."""
REFRESH_PAUSE = timedelta(seconds=30)
"""Minimum time between two reads after a refusal or a failed read, so that a bad key does not overload the vault."""

_REFERENCE = re.compile(r"setting:[A-Za-z_][A-Za-z0-9_.-]{0,126}|vault:[A-Za-z0-9-]{1,127}")
_UNRESOLVED = "@Microsoft.KeyVault("

type Clock = Callable[[], datetime]


class Vault(Protocol):
    """A store of secrets by name."""

    async def read(self, name: str) -> str:
        """Return the newest value. Raises `SettingsError` if there is none or the vault cannot be read."""


def reference_problem(value: object) -> str:
    """Explain why a setting's value is not a reference to a secret. Empty if it is one."""
    if isinstance(value, str) and all(_REFERENCE.fullmatch(part) for part in _parts(value)):
        return ""
    return (
        'must name a secret: "setting:NAME" (an application setting) or "vault:NAME" (Key Vault), never the key itself'
    )


class Secrets(Protocol):
    """The port for reading secrets by reference."""

    async def get(self, reference: str) -> str:
        """Return the cached secret. Raises `relay.core.errors.SettingsError` if there is none."""

    async def refresh(self, reference: str) -> str:
        """Reread the secret after the provider refused the cached one, and return it."""


class SecretSource:
    """The `Secrets` of application settings and a vault. Reads a secret when first needed, one read per reference at once."""

    def __init__(self, *, application: Mapping[str, str], clock: Clock, vault: Vault | None = None) -> None:
        """`application` holds the application settings. Without a vault, `vault:` references are errors."""
        self._application = application
        self._clock = clock
        self._vault = vault
        self._cache: dict[str, _CachedSecret] = {}

    async def get(self, reference: str) -> str:
        """Return the secret, at most `LIFETIME` old, or older while the vault cannot be read. Raises `SettingsError`."""
        cached = self._cache.setdefault(reference, _CachedSecret(self._clock()))
        if cached.value and (self._clock() < cached.fresh_until or cached.lock.locked()):
            # While one caller rereads, which may take long, the others use the cached value.
            return cached.value
        async with cached.lock:
            if not cached.value or self._clock() >= cached.fresh_until:
                await self._renew(reference, cached)
            return cached.value

    async def refresh(self, reference: str) -> str:
        """Reread the secret after the provider refused it, unless it was reread within `REFRESH_PAUSE`."""
        cached = self._cache.setdefault(reference, _CachedSecret(self._clock()))
        async with cached.lock:
            now = self._clock()
            if cached.value and now < cached.refresh_from:
                return cached.value
            cached.refresh_from = now + REFRESH_PAUSE
            refused = cached.value
            await self._renew(reference, cached)
            if refused and cached.value == refused:
                cached.use(_other(refused, cached.candidates))
            return cached.value

    async def _renew(self, reference: str, cached: "_CachedSecret") -> None:
        """Reread all alternatives. If none can be read, keep the value in use, or raise `SettingsError` if there is none."""
        now = self._clock()
        if cached.problems and now < cached.retry_from:
            raise SettingsError(cached.problems)
        found, problems = await self._read_all(reference)
        if found:
            cached.fresh_until = now + LIFETIME
            cached.take(found)
        elif cached.value:
            cached.fresh_until = now + REFRESH_PAUSE
        else:
            cached.problems, cached.retry_from = problems, now + REFRESH_PAUSE
            raise SettingsError(problems)

    async def _read_all(self, reference: str) -> tuple[list[str], list[str]]:
        """Return the values that could be read, and the problems of the others."""
        found: list[str] = []
        problems: list[str] = []
        for part in _parts(reference):
            try:
                found.append(await self._read(part))
            except SettingsError as error:
                problems += error.problems
                log_event("secret_unreadable", level=logging.WARNING, reference=part)
        return found, problems

    async def _read(self, part: str) -> str:
        kind, _, name = part.partition(":")
        if not _REFERENCE.fullmatch(part):
            raise SettingsError(["a secret's reference must be setting:NAME or vault:NAME"])
        value = self._setting(name) if kind == "setting" else await self._from_vault(name)
        if not value.strip():
            raise SettingsError([f"{name}: the {kind} is empty or missing"])
        return value.strip()

    def _setting(self, name: str) -> str:
        value = self._application.get(name, "")
        if value.strip().startswith(_UNRESOLVED):
            raise SettingsError(
                [
                    f"{name}: the Key Vault reference was not resolved by the platform; check the vault's name, the app's"
                    " identity (keyVaultReferenceIdentity for a user-assigned one) and its role Key Vault Secrets User"
                ]
            )
        return value

    async def _from_vault(self, name: str) -> str:
        if self._vault is None:
            raise SettingsError([f"{name}: vault references need RELAY_KEY_VAULT_URL"])
        return await self._vault.read(name)


class _CachedSecret:
    """The cached state of a reference. Not a struct, so that no repr shows the values."""

    def __init__(self, now: datetime) -> None:
        self.lock = asyncio.Lock()
        self.value = ""
        self.previous = ""
        self.candidates: Sequence[str] = ()
        self.problems: Sequence[str] = ()
        self.fresh_until = self.refresh_from = self.retry_from = now

    def take(self, found: Sequence[str]) -> None:
        """Cache the values read. Keep the value in use if it is among them."""
        if self.value not in found:
            self.use(found[0])
        self.candidates = tuple(dict.fromkeys([*found, self.previous] if self.previous else found))

    def use(self, value: str) -> None:
        if value != self.value:
            self.previous, self.value = self.value, value


def _other(refused: str, candidates: Sequence[str]) -> str:
    """Return the candidate after the refused one, cyclically, or the refused one if there is no other."""
    place = candidates.index(refused) if refused in candidates else -1
    return candidates[(place + 1) % len(candidates)] if candidates else refused


def _parts(reference: str) -> list[str]:
    return [part.strip() for part in reference.split(",")]
