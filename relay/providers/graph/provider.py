"""Send through Exchange Online by the REST API of Microsoft Graph. Its SDK would slow down cold starts.

A message that fits is sent in one request, a larger one as a draft. Tokens are app-only (`relay.platform.entra_tokens`).
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from weakref import WeakValueDictionary

from relay.core.outcomes import Deferred, Outcome, Rejected, RouteFault, Sent
from relay.core.send_request import SendRequest
from relay.core.settings import RouteSettings
from relay.platform.concurrency import run_sized
from relay.providers.contract import AccountRemark, BounceReports, Capabilities, Provider, ProviderContext
from relay.providers.graph import body, drafts, find_copies
from relay.providers.graph.external_recipients import recipient_budget
from relay.providers.graph.mailbox import Mailbox
from relay.providers.graph.outcomes import for_one_mailbox
from relay.providers.graph.settings import (
    DEFAULT_TIMEOUT_SECONDS,
    SETTABLE_LIMITS,
    check_settings,
    default_paces,
    mailbox_of,
    scope_of,
)
from relay.providers.http_exchange import HttpResponse, LostResponse, probe_fault

CAPABILITIES = Capabilities(
    # The maximum that a tenant may set; the default is 35 MB (learn.microsoft.com/graph/api/attachment-createuploadsession).
    max_bytes=150 * 1024 * 1024,
    # A file can be uploaded on its own, text and HTML cannot: one request must hold them.
    max_body_bytes=body.MAX_MIME_BYTES,
    # The default of a mailbox, which an administrator may set to 1 to 1,000 (exchange-online-limits).
    max_recipients=500,
    features=frozenset(
        {
            "headers",
            "x_headers",
            "inline_images",
            "empty_files",
            "calendar",
            "raw_mime",
            "long_lines",
            "reply_to_many",
            "verify",
        }
    ),
)
MAX_CONCURRENT = 4
"""Concurrent requests of one app that a mailbox serves (learn.microsoft.com/graph/throttling-limits, Outlook)."""


def create(name: str, settings: RouteSettings, context: ProviderContext) -> Provider:
    """Make the provider of a route. Opens no connection."""
    return Graph(settings, context)


class Graph:
    """One route through Exchange Online."""

    def __init__(self, settings: RouteSettings, context: ProviderContext) -> None:
        self._settings = settings
        self._context = context
        self._saves: bool = settings.get("save_to_sent_items", True)
        self._has_own_mailbox = bool(settings.get("mailbox"))
        self._wait_seconds = float(settings.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS))
        self._gates: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def send(self, request: SendRequest) -> Outcome:
        """Try once, waiting first for one of the mailbox's `MAX_CONCURRENT` slots."""
        if request.message.return_path is not None:
            return Rejected(code="unsupported", reply="Exchange Online sets the return path itself")
        name = mailbox_of(self._settings, request.message.sender.email)
        gate = self._gates.setdefault(name.lower(), asyncio.Semaphore(MAX_CONCURRENT))
        try:
            await asyncio.wait_for(gate.acquire(), self._wait_seconds)
        except TimeoutError:
            return Deferred(code="rate_limited", reply="the mailbox has too many concurrent requests")
        try:
            outcome = await self._send(Mailbox(name, self._settings, self._context), request)
        finally:
            gate.release()
        return outcome if self._has_own_mailbox else for_one_mailbox(outcome)

    async def probe(self) -> Sent | RouteFault:
        """Check the token and the route's mailbox. A missing permission to send shows only when it sends."""
        name = self._settings.get("mailbox", "")
        if not name:
            token = await self._context.credential.token(self._settings, scope_of(self._settings))
            return Sent() if isinstance(token, str) else RouteFault(code=token.code, reply=token.reply)
        mailbox = Mailbox(name, self._settings, self._context)
        result = await mailbox.request("GET", "/mailFolders/inbox?$select=id")
        # 403: the app may not read, and does not need to. A missing permission to send shows only when it sends.
        if isinstance(result, HttpResponse) and result.status in (200, 403):
            return Sent()
        if isinstance(result, LostResponse):
            return RouteFault(code="unreachable", reply=result.reason)
        return probe_fault(mailbox.outcome(result))

    async def check_account(self, sender_domains: Sequence[str]) -> Sequence[AccountRemark]:
        """Check whether the token has permissions for the whole tenant, which Relay does not need."""
        from relay.providers.graph.account_check import account_remarks

        token = await self._context.credential.token(self._settings, scope_of(self._settings))
        return account_remarks(token) if isinstance(token, str) else []

    async def read_reports(
        self, mailbox: str, cursor: str, answers_since: datetime | None = None
    ) -> BounceReports | RouteFault | Deferred:
        """Read the bounce reports, and the answers if asked for, that arrived in a mailbox since the cursor."""
        from relay.providers.graph.incoming.bounce_reports import read

        return await read(Mailbox(mailbox, self._settings, self._context), cursor, answers_since)

    async def verify(self, request: SendRequest, provider_id: str | None) -> Outcome:
        """Look for the attempt's copy in its mailbox, by the draft's id or by Relay's header."""
        name = mailbox_of(self._settings, request.message.sender.email)
        mailbox = Mailbox(name, self._settings, self._context)
        return await find_copies.verify(mailbox, request.attempt_id, provider_id)

    async def close(self) -> None:
        """Close nothing: the session belongs to the process."""

    async def _send(self, mailbox: Mailbox, request: SendRequest) -> Outcome:
        try:
            mail = await self._request_body(request)
            draft = await self._draft(request) if mail is None else None
        except ValueError as error:
            return Rejected(code="invalid_message", reply=type(error).__name__)
        if mail is not None:
            return mailbox.outcome(await mailbox.request("POST", "/sendMail", mail.body, mail.content_type))
        if draft is None:
            return Rejected(code="message_too_large", reply="text or raw MIME is larger than one request to Graph")
        return await drafts.send(mailbox, request, draft)

    async def _draft(self, request: SendRequest) -> body.RequestBody | None:
        return await run_sized(partial(body.draft, request, saves=self._saves), request.message.building_size)

    async def _request_body(self, request: SendRequest) -> body.RequestBody | None:
        return await run_sized(partial(body.mail, request, saves=self._saves), request.message.building_size)


__all__ = (
    "CAPABILITIES",
    "SETTABLE_LIMITS",
    "Graph",
    "check_settings",
    "create",
    "default_paces",
    "recipient_budget",
)
