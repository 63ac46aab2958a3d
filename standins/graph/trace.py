"""Graph's message trace of an Exchange Online tenant: rows for each recipient of each mail, and the events of one row.

Sources: learn.microsoft.com/graph/api/messagetracingroot-list-messagetraces, /exchangemessagetrace-getdetailsbyrecipient,
/resources/exchangemessagetrace. The pages state the filters, the range of `$top`, the window of 10 of the last 90 days, the
limit of 100 requests in 5 minutes and the service principal. They do not state the order of the rows (newest first) nor the
texts of errors, which are those that users report: office365itpros.com/2026/01/27/message-trace-api (missing service
principal), github.com/Nico77600/MessageTraceReport (bounds of the window, `$top`, 429).
"""

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec
from aiohttp import web

from standins.graph.errors import GraphError
from standins.http import Acceptance, Clock, StandIn, json_response
from standins.inbox import Inbox, Mail
from standins.rate_limit import Limit, RateLimiter

PERMISSION = "ExchangeMessageTrace.Read.All"
SERVICE_PRINCIPAL = "8bd644d1-64a1-4d4b-ae52-2e0cbf64e373"
ROOT = "/v1.0/admin/exchange/tracing/messageTraces"
LIMIT = Limit(name="messageTrace", count=100, seconds=300)
MAX_ROWS, DEFAULT_ROWS = 5_000, 1_000
_KEPT = timedelta(days=90)
STATUSES = ("gettingStatus", "pending", "failed", "delivered", "expanded", "quarantined", "filteredAsSpam")
_NO_PRINCIPAL = (
    f"Service principal-less Authentication failed: the service principal for App ID {SERVICE_PRINCIPAL} was not found. Please "
    "create a service principal for this app in your tenant. Provisioning may take several hours to complete."
)
_TIME = re.compile(r"receivedDateTime (ge|le) (\S+)", re.IGNORECASE)
_EQUAL = re.compile(r"(messageId|recipientAddress|senderAddress|status|id) eq '((?:[^']|'')*)'", re.IGNORECASE)
_DETAILS = re.compile(r"getDetailsByRecipient\(recipientAddress='((?:[^']|'')*)'\)")


class TraceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the trace: one recipient of one mail."""

    id: str
    message_id: str
    recipient: str
    sender: str = ""
    status: str = "delivered"
    received_at: datetime
    reason: str = ""

    def resource(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "senderAddress": self.sender,
            "recipientAddress": self.recipient,
            "messageId": self.message_id,
            "receivedDateTime": self.received_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "subject": "",
            "status": self.status,
            "size": 1000,
            "fromIP": "",
            "toIP": "",
        }


class TraceOwner(Protocol):
    """The parts of a stand-in that its trace needs."""

    clock: Clock
    inbox: Inbox
    permissions: set[str]

    def check_token(self, request: web.Request) -> None: ...
    def refuse(self, request: web.Request, error: GraphError) -> web.Response: ...


class Trace:
    """The trace of one tenant. Mail appears `delay` after it was accepted.

    `statuses` and `reasons` set the result of mail by recipient; `others` holds the rows of mail that is not the app's;
    `rewrites_message_ids` makes Exchange give sent mail Message-IDs of its own.
    """

    def __init__(self, standin: TraceOwner) -> None:
        self._standin = standin
        self.delay = timedelta(0)
        self.statuses: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.members: dict[str, Sequence[str]] = {}
        self.others: list[TraceRow] = []
        self.has_service_principal = True
        self.rewrites_message_ids = False
        self.requests: list[datetime] = []
        self.details_of: list[tuple[str, str]] = []
        """The id and recipient of each request for details."""
        self.limiter = RateLimiter([LIMIT])

    def routes(self, standin: StandIn) -> list[web.RouteDef]:
        def route(path: str, examine: Callable[[web.Request], web.Response]) -> web.RouteDef:
            async def handle(request: web.Request) -> web.StreamResponse:
                async def decide(_body: bytes) -> Acceptance | web.Response:
                    try:
                        self._check(request)
                        return examine(request)
                    except GraphError as error:
                        return self._standin.refuse(request, error)

                return await standin.perform("trace", request, decide)

            return web.get(path, handle)

        return [route(ROOT, self._list), route(ROOT + "/{trace}/{details}", self._details)]

    def rows(self, start: datetime, end: datetime) -> list[TraceRow]:
        """Return the rows of a window that have appeared, newest first."""
        newest = min(end, self._standin.clock() - self.delay)
        own = [row for mail in self._standin.inbox.messages for row in self._of(mail)]
        found = [row for row in (*own, *self.others) if start <= row.received_at <= newest]
        return sorted(found, key=lambda row: (row.received_at, row.id, row.recipient), reverse=True)

    def _of(self, mail: Mail) -> list[TraceRow]:
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, mail.id))
        message_id = f"<{name}@standin.prod.outlook.com>" if self.rewrites_message_ids else ""
        found: list[TraceRow] = []
        for recipient in mail.envelope:
            status = self.statuses.get(recipient, "expanded" if recipient in self.members else "delivered")
            row = TraceRow(
                id=name,
                message_id=message_id or str(mail.fields.get("internetMessageId", "")),
                recipient=recipient,
                sender=mail.sender.address,
                status=status,
                received_at=mail.accepted_at,
                reason=self.reasons.get(recipient, ""),
            )
            members = self.members.get(recipient, ())
            found += [row, *(msgspec.structs.replace(row, recipient=each, status="delivered") for each in members)]
        return found

    def _check(self, request: web.Request) -> None:
        self._standin.check_token(request)
        if not self.has_service_principal:
            raise GraphError(401, "Unauthorized", _NO_PRINCIPAL)
        if PERMISSION not in self._standin.permissions:
            raise GraphError(403, "Forbidden", "Insufficient privileges to complete the operation.")
        exceeded = self.limiter.take(self._standin.clock())
        if exceeded is not None:
            text = "Your recent queries have surpassed the permitted limit, please try again later."
            raise GraphError(429, "TooManyRequests", text, Retry_After=str(exceeded.wait_seconds))
        self.requests.append(self._standin.clock())

    def _list(self, request: web.Request) -> web.Response:
        query = request.query
        top = _whole(query.get("$top", str(DEFAULT_ROWS)))
        if not 1 <= top <= MAX_ROWS:
            raise _bad("ResultSize is invalid")
        start, end = self._window(query.get("$filter", ""))
        wanted = {name.lower(): value.replace("''", "'") for name, value in _EQUAL.findall(query.get("$filter", ""))}
        found = [row for row in self.rows(start, end) if _is_wanted(row, wanted)]
        skip = _whole(query.get("$skiptoken", "0"))
        answer: dict[str, Any] = {"value": [row.resource() for row in found[skip : skip + top]]}
        if skip + top < len(found):
            answer["@odata.nextLink"] = str(request.url.update_query({"$skiptoken": str(skip + top)}))
        return json_response(answer)

    def _window(self, expression: str) -> tuple[datetime, datetime]:
        now = self._standin.clock()
        bounds = {name.lower(): _moment(text) for name, text in _TIME.findall(expression)}
        if not bounds:
            return now - timedelta(hours=48), now
        if set(bounds) != {"ge", "le"}:
            raise _bad("EndDate is required when a StartDate is entered.")
        if bounds["le"] - bounds["ge"] > timedelta(days=10):
            raise _bad("The interval between StartDate and EndDate can't be longer than 10 days.")
        if now - bounds["ge"] > _KEPT:
            raise _bad("Invalid StartDate value. The StartDate can't be older than 90 days from today.")
        return bounds["ge"], bounds["le"]

    def _details(self, request: web.Request) -> web.Response:
        asked = _DETAILS.fullmatch(request.match_info["details"])
        if asked is None:
            raise GraphError(400, "BadRequest", "Resource not found for the segment.")
        recipient = asked[1].replace("''", "'").lower()
        now = self._standin.clock()
        self.details_of.append((request.match_info["trace"], recipient))
        found = [
            event
            for row in self.rows(now - _KEPT, now)
            if row.id == request.match_info["trace"] and row.recipient.lower() == recipient
            for event in _events(row)
        ]
        return json_response({"value": found})


def _events(row: TraceRow) -> list[dict[str, Any]]:
    base = {
        "id": row.id,
        "messageId": row.message_id,
        "dateTime": row.resource()["receivedDateTime"],
        "data": "<root />",
    }
    received = {**base, "event": "Receive", "action": "", "description": "Message received by: STANDIN"}
    if row.status != "failed":
        return [received, {**base, "event": "Deliver", "action": "", "description": "The message was delivered."}]
    said = row.reason or "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"
    reason = f"Reason: [{{LED={said}}};{{MSG=}};{{FQDN=}};{{IP=}};{{LRT=}}]"
    return [received, {**base, "event": "Fail", "action": "", "description": reason}]


def _is_wanted(row: TraceRow, wanted: Mapping[str, str]) -> bool:
    if not wanted:
        return True
    known = {name.lower(): str(value).lower() for name, value in row.resource().items()}
    return all(known[name] == value.lower() for name, value in wanted.items())


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise _bad("The filter contains an invalid time.") from error


def _whole(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _bad(text: str) -> GraphError:
    return GraphError(400, "BadRequest", text)
