"""Warn before secrets expire: by the expiry date in the vault, or that of the certificate itself.

A client secret of Entra and a key of SendGrid do not contain a date. The vault knows the date of a secret that was stored with
`--expires`; SendGrid's keys do not expire (docs/how-to/rotate-keys.md).
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from relay.core.errors import NotFound, SettingsError, StorageError, UnreadableEntry
from relay.platform.concurrency import NEVER, Deadline, Progress, gather_limited
from relay.platform.entra_tokens import certificate_expiry
from relay.platform.key_vault import EXPIRES_SOON, SecretDates, log_expiry
from relay.platform.log import log_event
from relay.platform.resources import TIMERS_TABLE
from relay.platform.secrets import reference_problem
from relay.platform.storage.ports import Entity, Tables
from relay.platform.storage.readable import decode

if TYPE_CHECKING:
    from relay.core.settings import Settings
    from relay.platform.key_vault import KeyVault

READS_AT_ONCE = 4
_PARTITION, _ROW = "secrets", "expiring"


class ExpiringSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that expires soon, or has expired, with the routes and settings that use it."""

    name: str
    used_by: tuple[str, ...]
    expires_at: datetime


class SecretReport(msgspec.Struct, frozen=True, kw_only=True):
    """A secret with the routes and settings that use it, and its dates or why they cannot be read."""

    name: str
    used_by: tuple[str, ...]
    dates: SecretDates = SecretDates()
    problem: str = ""


class SecretExpiry:
    """Checks every secret that the settings name, and keeps those that expire soon in one row for the overview."""

    def __init__(
        self, *, settings: "Settings", vault: "KeyVault | None", tables: Tables, clock: Callable[[], datetime]
    ) -> None:
        self._vault = vault
        self._tables = tables
        self._clock = clock
        self._application = settings.application
        self._uses = uses_of(settings)

    async def run(self, _: Deadline = NEVER) -> Progress:
        """Run every night: log each secret that expires soon, for the alert."""
        reports = await self.check()
        for report in reports:
            log_expiry(report.name, report.dates.expires_at, self._clock())
        return Progress(done=len(reports))

    async def check(self) -> Sequence[SecretReport]:
        """Read the dates of every secret, and keep those that expire soon."""
        calls = (partial(self._report, reference, used_by) for reference, used_by in self._uses.items())
        reports = await gather_limited(calls, limit=READS_AT_ONCE)
        if reports:
            await self._store(list(self._expiring(reports)))
        return reports

    async def expiring(self) -> Sequence[ExpiringSecret]:
        """Return the secrets that expire soon, as of the last check. Costs one read of a row, and none without secrets."""
        if not self._uses:
            return ()
        try:
            row = await self._tables.get(TIMERS_TABLE, _PARTITION, _ROW)
            return decode(TIMERS_TABLE, row, _stored)
        except (NotFound, UnreadableEntry):
            return ()

    async def _report(self, reference: str, used_by: tuple[str, ...]) -> SecretReport:
        kind, _, name = reference.partition(":")
        report = SecretReport(name=name, used_by=used_by)
        if kind == "setting":
            expires_at = certificate_expiry(self._application.get(name, ""))
            return msgspec.structs.replace(report, dates=SecretDates(expires_at=expires_at))
        if self._vault is None:
            return msgspec.structs.replace(report, problem="vault references need RELAY_KEY_VAULT_URL")
        try:
            return msgspec.structs.replace(report, dates=await self._vault.dates(name))
        except SettingsError as error:
            log_event("secret_unreadable", level=logging.WARNING, reference=reference)
            return msgspec.structs.replace(report, problem=" ".join(error.problems))

    def _expiring(self, reports: Sequence[SecretReport]) -> Iterator[ExpiringSecret]:
        for report in reports:
            expires_at = report.dates.expires_at
            if expires_at is not None and expires_at - self._clock() < EXPIRES_SOON:
                yield ExpiringSecret(name=report.name, used_by=report.used_by, expires_at=expires_at)

    async def _store(self, expiring: Sequence[ExpiringSecret]) -> None:
        """Replace the row. It is for display, so unavailable storage is logged and fails no check."""
        properties = {"secrets": msgspec.json.encode(expiring).decode()}
        try:
            await self._tables.upsert(TIMERS_TABLE, Entity(partition=_PARTITION, row=_ROW, properties=properties))
        except StorageError as error:
            log_event("expiring_secrets_lost", level=logging.WARNING, error=type(error).__name__)


def uses_of(settings: "Settings") -> Mapping[str, tuple[str, ...]]:
    """Return the references to secrets (`vault:NAME`, `setting:NAME`), each with the routes and settings that use it."""
    found: dict[str, tuple[str, ...]] = {}
    for user, value in _references(settings):
        if not isinstance(value, str) or not value.startswith(("setting:", "vault:")) or reference_problem(value):
            continue
        for part in value.split(","):
            found[part.strip()] = (*found.get(part.strip(), ()), user)
    return found


def _references(settings: "Settings") -> Iterator[tuple[str, object]]:
    for route in settings.routes.values():
        yield from ((f"route {route.name}", value) for value in route.settings.values())
    for trace in settings.message_traces:
        yield from ((f"message trace of {', '.join(trace.routes)}", value) for value in trace.settings.values())
    yield "RELAY_EVENT_GRID_SECRET", settings.event_grid_secret


def _stored(row: Entity) -> Sequence[ExpiringSecret]:
    return msgspec.json.decode(str(row.properties["secrets"]), type=tuple[ExpiringSecret, ...])
