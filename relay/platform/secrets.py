"""Where keys come from: application settings or Key Vault, cached, read again when a provider refuses one.

A reference is `setting:NAME` or `vault:NAME`, or several with commas between them: keys of which any may be valid while
they are rotated (an ACS resource has two). When a provider refuses a key, `refresh` reads all again and gives the next one
that differs; the value a key had before counts too, for the time in which the vault is ahead of the provider.
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
"""How long a secret from the vault is used before it is read again."""
REFRESH_PAUSE = timedelta(seconds=30)
"""The least time between two readings on refusal, and after a reading that failed: a bad key must not hammer the vault."""

_REFERENCE = re.compile(r"setting:[A-Za-z_][A-Za-z0-9_.-]{0,126}|vault:[A-Za-z0-9-]{1,127}")
_UNRESOLVED = "@Microsoft.KeyVault("

type Clock = Callable[[], datetime]


class Vault(Protocol):
    """A store of secrets by name."""

    async def read(self, name: str) -> str:
        """The newest value. Raises `SettingsError` when there is none or the vault cannot be read."""


def reference_problem(value: object) -> str:
    """Why a setting's value is no reference to a secret, as a sentence; empty when it is."""
    if isinstance(value, str) and all(_REFERENCE.fullmatch(part) for part in _parts(value)):
        return ""
    return (
        'must name a secret: "setting:NAME" (an application setting) or "vault:NAME" (Key Vault), never the key itself'
    )


class Secrets(Protocol):
    """Where keys come from. References and what they may be: `relay.platform.secrets`."""

    async def get(self, reference: str) -> str:
        """The secret, cached. Raises `relay.core.errors.SettingsError` when there is none."""

    async def refresh(self, reference: str) -> str:
        """The secret, read anew: after the provider refused the cached one."""


class SecretSource:
    """The `Secrets` of the providers. Reads nothing before it is asked; one reading at a time per reference."""

    def __init__(self, *, application: Mapping[str, str], clock: Clock, vault: Vault | None = None) -> None:
        """`application` are the application settings; without a vault, `vault:` references are faults."""
        self._application = application
        self._clock = clock
        self._vault = vault
        self._cache: dict[str, _CachedSecret] = {}

    async def get(self, reference: str) -> str:
        """The secret, at most `LIFETIME` old, or older while the vault cannot be read. Raises `SettingsError`."""
        cached = self._cache.setdefault(reference, _CachedSecret(self._clock()))
        if cached.value and (self._clock() < cached.fresh_until or cached.lock.locked()):
            # While one reads anew, which may take long, the others go on with what they have.
            return cached.value
        async with cached.lock:
            if not cached.value or self._clock() >= cached.fresh_until:
                await self._renew(reference, cached)
            return cached.value

    async def refresh(self, reference: str) -> str:
        """The secret after the provider refused the one in use: read anew, unless that was done within `REFRESH_PAUSE`."""
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
        """Read all alternatives. The value in use stays when none can be read; without one, raises `SettingsError`."""
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
        """What could be read, and what is wrong with the others."""
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
    """What is remembered of a reference. No repr shows the values."""

    def __init__(self, now: datetime) -> None:
        self.lock = asyncio.Lock()
        self.value = ""
        self.previous = ""
        self.candidates: Sequence[str] = ()
        self.problems: Sequence[str] = ()
        self.fresh_until = self.refresh_from = self.retry_from = now

    def take(self, found: Sequence[str]) -> None:
        """Remember what was read; the value in use stays while it is among it."""
        if self.value not in found:
            self.use(found[0])
        self.candidates = tuple(dict.fromkeys([*found, self.previous] if self.previous else found))

    def use(self, value: str) -> None:
        if value != self.value:
            self.previous, self.value = self.value, value


def _other(refused: str, candidates: Sequence[str]) -> str:
    """The candidate after the refused one, round about; the refused one when there is no other."""
    place = candidates.index(refused) if refused in candidates else -1
    return candidates[(place + 1) % len(candidates)] if candidates else refused


def _parts(reference: str) -> list[str]:
    return [part.strip() for part in reference.split(",")]
