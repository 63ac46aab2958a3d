"""Authenticate requests to Azure Communication Services with an access key's signature or a Microsoft Entra token.

The signature covers method, path with query, date, host and the body's SHA-256
(learn.microsoft.com/azure/communication-services/tutorials/hmac-header-tutorial).
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime

from relay.core.outcomes import RouteFault
from relay.core.settings import RouteSettings
from relay.providers.acs.settings import DEFAULT_TIMEOUT_SECONDS, endpoint, host_of
from relay.providers.bearer import ExchangeResult, with_token
from relay.providers.contract import ProviderContext
from relay.providers.http_exchange import HttpResponse, LostResponse, exchange
from relay.providers.http_settings import timeouts_of
from relay.providers.secret import with_secret

SCOPE = "https://communication.azure.com/.default"


def signature(method: str, path: str, body: bytes, *, host: str, key: str, now: datetime) -> Mapping[str, str]:
    """Return the headers that sign a request. `path` includes the query. Raises `ValueError` if `key` is not base64."""
    date = format_datetime(now, usegmt=True)
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    text = f"{method}\n{path}\n{date};{host};{digest}"
    signed = base64.b64encode(hmac.digest(base64.b64decode(key, validate=True), text.encode(), "sha256")).decode()
    return {
        "x-ms-date": date,
        "x-ms-content-sha256": digest,
        "Authorization": f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signed}",
    }


class AcsClient:
    """Sends a route's requests. Replaces a refused key or token once."""

    def __init__(self, settings: RouteSettings, context: ProviderContext) -> None:
        self._settings = settings
        self._context = context
        self._url = endpoint(settings)
        self._key: str | None = settings.get("access_key")
        self._timeouts = timeouts_of(settings.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS))

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> ExchangeResult:
        """Send a request, and send it again if the key or token was refused and there is another."""
        given = {"Accept": "application/json", **(headers or {})}
        if body:
            given["Content-Type"] = "application/json"
        if self._key is not None:
            return await self._request_signed(self._key, method, path, body, given)

        async def request_with(token: str) -> HttpResponse | LostResponse:
            return await self._exchange(method, path, body, {**given, "Authorization": f"Bearer {token}"})

        return await with_token(self._context.credential, self._settings, SCOPE, request_with)

    def now(self) -> datetime:
        """Return the current time, aware."""
        now: datetime = self._context.clock()
        return now

    async def _request_signed(
        self, reference: str, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> ExchangeResult:
        async def request_with(key: str) -> HttpResponse | LostResponse:
            signed = signature(method, path, body, host=host_of(self._url), key=key, now=self.now())
            return await self._exchange(method, path, body, {**headers, **signed})

        try:
            return await with_secret(self._context.secrets, reference, request_with)
        except ValueError:
            return RouteFault(code="bad_credentials", reply="the access key is not base64")

    async def _exchange(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> HttpResponse | LostResponse:
        url, client = self._url + path, self._context.http
        return await exchange(client, method, url, headers=headers, body=body, timeouts=self._timeouts)
