"""Send requests to one mailbox in Graph, with a token, and map their responses to outcomes."""

from datetime import datetime
from urllib.parse import quote

from relay.core.outcomes import Outcome
from relay.core.settings import RouteSettings
from relay.providers.bearer import ExchangeResult, with_token
from relay.providers.contract import ProviderContext
from relay.providers.graph.outcomes import outcome_of
from relay.providers.graph.settings import DEFAULT_TIMEOUT_SECONDS, base_url, path_of, scope_of
from relay.providers.http_exchange import MAX_RESPONSE_BYTES, HttpResponse, LostResponse, exchange
from relay.providers.http_settings import timeouts_of

JSON = "application/json"
IMMUTABLE_IDS = 'IdType="ImmutableId"'
"""Requests immutable ids, which a draft keeps when it is sent (learn.microsoft.com/graph/outlook-immutable-id)."""


def message_path(message_id: str) -> str:
    """Return the path of a message below its mailbox."""
    return f"/messages/{quote(message_id, safe='=')}"


class Mailbox:
    """Sends requests to a mailbox. `name` is an address or an object id."""

    def __init__(self, name: str, settings: RouteSettings, context: ProviderContext) -> None:
        self._settings = settings
        self._context = context
        self._root = base_url(settings) + path_of(name)
        self._timeouts = timeouts_of(settings.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS))

    async def request(
        self, method: str, path: str, body: bytes | None = None, content_type: str = JSON
    ) -> ExchangeResult:
        """Send a request below the mailbox, and send it again if the token was refused and there is another."""
        return await self._request(method, self._root + path, body, content_type)

    async def download(self, message_id: str, limit: int = MAX_RESPONSE_BYTES) -> ExchangeResult:
        """Read a message as MIME, up to this many bytes."""
        return await self._request("GET", f"{self._root}{message_path(message_id)}/$value", limit=limit)

    async def follow(self, link: str) -> ExchangeResult | None:
        """Read a link from a Graph response. None if it leads to another server, which must not get the token."""
        return await self._request("GET", link) if link.startswith(f"{base_url(self._settings)}/") else None

    async def _request(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        content_type: str = JSON,
        limit: int = MAX_RESPONSE_BYTES,
    ) -> ExchangeResult:
        headers = {"Accept": JSON, "Prefer": IMMUTABLE_IDS}
        if body is not None:
            headers["Content-Type"] = content_type

        async def request_with(token: str) -> HttpResponse | LostResponse:
            bearing = {**headers, "Authorization": f"Bearer {token}"}
            return await self.request_without_token(method, url, bearing, body, limit)

        return await with_token(self._context.credential, self._settings, scope_of(self._settings), request_with)

    async def request_without_token(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes | None = None,
        limit: int = MAX_RESPONSE_BYTES,
    ) -> HttpResponse | LostResponse:
        """Send a request without Relay's token: the URL of an upload session contains its own authorization."""
        return await exchange(
            self._context.http,
            method,
            url,
            headers=headers,
            body=body,
            timeouts=self._timeouts,
            max_response_bytes=limit,
        )

    def outcome(self, result: ExchangeResult, provider_id: str | None = None) -> Outcome:
        """Return the outcome of a send request."""
        now: datetime = self._context.clock()
        return outcome_of(result, now, provider_id=provider_id)
