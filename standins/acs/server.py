"""Stand-in for Azure Communication Services Email: send, operation status, delivery reports through Event Grid.

Script operations: `send`, `status`.
"""

import hashlib
import uuid
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from aiohttp import web

from standins.acs import rules
from standins.acs.auth import is_authentic, is_key
from standins.acs.events import EventGrid
from standins.acs.rules import AcsError
from standins.entra import TokenIssuer
from standins.http import Acceptance, Clock, StandIn, json_response, utc_now
from standins.inbox import Mail
from standins.rate_limit import Limit, RateLimiter

DEFAULT_KEY = "c3RhbmRpbi1hY2Nlc3Mta2V5LXN0YW5kaW4tYWNjZXNzLWtleS1zdGFuZGlu"
CUSTOM_DOMAIN = (
    Limit(name="PerSubscriptionPerMinuteLimitExceeded", count=30, seconds=60),
    Limit(name="PerSubscriptionPerHourLimitExceeded", count=100, seconds=3600),
)
"""The send limits of a new subscription with a custom domain."""
STATUS_READS = (
    Limit(name="PerSubscriptionPerMinuteLimitExceeded", count=60, seconds=60),
    Limit(name="PerSubscriptionPerHourLimitExceeded", count=200, seconds=3600),
)
"""The limits of a new subscription for operation status."""

_ACCOUNT_REFUSALS = {
    "key_revoked": (401, "Denied", "Denied by the resource provider."),
    "role_missing": (403, "Forbidden", "The caller is not authorized to perform this action."),
    "domain_not_linked": (404, "DomainNotLinked", "The specified sender domain has not been linked."),
    "sender_unknown": (
        400,
        "InvalidSenderUserName",
        "Invalid email sender username. Please use a username from the list of valid usernames configured by "
        "your administrator.",
    ),
    "suspended": (403, "Forbidden", "The resource has been suspended."),
}
_SEND_ONLY = frozenset(("domain_not_linked", "sender_unknown"))


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an operation: `Succeeded`, `Failed` or `Canceled`, and the reason."""

    status: str = "Succeeded"
    code: str = ""
    message: str = ""


class _Operation(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    digest: bytes
    ends_at: datetime
    ending: Ending


class AcsStandIn(StandIn):
    """A stand-in for ACS Email. `url` is the endpoint. `keys` are its access keys, in base64; Entra tokens come from `issuer`.

    `domains` are the linked domains; None links all. `limits` and `status_limits` apply to the whole stand-in,
    which is one subscription. An operation runs for `running`, then ends as set by `end`, or succeeds.
    `suppressed` addresses receive nothing; a mail with only such addresses fails.
    """

    name = "acs"
    account_states = ("active", *_ACCOUNT_REFUSALS)

    def __init__(
        self,
        *,
        keys: Collection[str] = (DEFAULT_KEY,),
        issuer: TokenIssuer | None = None,
        domains: Collection[str] | None = None,
        limits: Sequence[Limit] = (),
        status_limits: Sequence[Limit] = (),
        running: timedelta = timedelta(0),
        clock: Clock = utc_now,
        port: int = 0,
    ) -> None:
        if not all(map(is_key, keys)):
            raise ValueError("access keys must be base64")
        super().__init__(clock=clock, port=port)
        self.keys = set(keys)
        self.issuer = issuer or TokenIssuer(clock=clock)
        self.domains = None if domains is None else {domain.lower() for domain in domains}
        self.rate_limiter = RateLimiter(limits)
        self.status_rate_limiter = RateLimiter(status_limits)
        self.running = running
        self.suppressed: set[str] = set()
        self.events = EventGrid(clock)
        self._endings: list[tuple[str, Ending]] = []
        self._operations: dict[str, _Operation] = {}

    def end(self, recipient: str, status: str, code: str = "", message: str = "") -> None:
        """Set the result of operations with a recipient that matches this glob."""
        self._endings.append((recipient.lower(), Ending(status=status, code=code, message=message)))

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/emails:send", self._send),
            web.get("/emails/operations/{operation}", self._show),
            web.post("/__standin__/events", self._emit),
        ]

    def default_body(self, status: int) -> Any:
        codes = {401: "Denied", 429: "TooManyRequests", 503: "ServiceUnavailable"}
        return _body(AcsError(status, codes.get(status, "InternalServerError"), f"scripted {status}"))

    async def _send(self, request: web.Request) -> web.StreamResponse:
        return await self.perform("send", request, self._deciding(request, self._accept), rules.recipients_in)

    async def _show(self, request: web.Request) -> web.StreamResponse:
        return await self.perform("status", request, self._deciding(request, self._status))

    def _deciding(
        self, request: web.Request, decide: Callable[[web.Request, bytes], Acceptance | web.Response]
    ) -> Callable[[bytes], Awaitable[Acceptance | web.Response]]:
        async def examine(body: bytes) -> Acceptance | web.Response:
            try:
                self._check_caller(request, body)
                return decide(request, body)
            except AcsError as error:
                return _refusal(error)

        return examine

    def _check_caller(self, request: web.Request, body: bytes) -> None:
        now = self.clock()
        if not is_authentic(request, body, keys=self.keys, issuer=self.issuer, now=now):
            raise AcsError(*_ACCOUNT_REFUSALS["key_revoked"])
        if self.account in _ACCOUNT_REFUSALS and (self.account not in _SEND_ONLY or request.method == "POST"):
            raise AcsError(*_ACCOUNT_REFUSALS[self.account])
        if "api-version" not in request.query:
            raise AcsError(400, "MissingApiVersionParameter", "The api-version query parameter is required.")

    def _accept(self, request: web.Request, body: bytes) -> Acceptance | web.Response:
        operation_id = _operation_id(request)
        digest = hashlib.sha256(body).digest()
        known = self._operations.get(operation_id)
        if known is not None and known.digest != digest:
            raise AcsError(400, "BadRequest", "The Operation-Id was used for another message.")
        if known is not None:
            return self._accepted(known)
        mail = rules.read_message(body, operation_id, self.clock())
        if self.domains is not None and mail.sender.address.lower().rpartition("@")[2] not in self.domains:
            raise AcsError(*_ACCOUNT_REFUSALS["domain_not_linked"])
        self._take(self.rate_limiter)
        return self._acceptance(mail, digest)

    def _acceptance(self, mail: Mail, digest: bytes) -> Acceptance:
        ending = self._ending(mail)
        operation = _Operation(id=mail.id, digest=digest, ends_at=self.clock() + self.running, ending=ending)

        async def commit() -> None:
            self._operations[operation.id] = operation
            outcome = "delivered" if ending.status == "Succeeded" else "dropped"
            await self.inbox.add(msgspec.structs.replace(mail, outcome=outcome))

        return Acceptance(commit=commit, response=self._accepted(operation))

    def _ending(self, mail: Mail) -> Ending:
        addresses = [address.lower() for address in mail.envelope]
        if all(address in self.suppressed for address in addresses):
            text = "Message dropped because all recipients were suppressed"
            return Ending(status="Failed", code="EmailDroppedAllRecipientsSuppressed", message=text)
        found = (ending for glob, ending in self._endings if any(fnmatchcase(address, glob) for address in addresses))
        return next(found, Ending())

    def _take(self, rate_limiter: RateLimiter) -> None:
        exceeded = rate_limiter.take(self.clock())
        if exceeded is not None:
            text = f"{exceeded.limit.name} - Please try again after {exceeded.wait_seconds} seconds."
            raise AcsError(429, "TooManyRequests", text, {"Retry-After": str(exceeded.wait_seconds)})

    def _accepted(self, operation: _Operation) -> web.Response:
        location = f"{self.url}/emails/operations/{operation.id}?api-version=2025-09-01"
        headers = {"Operation-Location": location, "retry-after": "5"}
        return json_response({"id": operation.id, "status": "Running", "error": None}, 202, headers)

    def _status(self, request: web.Request, _body: bytes) -> web.Response:
        operation = self._operations.get(request.match_info["operation"].lower())
        if operation is None:
            raise AcsError(404, "NotFound", "The operation was not found.")
        self._take(self.status_rate_limiter)
        if self.clock() < operation.ends_at:
            return json_response({"id": operation.id, "status": "Running", "error": None}, 200, {"retry-after": "5"})
        ending = operation.ending
        error = {"code": ending.code, "message": ending.message} if ending.code else None
        return json_response({"id": operation.id, "status": ending.status, "error": error})

    async def _emit(self, request: web.Request) -> web.Response:
        """Control: `{"url", "status", "relay_id"?, "detail"?, "schema"?}` posts reports about accepted mails.

        `{"url", "validate": true, "schema"?}` performs the handshake of a new subscription instead.
        """
        order = await request.json()
        schema = order.get("schema", "event_grid")
        if order.get("validate"):
            return json_response({"is_valid": await self.events.validate(order["url"], schema)})
        wanted = order.get("relay_id")
        mails = [mail for mail in self.inbox.messages if wanted in (None, mail.relay_id)]
        reports = self.events.delivery_reports(mails, order["status"], order.get("detail", ""))
        return json_response({"status": await self.events.post(order["url"], reports, schema), "mails": len(mails)})


def _operation_id(request: web.Request) -> str:
    given = request.headers.get("Operation-Id")
    try:
        return str(uuid.UUID(given)) if given else str(uuid.uuid4())
    except ValueError as error:
        raise AcsError(400, "BadRequest", "The Operation-Id is not a UUID.") from error


def _body(error: AcsError) -> dict[str, Any]:
    return {"error": {"code": error.code, "message": error.message}}


def _refusal(error: AcsError) -> web.Response:
    return json_response(_body(error), error.status, {"x-ms-error-code": error.code, **error.headers})
