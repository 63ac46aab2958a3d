"""Send signed requests to the storage services, for the operations that every message needs.

Rare operations use the SDKs: docs/decisions/0016-storage-requests.md.
"""

import math
import re
import sys
from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import urlsplit

import msgspec

from relay.platform.http.client import HttpClient, Timeouts
from relay.platform.http.errors import ResponseLost
from relay.platform.http.response import RawResponse
from relay.platform.http.url import Url, parse_url
from relay.platform.storage.azure.errors import OPERATION_SECONDS, Boundary, refused
from relay.platform.storage.azure.session import CONNECT_SECONDS, MAX_CONNECTIONS, AzureSession
from relay.platform.storage.azure.settings import Service
from relay.platform.storage.azure.shared_key import queue_text, table_text

_VERSIONS = {Service.QUEUE: "2023-11-03", Service.BLOB: "2023-11-03", Service.TABLE: "2020-12-06"}
"""Old enough for every Azurite in use. Tables accept tokens since 2020-12-06."""
_CODE = re.compile(rb'"code"\s*:\s*"(\w+)"')


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """Time limits of an operation in seconds: for the whole, and for a pause in which no byte of request or response moves."""

    seconds: float
    stalled_seconds: float = math.inf

    @property
    def timeouts(self) -> Timeouts:
        """The client's timeouts. The boundary of the operation limits the whole."""
        return Timeouts(connect_seconds=CONNECT_SECONDS, total_seconds=math.inf, stalled_seconds=self.stalled_seconds)


SHORT = Transfer(seconds=OPERATION_SECONDS)


class AzureRequests:
    """Sends requests to one service of the session's account."""

    def __init__(self, session: AzureSession, service: Service) -> None:
        self._session = session
        self._service = service
        self.address = session.account.addresses[service]
        parts = urlsplit(self.address)
        self._base = parts.path
        self.is_emulator = bool(parts.path)
        """True for the emulator, which has the account in the path; Azure has it in the host's name."""
        self._origin = parse_url(self.address).origin
        self._client = HttpClient(limit=MAX_CONNECTIONS)

    async def send(
        self,
        what: str,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        transfer: Transfer = SHORT,
    ) -> RawResponse:
        """Send once, as `exchange` does. Raises the errors of `relay.platform.storage.ports`, for an error status too."""
        response = await self.exchange(what, method, target, headers=headers, body=body, transfer=transfer)
        if response.status >= 400:
            raise refused(what, response.status, _code(response), response.headers)
        return response

    async def exchange(
        self,
        what: str,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        transfer: Transfer = SHORT,
    ) -> RawResponse:
        """Send once and return the response, whatever its status.

        `target` is path and query below the service's address, encoded; `what` names the operation in errors.
        Raises `Unavailable` without a response.
        """
        async with Boundary(what, transfer.seconds):
            target = f"{self._base}/{target}"
            sent = {**(headers or {}), "x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSIONS[self._service]}
            account = self._session.account
            if account.signature:
                target += f"{'&' if '?' in target else '?'}{account.signature}"
            elif account.key is None:
                sent["authorization"] = f"Bearer {await self._session.token()}"
            elif self._service is Service.TABLE:
                sent["authorization"] = account.key.authorization(table_text(account.key, method, target, sent))
            else:
                text = queue_text(account.key, method, target, sent, len(body))
                sent["authorization"] = account.key.authorization(text)
            response = await self._client.request(
                method,
                Url(self._origin, target),
                headers=sent,
                body=body,
                timeouts=transfer.timeouts,
                max_body_bytes=sys.maxsize,
            )
            if not response.is_whole:
                raise ResponseLost("IncompleteBody")
            return response

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _code(response: RawResponse) -> str:
    """Return the service's own error code, from a header or (tables) from the body."""
    found = response.headers.get("x-ms-error-code", "")
    if not found and (in_body := _CODE.search(response.body)):
        found = in_body[1].decode()
    return found
