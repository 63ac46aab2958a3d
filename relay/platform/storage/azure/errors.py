"""Translate errors of the Azure SDKs and of sockets into Relay's storage errors."""

import asyncio
import re
import sys
from collections.abc import Mapping
from types import TracebackType

from relay.core.errors import AlreadyExists, Changed, NotFound, StorageError, Unavailable
from relay.platform.http.errors import NoResponse

OPERATION_SECONDS = 15.0
"""Timeout for a whole operation, including name resolution and waiting for a connection."""

STATUSES: Mapping[int, type[StorageError]] = {
    404: NotFound,
    409: AlreadyExists,
    412: Changed,
    # A role assignment that is not effective everywhere yet, a rotated key or a firewall: no message may be lost until an
    # operator has fixed it. So storage counts as unavailable; the message at hand is not at fault.
    401: Unavailable,
    403: Unavailable,
    408: Unavailable,
    429: Unavailable,
    500: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
"""HTTP status to error. Any other status is a plain `StorageError`: the request is permanently invalid."""

CODES: Mapping[str, type[StorageError]] = {
    # 409, although nothing exists: a name stays reserved for about a minute after its deletion.
    "QueueBeingDeleted": Unavailable,
    "TableBeingDeleted": Unavailable,
    "ContainerBeingDeleted": Unavailable,
    "AccountBeingCreated": Unavailable,
    # 409, conflicting writes.
    "OperationTimedOut": Unavailable,
    # 204: a queue of that name exists, which the SDK raises as an error.
    "QueueAlreadyExists": AlreadyExists,
    # 400, another receiver has the lease of the queue entry.
    "PopReceiptMismatch": Changed,
}
"""Storage's own error code to error, where it says more than the status.

Source: learn.microsoft.com/rest/api/storageservices, "Status and error codes".
"""

_NUMBER = re.compile(r"[0-9]{1,9}")


def translated(error: Exception, what: str) -> StorageError:
    """Translate an error of an SDK or a socket. `what` names the operation. The message contains no content."""
    response = getattr(error, "response", None)
    # The SDKs give status 0 to some errors without a response.
    status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    if not status or _is_from_sdk(error, "ClientAuthenticationError"):
        # There is no readable response, because of a connection error or a timeout. Or getting a token failed, with any
        # status.
        return Unavailable(f"{what}: {error.reason if isinstance(error, NoResponse) else type(error).__name__}")
    headers = getattr(response, "headers", None) or {}
    return refused(what, status, _code(error, headers), headers)


def refused(what: str, status: int, code: str, headers: Mapping[str, str]) -> StorageError:
    """Translate an error response of storage, by its status and storage's own error code."""
    kind = CODES.get(code) or STATUSES.get(status, StorageError)
    text = f"{what}: {status} {code}".rstrip()
    return Unavailable(text, retry_after_seconds=_retry_after(headers)) if kind is Unavailable else kind(text)


def _code(error: Exception, headers: Mapping[str, str]) -> str:
    code = getattr(error, "error_code", None) or headers.get("x-ms-error-code") or ""
    return str(getattr(code, "value", code))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("x-ms-retry-after-ms", 0.001), ("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name) or ""
        if _NUMBER.fullmatch(text):
            return int(text) * unit
    return None


class Boundary:
    """A context manager that limits the time of storage calls and translates their errors.

    Wrap only such calls: `async with Boundary("queue put"):`.
    """

    def __init__(self, what: str, seconds: float | None = OPERATION_SECONDS) -> None:
        self._what = what
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError as late:
            raise Unavailable(f"{self._what}: timed out") from late
        if isinstance(error, Exception) and _is_foreign(error):
            raise translated(error, self._what) from error


def _is_foreign(error: Exception) -> bool:
    # The SDKs also raise some errors of sockets unchanged.
    return isinstance(error, OSError) or _is_from_sdk(error, "AzureError")


def _is_from_sdk(error: Exception, kind: str) -> bool:
    # If the SDK raised the error, its module is imported.
    sdk = sys.modules.get("azure.core.exceptions")
    return sdk is not None and isinstance(error, getattr(sdk, kind))
