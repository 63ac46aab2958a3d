"""One mailbox behind Graph: requests to it with a token, and what their answers mean."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

from relay.core.outcomes import Outcome
from relay.core.settings import RouteSettings
from relay.providers.bearer import ExchangeResult, with_token
from relay.providers.contract import ProviderContext
from relay.providers.graph.outcomes import outcome_of
from relay.providers.graph.settings import DEFAULT_TIMEOUT_SECONDS, base_url, path_of, scope_of
from relay.providers.http_exchange import HttpResponse, LostResponse, exchange
from relay.providers.http_settings import timeouts_of

JSON = "application/json"
IMMUTABLE_IDS = 'IdType="ImmutableId"'
"""A draft keeps such an id when it is sent (learn.microsoft.com/graph/outlook-immutable-id)."""


def message_path(message_id: str) -> str:
    """The path of a message below its mailbox."""
    return f"/messages/{quote(message_id, safe='=')}"


class Mailbox:
    """Makes requests. `name` is an address or an object id."""

    def __init__(self, name: str, settings: RouteSettings, context: ProviderContext) -> None:
        self._settings = settings
        self._context = context
        self._root = base_url(settings) + path_of(name)
        self._timeouts = timeouts_of(settings.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS))

    async def request(
        self, method: str, path: str, body: bytes | None = None, content_type: str = JSON
    ) -> ExchangeResult:
        """One request below the mailbox; a second one when the token was refused and there is another."""
        return await self._request(method, self._root + path, body, content_type)

    async def follow(self, link: str) -> ExchangeResult | None:
        """Read what a link of Graph's own leads to; None when it leads elsewhere, where no token of ours goes."""
        return await self._request("GET", link) if link.startswith(f"{base_url(self._settings)}/") else None

    async def _request(
        self, method: str, url: str, body: bytes | None = None, content_type: str = JSON
    ) -> ExchangeResult:
        headers = {"Accept": JSON, "Prefer": IMMUTABLE_IDS}
        if body is not None:
            headers["Content-Type"] = content_type

        async def request_with(token: str) -> HttpResponse | LostResponse:
            bearing = {**headers, "Authorization": f"Bearer {token}"}
            return await self.request_without_token(method, url, bearing, body)

        return await with_token(self._context.credential, self._settings, scope_of(self._settings), request_with)

    async def request_without_token(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> HttpResponse | LostResponse:
        """One request to an address that needs no token of ours: an upload session's carries its own."""
        session: Any = self._context.http()
        return await exchange(session, method, url, headers=headers, body=body, timeouts=self._timeouts)

    def outcome(self, result: ExchangeResult, provider_id: str | None = None) -> Outcome:
        """What an answer to a request to send means."""
        now: datetime = self._context.clock()
        return outcome_of(result, now, provider_id=provider_id)
