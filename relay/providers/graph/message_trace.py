"""Read the delivery status of mail from Exchange Online's message trace, through Microsoft Graph.

The trace covers all mail of a tenant, so it has an identity of its own: the permission ExchangeMessageTrace.Read.All cannot be
limited to mailboxes. Sources: learn.microsoft.com/graph/api/messagetracingroot-list-messagetraces ($top to 5,000, nextLink, a
window of 10 of the last 90 days, both bounds), /exchangemessagetrace-getdetailsbyrecipient (100 requests in 5 minutes),
/resources/exchangemessagetrace (the service principal that must exist). The texts of errors are not documented: the one of
the missing service principal is in office365itpros.com/2026/01/27/message-trace-api.
"""

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

import msgspec

from relay.core.outcomes import Deferred, RouteFault, reply_text
from relay.core.settings import RouteSettings
from relay.platform.entra_tokens import KEYS, identity_problems
from relay.providers.bearer import ExchangeResult, with_token
from relay.providers.contract import ProviderContext
from relay.providers.graph.account_check import WIDE, roles_of
from relay.providers.graph.settings import CLOUDS, DEFAULT_URL, base_url, scope_of
from relay.providers.http_exchange import HttpResponse, LostResponse, exchange, retry_after
from relay.providers.http_settings import is_address, timeouts_of

SERVICE_PRINCIPAL = "8bd644d1-64a1-4d4b-ae52-2e0cbf64e373"
"""The Microsoft application whose service principal must exist in the tenant (resources/exchangemessagetrace)."""
PERMISSION = "ExchangeMessageTrace.Read.All"
MAX_ROWS = 5_000
LONGEST_WINDOW = timedelta(days=10)
TIMEOUT_SECONDS = 30
_MAX_PAGE_BYTES = 16 * 1024 * 1024
"""A page of 5,000 rows, if each has a subject of more than a thousand characters."""
_PATH = "/v1.0/admin/exchange/tracing/messageTraces"
_SETTINGS = ("base_url", *KEYS)
_NO_PRINCIPAL = re.compile(rf"service principal-less|{SERVICE_PRINCIPAL}", re.IGNORECASE)


class TraceRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A row of the trace: one recipient of one mail. `received_date_time` is when Exchange received the mail."""

    id: str
    received_date_time: datetime
    message_id: str | None = None
    recipient_address: str | None = None
    status: str = ""


class TracePage(msgspec.Struct, frozen=True, kw_only=True):
    """Rows, and the link to the next page; empty on the last."""

    rows: Sequence[TraceRow]
    link: str = ""


class TraceFault(msgspec.Struct, frozen=True, kw_only=True):
    """A failed request. `code` is `link_refused`, `missing_service_principal` or a cause of `relay.core.outcomes`."""

    code: str
    reply: str = ""
    retry_after_seconds: float | None = None


class _Page(msgspec.Struct, frozen=True):
    value: tuple[msgspec.Raw, ...] = ()
    link: str = msgspec.field(default="", name="@odata.nextLink")


class _Detail(msgspec.Struct, frozen=True):
    event: str | None = None
    description: str | None = None


class _Details(msgspec.Struct, frozen=True):
    value: tuple[_Detail, ...] = ()


_row_decoder = msgspec.json.Decoder(TraceRow)


def check_settings(settings: RouteSettings) -> Sequence[str]:
    """Return all problems of a trace's settings, each as `key: sentence`."""
    known = ", ".join(("routes", *_SETTINGS))
    problems = [
        f"{key}: is not a setting of a message trace (known: {known})" for key in settings if key not in _SETTINGS
    ]
    url = settings.get("base_url", DEFAULT_URL)
    if not is_address(url):
        problems.append(f"base_url: must be {DEFAULT_URL} or another https address")
    elif url in CLOUDS and url != DEFAULT_URL:
        problems.append("base_url: the message trace exists in the global cloud only")
    return [*problems, *identity_problems(settings)]


class MessageTraceClient:
    """Reads the trace of one tenant. One call is one request, or two if the token was refused."""

    def __init__(self, settings: RouteSettings, context: ProviderContext) -> None:
        self._settings = settings
        self._context = context
        self._root = base_url(settings) + _PATH

    async def window(self, since: datetime, until: datetime, *, limit: int = MAX_ROWS) -> TracePage | TraceFault:
        """Read the first page of the mail that Exchange received in a window, both ends included."""
        return await _page(await self._get(self._root + _query(_received(since, until), limit)), self._now())

    async def follow(self, link: str) -> TracePage | TraceFault:
        """Read the page of a link. `link_refused` if Graph no longer takes it, or if it leads to another server."""
        if not link.startswith(f"{base_url(self._settings)}/"):
            return TraceFault(code="link_refused", reply="the link leads to another server")
        result = await self._get(link)
        if isinstance(result, HttpResponse) and result.status in (400, 404, 410):
            return TraceFault(code="link_refused", reply=result.reply)
        return await _page(result, self._now())

    async def find(self, message_id: str, since: datetime, until: datetime) -> TracePage | TraceFault:
        """Find the mail with a Message-ID (without brackets) that Exchange received in a window."""
        named = "messageId eq '<{}>'".format(message_id.replace("'", "''"))
        return await _page(
            await self._get(self._root + _query(f"{_received(since, until)} and {named}", MAX_ROWS)), self._now()
        )

    async def reason(self, row: TraceRow) -> str | TraceFault:
        """Return why mail to a recipient failed, in Exchange's words; empty if the trace does not say."""
        recipient = quote((row.recipient_address or "").replace("'", "''"), safe="@")
        path = f"/{quote(row.id, safe='')}/getDetailsByRecipient(recipientAddress='{recipient}')"
        result = await self._get(self._root + path)
        if not isinstance(result, HttpResponse) or result.status != 200:
            return _fault(result, self._now())
        try:
            found = msgspec.json.decode(result.body, type=_Details).value
        except msgspec.MsgspecError:
            return TraceFault(code="provider_unavailable", reply="the response is not the JSON of a trace")
        failed = (each.description or "" for each in found if (each.event or "").lower() == "fail")
        return next(failed, "")

    async def needless_permissions(self) -> Sequence[str]:
        """Return the permissions of this identity that open every mailbox, which the trace does not need."""
        token = await self._context.credential.token(self._settings, scope_of(self._settings))
        return [role for role in (roles_of(token) if isinstance(token, str) else None) or () if role in WIDE]

    async def _get(self, url: str) -> ExchangeResult:
        async def request_with(token: str) -> HttpResponse | LostResponse:
            headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
            timeouts = timeouts_of(TIMEOUT_SECONDS)
            return await exchange(
                self._context.http, "GET", url, headers=headers, timeouts=timeouts, max_response_bytes=_MAX_PAGE_BYTES
            )

        return await with_token(self._context.credential, self._settings, scope_of(self._settings), request_with)

    def _now(self) -> datetime:
        now: datetime = self._context.clock()
        return now


def _received(since: datetime, until: datetime) -> str:
    first, last = (f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for at in (since, until))
    return f"receivedDateTime ge {first} and receivedDateTime le {last}"


def _query(expression: str, limit: int) -> str:
    return "?" + urlencode({"$filter": expression, "$top": limit}, quote_via=quote, safe="$:'")


async def _page(result: ExchangeResult, now: datetime) -> TracePage | TraceFault:
    if not isinstance(result, HttpResponse) or result.status != 200:
        return _fault(result, now)
    return await asyncio.to_thread(_decoded, result.body)


def _decoded(body: bytes) -> TracePage | TraceFault:
    try:
        page = msgspec.json.decode(body, type=_Page)
    except msgspec.MsgspecError:
        return TraceFault(code="provider_unavailable", reply="the response is not the JSON of a trace")
    return TracePage(rows=[row for raw in page.value if (row := _row(raw)) is not None], link=page.link)


def _row(raw: msgspec.Raw) -> TraceRow | None:
    """Decode a row. Returns None for an unreadable one, which must not hide the others of its page."""
    try:
        return _row_decoder.decode(raw)
    except msgspec.MsgspecError:
        return None


def _fault(result: ExchangeResult, now: datetime) -> TraceFault:
    if isinstance(result, LostResponse):
        return TraceFault(code="unreachable", reply=result.reason)
    if isinstance(result, RouteFault | Deferred):
        return TraceFault(code=result.code, reply=result.reply)
    reply = reply_text(result.reply)
    if result.status == 401 and _NO_PRINCIPAL.search(result.text):
        return TraceFault(code="missing_service_principal", reply=reply)
    code = {401: "bad_credentials", 403: "missing_permission", 429: "rate_limited"}.get(result.status)
    if code is None:
        code = "misconfigured" if 300 <= result.status < 500 else "provider_unavailable"
    return TraceFault(code=code, reply=reply, retry_after_seconds=retry_after(result.headers, now))
