"""The one boundary where the errors of the Azure SDKs and of sockets become ours."""

import asyncio
import sys
from collections.abc import Mapping
from types import TracebackType

from relay.core.errors import AlreadyExists, Changed, NotFound, StorageError, Unavailable

OPERATION_SECONDS = 15.0
"""The longest an operation may take in all, name resolution and waiting for a connection included."""

STATUSES: Mapping[int, type[StorageError]] = {
    404: NotFound,
    409: AlreadyExists,
    412: Changed,
    # A role that has not reached every server yet, a key just rotated, a firewall: it is mended outside, and until
    # then nothing may be lost. So it is storage being away, not an error of the message at hand.
    401: Unavailable,
    403: Unavailable,
    408: Unavailable,
    429: Unavailable,
    500: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
"""HTTP status to error. Any other is a plain `StorageError`: storage understood, and will never do what was asked."""

CODES: Mapping[str, type[StorageError]] = {
    # 409, but nothing exists: a name is free again about a minute after its deletion.
    "QueueBeingDeleted": Unavailable,
    "TableBeingDeleted": Unavailable,
    "ContainerBeingDeleted": Unavailable,
    "AccountBeingCreated": Unavailable,
    # 409, a write that met another one.
    "OperationTimedOut": Unavailable,
    # 204: a queue of that name exists, and the SDK makes an error of it.
    "QueueAlreadyExists": AlreadyExists,
    # 400, the lease on a queue entry went to somebody else.
    "PopReceiptMismatch": Changed,
}
"""Storage's own error code to error, where it says more than the status.

Source: learn.microsoft.com/rest/api/storageservices, "Status and error codes".
"""


def translated(error: Exception, what: str) -> StorageError:
    """Our error for an SDK's or a socket's. `what` names the operation; neither it nor the text tells of content."""
    response = getattr(error, "response", None)
    # The SDKs number some errors that never had an answer 0.
    status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    if not status or _is_from_sdk(error, "ClientAuthenticationError"):
        # No answer, or none that could be read: the connection, a time-out. Or a token that could not be had, whatever
        # the status with which that was refused.
        return Unavailable(f"{what}: {type(error).__name__}")
    headers = getattr(response, "headers", None) or {}
    return refused(what, status, _code(error, headers), headers)


def refused(what: str, status: int, code: str, headers: Mapping[str, str]) -> StorageError:
    """Our error for an answer of storage that is one, by its status and storage's own code for it."""
    kind = CODES.get(code) or STATUSES.get(status, StorageError)
    text = f"{what}: {status} {code}".rstrip()
    return Unavailable(text, retry_after_seconds=_retry_after(headers)) if kind is Unavailable else kind(text)


def _code(error: Exception, headers: Mapping[str, str]) -> str:
    code = getattr(error, "error_code", None) or headers.get("x-ms-error-code") or ""
    return str(getattr(code, "value", code))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("x-ms-retry-after-ms", 0.001), ("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name) or ""
        if text.isdigit():
            return int(text) * unit
    return None


class Boundary:
    """`async with Boundary("queue put"):` around calls to storage, and nothing else: ends them in time, maps their errors."""

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
            raise Unavailable(f"{self._what}: no answer in time") from late
        if isinstance(error, Exception) and _is_foreign(error):
            raise translated(error, self._what) from error


def _is_foreign(error: Exception) -> bool:
    # Besides its own errors an SDK lets some of the socket's through.
    return isinstance(error, OSError) or _is_from_sdk(error, "AzureError")


def _is_from_sdk(error: Exception, kind: str) -> bool:
    # Who raises an SDK's error has imported it.
    sdk = sys.modules.get("azure.core.exceptions")
    return sdk is not None and isinstance(error, getattr(sdk, kind))
