# ruff: noqa: ARG002 (every operation has one signature, so that one guard serves them all)
"""Microsoft Graph's Outlook mail API over TLS, with Entra's token endpoint on the same port.

Covers sendMail (JSON and MIME), drafts, attachments, upload sessions, send, the searches that verify a
lost answer, and delta rounds over a folder (bounces arrive in the Inbox).

Script operations: `token`, `send` (`send.mail`, `send.draft`), `draft`, `attach`, `upload_session`,
`upload`, `read` (lists, gets, delta, probes, deletes).
"""

import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import msgspec
from aiohttp import web

from standins.entra import TokenIssuer
from standins.graph_errors import (
    ACCOUNT_REFUSALS,
    DENIED,
    SEND_ONLY,
    GraphError,
    default_error,
    error_body,
    error_response,
)
from standins.graph_mail import (
    attachment_from_json,
    check_recipients,
    decode_json,
    mail_from_json,
    mail_from_mime,
)
from standins.graph_mailbox import Mailbox, new_id, non_delivery_report, resource, select
from standins.graph_uploads import MIN_BYTES, Uploads
from standins.http import Acceptance, Clock, StandIn, json_response, utc_now
from standins.inbox import Mail
from standins.tls import Authority

AUDIENCE = "https://graph.microsoft.com"
MAX_REQUEST_BYTES = 4 * 1024 * 1024
MAX_CONCURRENT = 4
Examine = Callable[[web.Request, bytes, str, Mailbox], Acceptance | web.Response]


class GraphStandIn(StandIn):
    """`url` is https://localhost:port: both the Graph base address (append `/v1.0`) and the authority
    for azure-identity. Clients must trust `authority` (`authority.client_context()`, `.pem`).

    `mailboxes` that exist; None makes any. `send_as` maps a mailbox to further From addresses it may use.
    `permissions` of the app: remove `Mail.ReadWrite` to refuse drafts and reads.
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
        clock: Clock = utc_now,
        port: int = 0,
    ) -> None:
        self.authority = authority or Authority()
        super().__init__(clock=clock, port=port, tls=self.authority.server_context())
        self.issuer = issuer or TokenIssuer(clock=clock)
        self.permissions = {"Mail.Send", "Mail.ReadWrite"}
        self.send_as = {box.lower(): {a.lower() for a in more} for box, more in (send_as or {}).items()}
        self.max_message_bytes = max_message_bytes
        self.retry_after_seconds = retry_after_seconds
        self.boxes: dict[str, Mailbox] = {box.lower(): Mailbox() for box in mailboxes or ()}
        self._any_mailbox = mailboxes is None
        self.uploads = Uploads(self)

    def routes(self) -> list[web.RouteDef]:
        user = "/v1.0/users/{user}"
        message = user + "/messages/{message}"
        read = self._route("read", "Mail.ReadWrite")
        return [
            *self.issuer.routes(self),
            web.post(f"{user}/sendMail", self._route("send.mail", "Mail.Send")(self._send_mail)),
            web.post(f"{user}/messages", self._route("draft", "Mail.ReadWrite")(self._create_draft)),
            web.post(f"{message}/attachments", self._route("attach", "Mail.ReadWrite")(self._attach)),
            web.post(
                f"{message}/attachments/createUploadSession",
                self._route("upload_session", "Mail.ReadWrite")(self.uploads.create),
            ),
            web.post(f"{message}/send", self._route("send.draft", "Mail.Send")(self._send_draft)),
            web.get(message, read(self._show)),
            web.get(f"{message}/$value", read(self._show_mime)),
            web.delete(message, read(self._delete)),
            web.get(f"{user}/messages", read(self._list)),
            web.get(f"{user}/mailFolders/{{folder}}", read(self._show_folder)),
            web.get(f"{user}/mailFolders/{{folder}}/messages", read(self._list)),
            web.get(f"{user}/mailFolders/{{folder}}/messages/delta", read(self._delta)),
            *self.uploads.routes(),
        ]

    def control_routes(self) -> list[web.RouteDef]:
        bounce = web.post("/__standin__/bounce", self._bounce_over_http)
        return [*super().control_routes(), bounce, *self.issuer.identity_routes()]

    def default_body(self, status: int) -> Any:
        return error_body(default_error(status), self.clock(), None)

    def bounce(self, mail: Mail, address: str, status: str = "5.1.1", diagnostic: str = "") -> Mail:
        """Put a non-delivery report about one recipient into the Inbox of the mail's mailbox."""
        mailbox = str(mail.fields["mailbox"])
        text = diagnostic or f"550 {status} RESOLVER.ADR.RecipNotFound; not found"
        report = non_delivery_report(
            mail, mailbox=mailbox, address=address, status=status, diagnostic=text, now=self.clock()
        )
        self.boxes[mailbox].folders["inbox"].append(report)
        return report

    async def _bounce_over_http(self, request: web.Request) -> web.Response:
        """Control: `{"relay_id", "recipient", "status"?}` bounces accepted mails to that recipient."""
        order = await request.json()
        mails = self.inbox.of(order["relay_id"])
        for mail in mails:
            self.bounce(mail, order["recipient"], order.get("status", "5.1.1"))
        return json_response({"reports": len(mails)})

    def _route(
        self, operation: str, permission: str
    ) -> Callable[[Examine], Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        """Wrap an operation on a mailbox: throttling, the script, then token, permission, mailbox."""

        def wrap(examine: Examine) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
            async def handle(request: web.Request) -> web.StreamResponse:
                name = request.match_info["user"].lower()
                box = self._box(name) or Mailbox()
                if box.in_flight >= MAX_CONCURRENT:
                    return self._throttled(request)
                box.in_flight += 1
                box.peak = max(box.peak, box.in_flight)

                async def guarded(body: bytes) -> Acceptance | web.Response:
                    try:
                        self._check_caller(request, operation, permission, name)
                        if len(body) > MAX_REQUEST_BYTES:
                            raise GraphError(413, "BadRequest", "The maximum request length supported is 4MB.")
                        return examine(request, body, name, box)
                    except GraphError as error:
                        return self.refuse(request, error)

                try:
                    return await self.perform(operation, request, guarded, _recipients_in)
                finally:
                    box.in_flight -= 1

            return handle

        return wrap

    def _box(self, name: str) -> Mailbox | None:
        if self._any_mailbox:
            return self.boxes.setdefault(name, Mailbox())
        return self.boxes.get(name)

    def _throttled(self, request: web.Request) -> web.Response:
        self.inbox.refused[429] += 1
        text = "Application is over its MailboxConcurrency limit."
        after = str(self.retry_after_seconds)
        return self.refuse(request, GraphError(429, "ApplicationThrottled", text, Retry_After=after))

    def _check_caller(self, request: web.Request, operation: str, permission: str, name: str) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise GraphError(401, "InvalidAuthenticationToken", "Access token is empty.")
        if not self.issuer.is_valid(token, AUDIENCE):
            raise GraphError(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.")
        refusal = ACCOUNT_REFUSALS.get(self.account)
        if refusal and (self.account not in SEND_ONLY or operation.startswith("send")):
            raise GraphError(*refusal)
        if permission not in self.permissions:
            raise GraphError(403, "ErrorAccessDenied", DENIED)
        if self._box(name) is None:
            raise GraphError(404, "ErrorInvalidUser", f"The requested user '{name}' is invalid.")

    def refuse(self, request: web.Request, error: GraphError) -> web.Response:
        return error_response(error, self.clock(), request.headers.get("client-request-id"))

    def _send_mail(self, request: web.Request, body: bytes, name: str, box: Mailbox) -> Acceptance | web.Response:
        if request.content_type == "text/plain":
            return self._submission(mail_from_mime(body, new_id(), self.clock()), name, box, is_saved=True)
        order = decode_json(body)
        message = order.get("message", order.get("Message"))
        if not isinstance(message, dict):
            raise GraphError(400, "ErrorInvalidParameter", "Message is a required parameter.")
        mail = mail_from_json(message, name, new_id(), self.clock())
        is_saved = bool(order.get("saveToSentItems", True))
        return self._submission(mail, name, box, is_saved=is_saved)

    def _submission(self, mail: Mail, name: str, box: Mailbox, *, is_saved: bool) -> Acceptance:
        """The acceptance of a mail that may be sent. Raises GraphError for one that may not."""
        sender = mail.sender.address.lower() or name
        if sender != name and sender not in self.send_as.get(name, ()):
            raise GraphError(*ACCOUNT_REFUSALS["send_as_denied"])
        check_recipients(mail)
        size = len(mail.raw or b"") + sum(len(item.content) for item in mail.attachments if not mail.raw)
        if size > self.max_message_bytes:
            raise GraphError(
                400,
                "ErrorMessageSizeExceeded",
                "The message exceeds the maximum supported size., Cannot submit message.",
            )
        sent = msgspec.structs.replace(
            mail, accepted_at=self.clock(), envelope_sender=name, fields={**mail.fields, "mailbox": name}
        )

        async def commit() -> None:
            if any(draft.id == sent.id for draft in box.folders["drafts"]):
                box.remove(sent.id)
            if is_saved:
                box.folders["sentitems"].append(sent)
            await self.inbox.add(sent)

        return Acceptance(commit=commit, answer=web.Response(status=202, headers=_request_ids()))

    def _create_draft(self, request: web.Request, body: bytes, name: str, box: Mailbox) -> Acceptance | web.Response:
        if request.content_type == "text/plain":
            mail = mail_from_mime(body, new_id(), self.clock())
        else:
            mail = mail_from_json(decode_json(body), name, new_id(), self.clock())

        async def commit() -> None:
            box.folders["drafts"].append(mail)

        return Acceptance(commit=commit, answer=json_response(resource(mail, "drafts", None), 201))

    def _attach(self, request: web.Request, body: bytes, name: str, box: Mailbox) -> Acceptance | web.Response:
        draft = box.draft(request.match_info["message"])
        try:
            item = attachment_from_json(decode_json(body))
        except (KeyError, TypeError) as error:
            raise GraphError(400, "ErrorInvalidRequest", "The attachment is malformed.") from error
        if len(item.content) >= MIN_BYTES:
            raise GraphError(413, "ErrorAttachmentSizeLimitExceeded", "Use an upload session from 3 MB on.")

        async def commit() -> None:
            box.attach(draft.id, item)

        answer = {"@odata.type": "#microsoft.graph.fileAttachment", "id": new_id(), "name": item.name}
        return Acceptance(commit=commit, answer=json_response({**answer, "size": len(item.content)}, 201))

    def _send_draft(self, request: web.Request, body: bytes, name: str, box: Mailbox) -> Acceptance | web.Response:
        return self._submission(box.draft(request.match_info["message"]), name, box, is_saved=True)

    def _show(self, request: web.Request, body: bytes, name: str, box: Mailbox) -> web.Response:
        folder, mail = box.find(request.match_info["message"])
        return json_response(resource(mail, folder, request.query.get("$select")))

    def _show_mime(self, request: web.Request, body: bytes, name: str, box: Mailbox) -> web.Response:
        _, mail = box.find(request.match_info["message"])
        return web.Response(body=mail.raw or b"", content_type="text/plain")

    def _delete(self, request: web.Request, body: bytes, name: str, box: Mailbox) -> Acceptance:
        mail_id = box.find(request.match_info["message"])[1].id

        async def commit() -> None:
            box.remove(mail_id)

        return Acceptance(commit=commit, answer=web.Response(status=204))

    def _show_folder(self, request: web.Request, body: bytes, name: str, box: Mailbox) -> web.Response:
        mails = box.folder(request.match_info["folder"])
        folder = request.match_info["folder"]
        return json_response({"id": folder, "displayName": folder, "totalItemCount": len(mails)})

    def _list(self, request: web.Request, body: bytes, name: str, box: Mailbox) -> web.Response:
        chosen, top = request.query.get("$select"), int(request.query.get("$top", 10))
        asked = request.match_info.get("folder")
        folders = {asked: box.folder(asked)} if asked else dict(box.folders)
        found = [
            resource(mail, folder, chosen)
            for folder, mails in folders.items()
            for mail in select(mails, request.query.get("$filter"))
        ]
        return json_response({"value": found[:top]})

    def _delta(self, request: web.Request, body: bytes, name: str, box: Mailbox) -> web.Response:
        """A round over the folder; the tokens are positions in its order of arrival."""
        folder, query = request.match_info["folder"], request.query
        mails = box.folder(folder)
        start = int(query.get("$deltatoken", query.get("$skiptoken", "0")))
        preference = request.headers.get("Prefer", "")
        size = int(preference.rpartition("=")[2]) if "odata.maxpagesize=" in preference else 10
        end = min(start + size, len(mails))
        link, token = ("deltaLink", "$deltatoken") if end == len(mails) else ("nextLink", "$skiptoken")
        chosen = query.get("$select")
        kept = f"&$select={chosen}" if chosen else ""
        page = [resource(mail, folder, chosen) for mail in mails[start:end]]
        return json_response({"value": page, f"@odata.{link}": f"{self.url}{request.path}?{token}={end}{kept}"})


def _request_ids() -> dict[str, str]:
    return {"request-id": str(uuid.uuid4())}


def _recipients_in(body: bytes) -> list[str]:
    """Addresses in a JSON submission, for faults by recipient; none for other bodies."""
    try:
        order = decode_json(body)
        message = order.get("message", order)
        mail = mail_from_json(message, "", "", utc_now())
    except GraphError:
        return []
    return list(mail.envelope)
