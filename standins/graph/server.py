"""Stand-in for Microsoft Graph's Outlook mail API over TLS, with Entra's token endpoint on the same port.

Covers sendMail (JSON and MIME), drafts, attachments, upload sessions, send, the searches that check for a sent
message after a lost response, delta queries of a folder (bounces arrive in the Inbox), and the message trace.

Script operations: `token`, `send` (`send.mail`, `send.draft`), `draft`, `attach`, `upload_session`,
`upload`, `read` (lists, gets, delta, probes), `delete`, `trace`.
"""

import base64
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import timedelta
from typing import Any

from aiohttp import web

from standins.bounces import Bounce, bounce_message
from standins.entra import TokenIssuer
from standins.graph.call import Call, Examine
from standins.graph.errors import (
    ACCOUNT_REFUSALS,
    DENIED,
    SEND_ONLY,
    GraphError,
    default_error,
    error_body,
    error_response,
)
from standins.graph.limits import OutboundLimit
from standins.graph.mail import decode_json, mail_from_json, received_mail
from standins.graph.mailbox import Mailbox, new_id
from standins.graph.origin import OUTSIDER, TRANSPORT, with_origin
from standins.graph.reads import Reads
from standins.graph.submissions import Submissions
from standins.graph.trace import PERMISSION as TRACE_PERMISSION
from standins.graph.trace import Trace
from standins.graph.uploads import Uploads
from standins.http import Acceptance, Clock, StandIn, json_response, utc_now
from standins.inbox import Mail
from standins.tls import Authority

AUDIENCE = "https://graph.microsoft.com"
MAX_REQUEST_BYTES = 4 * 1024 * 1024
MAX_CONCURRENT = 4

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class GraphStandIn(StandIn):
    """A stand-in for Graph. `url` is https://localhost:port: both Graph's base address (append `/v1.0`) and the authority for
    azure-identity. Clients must trust `authority` (`authority.client_context()`, `.pem`).

    `mailboxes` are those that exist; None creates any on demand. `send_as` maps a mailbox to further From addresses it may use.
    `permissions` are those of the app: remove `Mail.ReadWrite` to refuse drafts and reads, `ExchangeMessageTrace.Read.All` to
    refuse `trace`. `scope`, if not None, has the only mailboxes that the app may use (RBAC for Applications). Searches find a
    sent mail after `sent_items_lag`.
    """

    name = "graph"
    account_states = ("active", *ACCOUNT_REFUSALS)

    def __init__(
        self,
        *,
        authority: Authority | None = None,
        issuer: TokenIssuer | None = None,
        mailboxes: Collection[str] | None = None,
        send_as: Mapping[str, Collection[str]] | None = None,
        max_message_bytes: int = 35 * 1024 * 1024,
        retry_after_seconds: int = 1,
        sent_items_lag: timedelta = timedelta(0),
        clock: Clock = utc_now,
        port: int = 0,
    ) -> None:
        self.authority = authority or Authority()
        super().__init__(clock=clock, port=port, tls=self.authority.server_context())
        self.issuer = issuer or TokenIssuer(clock=clock)
        self.permissions = {"Mail.Send", "Mail.ReadWrite", TRACE_PERMISSION}
        self.scope: set[str] | None = None
        self.send_as = {box.lower(): {a.lower() for a in more} for box, more in (send_as or {}).items()}
        self.max_message_bytes = max_message_bytes
        self.retry_after_seconds = retry_after_seconds
        self.sent_items_lag = sent_items_lag
        self.limit: OutboundLimit | None = None
        self.boxes: dict[str, Mailbox] = {box.lower(): Mailbox() for box in mailboxes or ()}
        self._any_mailbox = mailboxes is None
        self._uploads = Uploads(self)
        self._submissions = Submissions(self)
        self._reads = Reads(self)
        self.trace = Trace(self)

    def routes(self) -> list[web.RouteDef]:
        message = "/v1.0/users/{user}/messages/{message}"
        return [
            *self.issuer.routes(self),
            *self._writing_routes("/v1.0/users/{user}", message),
            *self._reading_routes("/v1.0/users/{user}", message),
            *self._uploads.routes(),
            *self.trace.routes(self),
        ]

    def _writing_routes(self, user: str, message: str) -> list[web.RouteDef]:
        send, write = "Mail.Send", "Mail.ReadWrite"
        mail, uploads = self._submissions, self._uploads
        return [
            web.post(f"{user}/sendMail", self._guarded("send.mail", send, mail.send_mail)),
            web.post(f"{user}/messages", self._guarded("draft", write, mail.create_draft)),
            web.post(f"{message}/attachments", self._guarded("attach", write, mail.attach)),
            web.post(
                f"{message}/attachments/createUploadSession",
                self._guarded("upload_session", write, uploads.create),
            ),
            web.post(f"{message}/send", self._guarded("send.draft", send, mail.send_draft)),
            web.delete(message, self._guarded("delete", write, mail.delete)),
        ]

    def _reading_routes(self, user: str, message: str) -> list[web.RouteDef]:
        folder = f"{user}/mailFolders/{{folder}}"
        reads = {
            message: self._reads.show,
            f"{message}/$value": self._reads.show_mime,
            f"{message}/attachments": self._reads.attachments,
            f"{user}/messages": self._reads.list_messages,
            folder: self._reads.show_folder,
            f"{folder}/messages": self._reads.list_messages,
            f"{folder}/messages/delta": self._reads.delta,
        }
        return [web.get(path, self._guarded("read", "Mail.ReadWrite", read)) for path, read in reads.items()]

    def control_routes(self) -> list[web.RouteDef]:
        return [
            *super().control_routes(),
            web.post("/__standin__/bounce", self._bounce_over_http),
            web.post("/__standin__/limit", self._limit_over_http),
            web.post("/__standin__/deliver", self._deliver_over_http),
            web.get("/__standin__/mailboxes", self._show_mailboxes),
            *self.issuer.identity_routes(self),
        ]

    def default_body(self, status: int) -> Any:
        return error_body(default_error(status), self.clock(), None)

    def refuse(self, request: web.Request, error: GraphError) -> web.Response:
        return error_response(error, self.clock(), request.headers.get("client-request-id"))

    def _guarded(self, operation: str, permission: str, examine: Examine) -> Handler:
        """Wrap an operation on a mailbox: throttle it, apply the script, check the caller."""

        async def handle(request: web.Request) -> web.StreamResponse:
            user = request.match_info["user"].lower()
            box = self._box(user) or Mailbox()
            if box.in_flight >= MAX_CONCURRENT:
                return self._throttled(request)
            box.in_flight += 1
            box.peak = max(box.peak, box.in_flight)
            try:
                return await self.perform(operation, request, guarded(request, user, box), _recipients_in)
            finally:
                box.in_flight -= 1

        def guarded(
            request: web.Request, user: str, box: Mailbox
        ) -> Callable[[bytes], Awaitable[Acceptance | web.Response]]:
            async def decide(body: bytes) -> Acceptance | web.Response:
                try:
                    self._check_caller(request, operation, permission, user)
                    if len(body) > MAX_REQUEST_BYTES:
                        raise GraphError(413, "BadRequest", "The maximum request length supported is 4MB.")
                    return examine(Call(request=request, body=body, user=user, box=box))
                except GraphError as error:
                    return self.refuse(request, error)

            return decide

        return handle

    def _box(self, user: str) -> Mailbox | None:
        if self._any_mailbox:
            return self.boxes.setdefault(user, Mailbox())
        return self.boxes.get(user)

    def _throttled(self, request: web.Request) -> web.Response:
        self.inbox.refused[429] += 1
        text = "Application is over its MailboxConcurrency limit."
        after = str(self.retry_after_seconds)
        return self.refuse(request, GraphError(429, "ApplicationThrottled", text, Retry_After=after))

    def check_token(self, request: web.Request) -> None:
        """Raise GraphError unless the request has a valid token."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise GraphError(401, "InvalidAuthenticationToken", "Access token is empty.")
        if not self.issuer.is_valid(token, AUDIENCE):
            raise GraphError(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.")

    def _check_caller(self, request: web.Request, operation: str, permission: str, user: str) -> None:
        self.check_token(request)
        refusal = ACCOUNT_REFUSALS.get(self.account)
        if refusal and (self.account not in SEND_ONLY or operation.startswith("send")):
            raise GraphError(*refusal)
        if permission not in self.permissions or (self.scope is not None and user not in self.scope):
            raise GraphError(403, "ErrorAccessDenied", DENIED)
        if self._box(user) is None:
            raise GraphError(404, "ErrorInvalidUser", f"The requested user '{user}' is invalid.")

    def deliver(
        self,
        mailbox: str,
        raw: bytes,
        authenticated_as: Mapping[str, str] = OUTSIDER,
        *,
        message_class: str = "IPM.Note",
    ) -> Mail:
        """Put an incoming message into a mailbox's Inbox. Its fields about its origin are replaced."""
        mail = received_mail(with_origin(raw, authenticated_as), new_id(), self.clock(), message_class)
        self.boxes.setdefault(mailbox.lower(), Mailbox()).put("inbox", mail)
        return mail

    def bounce(self, mail: Mail, *recipients: Bounce, flavor: str = "exchange") -> Mail:
        """Put a non-delivery report about recipients of a sent mail into the Inbox of its mailbox."""
        report = bounce_message(mail, recipients, self.clock(), flavor)
        return self.deliver(str(mail.fields["mailbox"]), report, TRANSPORT if flavor == "exchange" else OUTSIDER)

    def refusals(self, mail: Mail) -> tuple[Bounce, ...]:
        """Return the refusals of an accepted mail that a report will contain."""
        return self.limit.refusals(mail, self.clock()) if self.limit is not None else ()

    async def _bounce_over_http(self, request: web.Request) -> web.Response:
        """Control: `{"relay_id", "recipient", "status"?, "flavor"?}` bounces mails to that recipient."""
        order = await request.json()
        bounce = Bounce(address=order["recipient"], status=order.get("status", "5.1.10"))
        mails = self.inbox.of(order["relay_id"])
        for mail in mails:
            self.bounce(mail, bounce, flavor=order.get("flavor", "exchange"))
        return json_response({"reports": len(mails)})

    async def _limit_over_http(self, request: web.Request) -> web.Response:
        """Control: `{"recipients", "window_seconds"?, "status"?, "internal"?}` limits the mail sent from now on."""
        order = await request.json()
        window = timedelta(seconds=order.get("window_seconds", 86_400))
        status, internal = order.get("status", "5.7.233"), order.get("internal", [])
        self.limit = OutboundLimit(order["recipients"], window, status, internal=internal)
        return json_response({"recipients": order["recipients"]})

    async def _deliver_over_http(self, request: web.Request) -> web.Response:
        """Control: `{"mailbox", "raw"}` (base64) puts a message into that Inbox."""
        order = await request.json()
        return json_response({"id": self.deliver(order["mailbox"], base64.b64decode(order["raw"])).id})

    async def _show_mailboxes(self, request: web.Request) -> web.Response:  # noqa: ARG002 (aiohttp passes it)
        boxes = {
            name: {"peak": box.peak, **{folder: len(mails) for folder, mails in box.folders.items()}}
            for name, box in self.boxes.items()
        }
        return json_response(boxes)


def _recipients_in(body: bytes) -> list[str]:
    """Return the addresses in a JSON submission, for faults by recipient; none for other bodies."""
    try:
        order = decode_json(body)
        mail = mail_from_json(order.get("message", order), "", "", utc_now())
    except GraphError:
        return []
    return list(mail.envelope)
