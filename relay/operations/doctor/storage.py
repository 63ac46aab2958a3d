"""Checks Azure Storage: permissions, clock, and old or poison queue entries."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from relay.core.errors import NotFound, StorageError
from relay.journal.dead_letters import UNREADABLE_CONTAINER
from relay.operations.doctor.findings import Finding, fault, ok, warning
from relay.platform.resources import CONTAINERS, DOCTOR_QUEUE, TABLES, poison_of, queues_of
from relay.platform.storage.ports import Entity, Query
from relay.routes.pacing import TABLE as PACING_TABLE

if TYPE_CHECKING:
    from relay.operations.doctor.services import DoctorServices

MAX_SKEW = timedelta(seconds=30)
OLD = timedelta(minutes=15)
_ROLES = {
    "queues": "Storage Queue Data Contributor",
    "tables": "Storage Table Data Contributor",
    "blobs": "Storage Blob Data Owner",
}


async def rights(services: "DoctorServices") -> Sequence[Finding]:
    """Write, read and delete one item of each kind, and check that all queues, tables and containers exist."""
    found = []
    for kind, attempt in (("queues", _queues), ("tables", _tables), ("blobs", _blobs)):
        found.append(await _try(kind, attempt, services))
    return found


async def clock(services: "DoctorServices") -> Sequence[Finding]:
    """Compare this process's clock with that of storage."""
    name = f"doctor/{uuid4().hex}"
    blobs = services.storage.blobs
    await blobs.put(UNREADABLE_CONTAINER, name, b"")
    [blob], _ = await blobs.list(UNREADABLE_CONTAINER, prefix=name)
    await blobs.delete(UNREADABLE_CONTAINER, name)
    skew = abs(services.clock() - blob.modified_at)
    if skew <= MAX_SKEW:
        return [ok("clock", "agrees with storage")]
    why = "Requests to storage, tokens and webhook signatures are refused when clocks differ by minutes."
    return [
        warning("clock", f"differs from storage by {skew.total_seconds():.0f} seconds", why, "Set the clock (NTP).")
    ]


async def queues(services: "DoctorServices") -> Sequence[Finding]:
    """Find poison entries and queues that are not being read."""
    found: list[Finding] = []
    for lane, settings in services.settings.lanes.items():
        for queue in settings.queues(lane):
            found += await _queue(services, queue)
    return found or [ok("queues", "no poison entries, and no entry waits longer than 15 minutes")]


async def _queue(services: "DoctorServices", queue: str) -> Sequence[Finding]:
    found = []
    poison = await services.storage.queues.count(poison_of(queue))
    if poison:
        text = f"{poison} entries on {poison_of(queue)}"
        why = "Relay failed on them repeatedly, and they are not recorded as dead letters yet."
        fix = "Find the error in the log. Within a day they become dead letters: see `relay deadletters list`."
        found.append(warning("queues", text, why, fix))
    oldest = await services.storage.queues.oldest_inserted_at(queue)
    if oldest is not None and services.clock() - oldest > OLD:
        minutes = (services.clock() - oldest).total_seconds() / 60
        why = "The queue is not being read: its function may be disabled, or too few instances run."
        fix = "Check that the app's functions are enabled, and raise its maximum instance count."
        found.append(fault("queues", f"the oldest entry on {queue} has waited {minutes:.0f} minutes", why, fix))
    return found


async def _try(kind: str, attempt: Callable[["DoctorServices"], Awaitable[str]], services: "DoctorServices") -> Finding:
    why = "Without this access Relay cannot accept, deliver or record mail."
    try:
        missing = await attempt(services)
    except StorageError as error:
        fix = f"Give the app's identity the role {_ROLES[kind]} on the storage account; a new assignment takes minutes."
        return fault("storage", f"{kind}: {error}", why, fix)
    if missing:
        fix = "Run `python -m relay.cli init` with the app's settings, or provision again."
        return fault("storage", f"{kind}: {missing} is missing", why, fix)
    return ok("storage", f"{kind} can be written, read and deleted")


async def _queues(services: "DoctorServices") -> str:
    """Use all queues; return the name of a missing one, or an empty string."""
    port = services.storage.queues
    for queue in queues_of(services.settings.lanes):
        if not await port.exists(queue):
            return queue
    await port.create(DOCTOR_QUEUE)
    await port.put(DOCTOR_QUEUE, b"{}")
    for received in await port.receive(DOCTOR_QUEUE, limit=32):
        await port.delete(DOCTOR_QUEUE, received)
    return ""


async def _tables(services: "DoctorServices") -> str:
    port, row = services.storage.tables, f"doctor-{uuid4().hex}"
    for table in TABLES:
        try:
            await port.query(table, Query(partition="doctor"), limit=1)
        except NotFound:
            return table
    await port.insert(PACING_TABLE, Entity(partition="doctor", row=row, properties={"at": services.clock()}))
    await port.get(PACING_TABLE, "doctor", row)
    await port.delete(PACING_TABLE, "doctor", row)
    return ""


async def _blobs(services: "DoctorServices") -> str:
    port, name = services.storage.blobs, f"doctor/{uuid4().hex}"
    for container in CONTAINERS:
        try:
            await port.list(container, limit=1)
        except NotFound:
            return container
    await port.put(UNREADABLE_CONTAINER, name, b"doctor")
    await port.get(UNREADABLE_CONTAINER, name)
    await port.delete(UNREADABLE_CONTAINER, name)
    return ""
