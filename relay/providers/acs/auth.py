"""Requests to Azure Communication Services: signed with an access key, or with a token from Microsoft Entra.

The signature covers method, path with query, date, host and the body's SHA-256
(learn.microsoft.com/azure/communication-services/tutorials/hmac-header-tutorial).
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from relay.core.errors import SettingsError
from relay.core.outcomes import RouteFault, reply_text
from relay.core.settings import RouteSettings
from relay.providers.acs.settings import DEFAULT_TIMEOUT_SECONDS, endpoint, host_of
from relay.providers.bearer import Reply, with_token
from relay.providers.contract import ProviderContext
from relay.providers.http_exchange import Answer, LostResponse, exchange
from relay.providers.http_settings import patience_of

SCOPE = "https://communication.azure.com/.default"


def signature(method: str, path: str, body: bytes, *, host: str, key: str, now: datetime) -> Mapping[str, str]:
    """The headers that sign a request. `path` with its query; `key` is base64, else raises `ValueError`."""
    date = format_datetime(now, usegmt=True)
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    text = f"{method}\n{path}\n{date};{host};{digest}"
    signed = base64.b64encode(hmac.digest(base64.b64decode(key, validate=True), text.encode(), "sha256")).decode()
    return {
        "x-ms-date": date,
        "x-ms-content-sha256": digest,
        "Authorization": f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signed}",
    }


class Connection:
    """Makes a route's requests. A refused key or token is replaced once."""

    def __init__(self, settings: RouteSettings, surroundings: ProviderContext) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._url = endpoint(settings)
        self._key: str | None = settings.get("access_key")
        self._patience = patience_of(settings.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS))

    async def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """One request; a second one when the key or token was refused and there is another."""
        given = {"Accept": "application/json", **(headers or {})}
        if body:
            given["Content-Type"] = "application/json"
        if self._key is not None:
            return await self._ask_signed(self._key, method, path, body, given)

        async def ask_with(token: str) -> Answer | LostResponse:
            return await self._exchange(method, path, body, {**given, "Authorization": f"Bearer {token}"})

        return await with_token(self._surroundings.credential, self._settings, SCOPE, ask_with)

    def now(self) -> datetime:
        """The time, aware."""
        now: datetime = self._surroundings.clock()
        return now

    async def _ask_signed(
        self, reference: str, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Reply:
        secrets = self._surroundings.secrets

        async def ask_with(key: str) -> Answer | LostResponse:
            signed = signature(method, path, body, host=host_of(self._url), key=key, now=self.now())
            return await self._exchange(method, path, body, {**headers, **signed})

        try:
            key = await secrets.get(reference)
            reply = await ask_with(key)
            if not isinstance(reply, Answer) or reply.status != 401:
                return reply
            renewed = await secrets.refresh(reference)
            return reply if renewed == key else await ask_with(renewed)
        except SettingsError as error:
            return RouteFault(code="secret_unavailable", reply=reply_text(str(error)))
        except ValueError:
            return RouteFault(code="bad_credentials", reply="the access key is not base64")

    async def _exchange(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer | LostResponse:
        session: Any = self._surroundings.http()
        url = self._url + path
        return await exchange(session, method, url, headers=headers, body=body or None, patience=self._patience)
