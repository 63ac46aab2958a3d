"""Send by SendGrid's v3 API over the pooled session.

The vendor's library builds only the bodies: its client opens a TLS context for each call (20 ms of CPU) and has no timeout.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from relay.core.outcomes import Deferred, Outcome, Rejected, RouteFault, Sent, Unknown, reply_text
from relay.core.send_request import SendRequest
from relay.core.settings import RouteSettings
from relay.platform.concurrency import run_sized
from relay.providers.contract import AccountRemark, Capabilities, Provider, ProviderContext, SuppressedAddress
from relay.providers.finished import as_content
from relay.providers.http_exchange import HttpResponse, LostResponse, exchange, lost_outcome, probe_fault
from relay.providers.http_settings import timeouts_of
from relay.providers.secret import with_secret
from relay.providers.sendgrid import options as known_options
from relay.providers.sendgrid.outcomes import outcome_of
from relay.providers.sendgrid.settings import DEFAULT_KEY, DEFAULT_TIMEOUT_SECONDS, DEFAULT_URL, check_settings

CAPABILITIES = Capabilities(
    # "less than 30MB", without saying which kind of megabyte (mail-send/limitations).
    max_bytes=30_000_000,
    max_recipients=1000,
    features=frozenset(
        {
            "headers",
            "x_headers",
            "inline_images",
            "calendar",
            "raw_content",
            "reply_to_many",
            "verify",
            "delivery_events",
        }
    ),
)
_RENEWABLE = ("bad_credentials", "missing_permission")
"""Refusals that another key may avoid. Credits and restrictions of an account are the same for all of its keys."""


def check_options(options: Any) -> Sequence[str]:
    """Return all problems of a message's `options.sendgrid`, each as `path: sentence`."""
    return known_options.options_problems(options, "options.sendgrid")


def demands(options: RouteSettings) -> Sequence[str]:
    """Name the options of a message that only SendGrid can carry."""
    return known_options.demands(options)


def optional(options: RouteSettings) -> Sequence[str]:
    """Name the options of a message that routes of other providers ignore."""
    return known_options.optional(options)


def can_verify(settings: RouteSettings) -> bool:
    """Return whether a lost response can be verified: with the Email Activity feed, if the account has it."""
    return bool(settings.get("activity_feed", False))


def create(name: str, settings: RouteSettings, context: ProviderContext) -> Provider:
    """Make the provider of a route. Opens no connection."""
    return SendGrid(settings, context)


class SendGrid:
    """One route through SendGrid."""

    def __init__(self, settings: RouteSettings, context: ProviderContext) -> None:
        self._context = context
        self._key = settings.get("api_key", DEFAULT_KEY)
        self._url = settings.get("base_url", DEFAULT_URL).rstrip("/")
        self._sandbox = settings.get("sandbox_mode", False)
        self._has_feed = settings.get("activity_feed", False)
        self._options: Mapping[str, Any] = settings.get("options", {})
        self._timeouts = timeouts_of(settings.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS))

    async def send(self, request: SendRequest) -> Outcome:
        """Send one POST /v3/mail/send, and a second one only with another key if the first key was refused."""
        readable = await as_content(request)
        if isinstance(readable, Rejected):
            return readable
        request = readable
        own = request.message.options.get("sendgrid", {})
        if problems := _unsupported(request, own):
            return Rejected(code="unsupported", reply=reply_text("; ".join(problems)))
        options = {**self._options, **own}
        was_sandbox = self._sandbox or _asks_for_sandbox(options)
        try:
            body = await _body(request, options, sandbox=self._sandbox)
        except ValueError as error:
            return Rejected(code="invalid_message", reply=type(error).__name__)
        response = await self._request("POST", "/v3/mail/send", body)
        if isinstance(response, RouteFault):
            return response
        if isinstance(response, LostResponse):
            return lost_outcome(response)
        return outcome_of(response, self._now(), was_sandbox=was_sandbox)

    async def probe(self) -> Sent | RouteFault:
        """Check that the key may send and the account has credits. An unverified sender shows only when it sends."""
        response = await self._request("GET", "/v3/scopes")
        if not isinstance(response, HttpResponse) or response.status != 200:
            return self._fault(response)
        found = response.decoded()
        scopes = found.get("scopes", ()) if isinstance(found, dict) else ()
        if "mail.send" not in scopes:
            text = "the key lacks the scope mail.send: it was created without it, or SendGrid has not approved the account yet"
            return RouteFault(code="missing_permission", reply=text)
        return await self._credits()

    async def _credits(self) -> Sent | RouteFault:
        """Check for exhausted credits, if the key may read them. Many keys and some resellers' accounts may not."""
        response = await self._request("GET", "/v3/user/credits")
        if not isinstance(response, HttpResponse) or response.status != 200:
            return Sent()
        found = response.decoded()
        if isinstance(found, dict) and found.get("remain") == 0 and found.get("overage", 0) == 0:
            return RouteFault(code="credits_exhausted", reply=reply_text(f"credits: {response.text}"))
        return Sent()

    async def check_account(self, sender_domains: Sequence[str]) -> Sequence[AccountRemark]:
        """Check the account's senders, domains and credits, as far as the key may read them."""
        from relay.providers.sendgrid.account_check import account_remarks

        paths = ("/v3/verified_senders", "/v3/whitelabel/domains", "/v3/user/credits")
        senders, domains, credit = [await self._request("GET", path) for path in paths]
        return account_remarks(sender_domains, senders, domains, credit)

    async def suppressed_addresses(
        self, cursor: str
    ) -> tuple[Sequence[SuppressedAddress], str | None] | RouteFault | Deferred:
        """Return a page of the account's suppression lists."""
        from relay.providers.sendgrid.suppression_lists import suppressed_addresses

        return await suppressed_addresses(lambda path, query: self._request("GET", path, query=query), cursor)

    async def verify(self, request: SendRequest, provider_id: str | None) -> Outcome:
        """Search the Email Activity feed (a paid add-on: `activity_feed`) for Relay's ids.

        A message in the feed was sent. One that is missing may still appear, so that proves nothing.
        """
        if not self._has_feed:
            return Unknown(code="response_lost", provider_id=provider_id)
        query = f"(unique_args['relay_id']=\"{request.id}\" AND unique_args['relay_attempt']=\"{request.attempt}\")"
        response = await self._request("GET", "/v3/messages", query={"limit": "1", "query": query})
        found = response.decoded() if isinstance(response, HttpResponse) and response.status == 200 else None
        messages = found.get("messages") if isinstance(found, dict) else None
        if (
            isinstance(response, HttpResponse)
            and isinstance(messages, list)
            and messages
            and isinstance(messages[0], dict)
        ):
            return Sent(provider_id=messages[0].get("msg_id"), reply=response.reply)
        reply = response.reply if isinstance(response, HttpResponse) else ""
        return Unknown(code="response_lost", provider_id=provider_id, reply=reply)

    async def close(self) -> None:
        """Close nothing: the session belongs to the process."""

    async def _request(
        self, method: str, path: str, body: bytes | None = None, query: Mapping[str, str] | None = None
    ) -> HttpResponse | LostResponse | RouteFault:
        """Send a request, and send it again if the key was refused and there is another (rotation)."""
        url = self._url + path + (f"?{urlencode(query, quote_via=quote)}" if query else "")

        async def request_with(key: str) -> HttpResponse | LostResponse:
            return await self._exchange(method, url, key, body)

        return await with_secret(self._context.secrets, self._key, request_with, self._is_key_refused)

    async def _exchange(self, method: str, url: str, key: str, body: bytes | None) -> HttpResponse | LostResponse:
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        client = self._context.http
        return await exchange(client, method, url, headers=headers, body=body, timeouts=self._timeouts)

    def _is_key_refused(self, response: HttpResponse) -> bool:
        return response.status == 401 and outcome_of(response, self._now(), was_sandbox=False).code in _RENEWABLE

    def _fault(self, response: HttpResponse | LostResponse | RouteFault) -> RouteFault:
        """Return why a probe failed."""
        if isinstance(response, RouteFault):
            return response
        if isinstance(response, LostResponse):
            return RouteFault(code="unreachable", reply=response.reason)
        return probe_fault(outcome_of(response, self._now(), was_sandbox=False))

    def _now(self) -> datetime:
        now: datetime = self._context.clock()
        return now


def _unsupported(request: SendRequest, own: Any) -> list[str]:
    """Return why SendGrid cannot carry a message. Acceptance refuses such messages, but a redrive may change the route."""
    problems = list(check_options(own))
    if request.message.return_path is not None:
        problems.append("SendGrid sets the return path itself")
    return problems


async def _body(request: SendRequest, options: Mapping[str, Any], *, sandbox: bool) -> bytes:
    from relay.providers.sendgrid.body import build

    return await run_sized(partial(build, request, options, sandbox=sandbox), request.message.building_size)


def _asks_for_sandbox(options: Mapping[str, Any]) -> bool:
    sandbox = options.get("mail_settings", {}).get("sandbox_mode", {})
    return sandbox.get("enable") is True


__all__ = ("CAPABILITIES", "SendGrid", "can_verify", "check_options", "check_settings", "create", "demands", "optional")
