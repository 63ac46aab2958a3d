"""Record a call in the audit log: the caller and the operation before its effect, and the outcome before the response.

Every audited operation passes here, and nothing else adds records. If the first write fails, the call is refused and has no
effect. If the process dies after it, or the second write fails, the record stays and its outcome is `unknown`.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from relay.api.http import Request, Response
from relay.api.operation import REASON, Audit, Operation, loaded
from relay.api.services import Call
from relay.core.errors import NotFound, Refusal, StorageError, UnreadableEntry
from relay.operations.audit.record import MAX_DETAIL, AuditOutcome, AuditRecord, clipped, new_id, plain
from relay.platform.log import log_event

UNREADABLE = "unreadable"
"""Recorded in place of the digest of a resource that cannot be read."""
RETRY_AFTER_SECONDS = 5


async def audited(operation: Operation, audit: Audit, call: Call) -> Response:
    """Perform a call and record it exactly once. Raises the handler's errors, and `Refusal` (503) if the first write fails."""
    record = _intent(operation, audit, call)
    try:
        early = operation.early_response(call.caller, call.values)
    except Refusal as refusal:
        await _add(call, msgspec.structs.replace(record, **_ended(refusal.status, refusal.code)))
        raise
    if early is not None:
        await _add(call, msgspec.structs.replace(record, **_ended(early.status, "")))
        return early
    resource = audit.resource if operation.fits_path(call.values) else ""
    record = msgspec.structs.replace(record, before=await _before(resource, call))
    await _add(call, record)
    try:
        response: Response = await operation.load()(call)
    except Exception as error:
        from relay.api.errors import refusal_of

        failure = refusal_of(error)
        await _complete(call, record, failure.status, failure.code, "")
        raise
    after = await _after(resource, call) if response.status < 400 else ""
    await _complete(call, record, response.status, response.headers.get("x-ms-error-code", ""), after)
    return response


def _intent(operation: Operation, audit: Audit, call: Call) -> AuditRecord:
    """Return the record of a call whose outcome is not known yet."""
    services, request, client = call.services, call.request, call.client
    members = _members(request, audit)
    named = {name: clipped(value) for name, value in call.values.items()}
    named |= {name: clipped(value, MAX_DETAIL) for name, value in members.items() if name != "reason"}
    target = next(iter(named), "")
    at = services.clock()
    return AuditRecord(
        id=new_id(at),
        at=at,
        client=client.name,
        credential=plain(services.authentication.credential_of(request, client)),
        role=client.role,
        operation=operation.name,
        target=named.pop(target, ""),
        details=named,
        reason=plain(members.get("reason") or request.headers.get(REASON.name.lower(), "")),
        address=plain(request.caller_address),
        request_id=call.request_id,
    )


def _members(request: Request, audit: Audit) -> Mapping[str, str]:
    """Return the members of a JSON body, or of the query, that the record names. The handler refuses invalid ones."""
    found: dict[str, Any] = {name: request.query[name] for name in audit.members if name in request.query}
    if audit.members and request.body:
        with suppress(msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            body = msgspec.json.decode(request.body, type=dict[str, msgspec.Raw])
            found |= {name: msgspec.json.decode(body[name]) for name in audit.members if name in body}
    return {name: " ".join(_texts(value)) for name, value in found.items() if value is not None}


def _texts(value: Any) -> Iterator[str]:
    """Yield the text of a member, or each text of a list, without addresses."""
    match value:
        case str():
            yield value
        case bool() | int() | float():
            yield str(value).lower()
        case list():
            yield from (clipped(each) for each in value if isinstance(each, str))


async def _before(resource: str, call: Call) -> str:
    try:
        return await _digest(resource, call)
    except StorageError as error:
        raise _unavailable() from error


async def _after(resource: str, call: Call) -> str:
    try:
        return await _digest(resource, call)
    except StorageError as error:
        _log_incomplete(call, error)
        return ""


async def _digest(resource: str, call: Call) -> str:
    """Return the digest of the resource that a call changes; empty if there is none, or the caller may not see it."""
    if not resource:
        return ""
    try:
        found = await loaded(resource)(call)
    except (NotFound, Refusal):
        return ""
    except UnreadableEntry:
        return UNREADABLE
    return "" if found is None else hashlib.sha256(msgspec.json.encode(found, order="sorted")).hexdigest()


async def _add(call: Call, record: AuditRecord) -> None:
    try:
        await call.services.audit_log.add(record)
    except StorageError as error:
        raise _unavailable() from error


async def _complete(call: Call, record: AuditRecord, status: int, code: str, after: str) -> None:
    """Record the outcome. The call took effect, so a failure here must not hide its response: the record stays `unknown`."""
    ended = _ended(status, code)
    try:
        await call.services.audit_log.complete(record.id, ended["outcome"], status, code, after)
    except StorageError as error:
        _log_incomplete(call, error)


def _ended(status: int, code: str) -> dict[str, Any]:
    outcome = AuditOutcome.SUCCEEDED
    if status >= 400:
        outcome = AuditOutcome.REFUSED if status < 500 else AuditOutcome.FAILED
    return {"outcome": outcome, "status": status, "code": code}


def _unavailable() -> Refusal:
    text = (
        "The audit log could not be written, so nothing was changed. Repeat the request after Retry-After; "
        "the doctor checks the table `audit`."
    )
    return Refusal(503, "audit_unavailable", text, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def _log_incomplete(call: Call, error: Exception) -> None:
    log_event("audit_incomplete", level=logging.ERROR, request_id=call.request_id, error=type(error).__name__)
