"""Graph's upload sessions for large attachments: ranges in order, no Authorization.

Source: learn.microsoft.com/graph/outlook-large-attachments, /graph/api/attachment-createuploadsession.
The status for a range out of order is not documented for Outlook; the same protocol returns 416
for drive items.
"""

import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from aiohttp import web

from standins.graph.call import Call
from standins.graph.errors import GraphError
from standins.graph.mail import decode_json
from standins.graph.mailbox import Mailbox, new_id
from standins.http import Acceptance, Clock, Decide, json_response
from standins.inbox import Attachment

MIN_BYTES = 3 * 1024 * 1024
MAX_BYTES = 150 * 1024 * 1024
MAX_RANGE_BYTES = 4 * 1024 * 1024
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class UploadSession:
    """The upload of one file into a draft."""

    def __init__(self, mailbox: str, mail_id: str, item: Mapping[str, Any], now: datetime) -> None:
        self.id = secrets.token_urlsafe(12)
        self.token = secrets.token_urlsafe(24)
        self.mailbox = mailbox
        self.mail_id = mail_id
        self.item = item
        self.size = int(item["size"])
        self.received = bytearray()
        self.expires_at = now + timedelta(days=1)
        if item.get("attachmentType") != "file":
            raise GraphError(400, "ErrorInvalidRequest", "This stand-in takes attachments of type file only.")
        if self.size < MIN_BYTES:
            raise GraphError(
                400,
                "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize",
                "The size of the attachment is below the minimum for an upload session.",
            )
        if self.size > MAX_BYTES:
            raise GraphError(413, "ErrorAttachmentSizeLimitExceeded", "The attachment size exceeds the limit.")

    @property
    def is_complete(self) -> bool:
        return len(self.received) == self.size

    def check(self, content_range: str, length: int) -> None:
        """Check that this range is the next one and has the right length. Raises GraphError."""
        found = _RANGE.fullmatch(content_range)
        if not found:
            raise GraphError(400, "ErrorInvalidRequest", "The Content-Range header is missing or malformed.")
        start, end, total = map(int, found.groups())
        if total != self.size or end - start + 1 != length:
            raise GraphError(400, "ErrorInvalidRequest", "The Content-Range header does not fit the content.")
        if length > MAX_RANGE_BYTES:
            raise GraphError(413, "BadRequest", "The maximum request length supported is 4MB.")
        if start != len(self.received) or end >= self.size:
            raise GraphError(416, "InvalidRange", "The uploaded range is not the next expected range.")

    def attachment(self) -> Attachment:
        return Attachment(
            name=str(self.item["name"]),
            content=bytes(self.received),
            content_type=self.item.get("contentType") or "application/octet-stream",
            disposition="inline" if self.item.get("isInline") else "attachment",
            content_id=self.item.get("contentId"),
        )

    def created(self, base: str) -> web.Response:
        return json_response(
            {
                "@odata.context": f"{base}/v1.0/$metadata#microsoft.graph.uploadSession",
                "uploadUrl": f"{base}/uploads/{self.id}?authtoken={self.token}",
                "expirationDateTime": self._expiry(),
                "nextExpectedRanges": ["0-"],
            },
            201,
        )

    def progress(self, received: int) -> web.Response:
        return json_response({"ExpirationDateTime": self._expiry(), "nextExpectedRanges": [str(received)]})

    def _expiry(self) -> str:
        return self.expires_at.strftime("%Y-%m-%dT%H:%M:%S.0000000Z")


class UploadsOwner(Protocol):
    """The parts of a stand-in that its upload sessions need."""

    clock: Clock
    url: str
    boxes: dict[str, Mailbox]

    def refuse(self, request: web.Request, error: GraphError) -> web.Response:
        """Return Graph's response for an error."""

    async def perform(self, operation: str, request: web.Request, examine: Decide) -> web.StreamResponse:
        """Serve one operation under the script."""


class Uploads:
    """The upload sessions of one Graph stand-in and their routes."""

    def __init__(self, standin: UploadsOwner) -> None:
        self._standin = standin
        self.sessions: dict[str, UploadSession] = {}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/uploads/{session}", self._show_session),
            web.put("/uploads/{session}", self._upload),
            web.delete("/uploads/{session}", self._drop_session),
        ]

    def create(self, call: Call) -> Acceptance:
        draft = call.box.draft(call.message_id)
        order = decode_json(call.body)
        item = order.get("AttachmentItem", order.get("attachmentItem"))
        if not isinstance(item, dict) or not isinstance(item.get("size"), int) or not item.get("name"):
            raise GraphError(400, "ErrorInvalidRequest", "AttachmentItem with name and size is required.")
        session = UploadSession(call.user, draft.id, item, self._standin.clock())

        async def commit() -> None:
            self.sessions[session.id] = session

        return Acceptance(commit=commit, response=session.created(self._standin.url))

    def _session(self, request: web.Request) -> UploadSession:
        session = self.sessions.get(request.match_info["session"])
        if "Authorization" in request.headers:
            text = "The upload URL is pre-authenticated; an Authorization header is not accepted."
            raise GraphError(401, "InvalidAuthenticationToken", text)
        if session is None or request.query.get("authtoken") != session.token:
            raise GraphError(404, "ErrorItemNotFound", "The upload session was not found.")
        if session.expires_at <= self._standin.clock():
            raise GraphError(404, "ErrorItemNotFound", "The upload session has expired.")
        return session

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        async def examine(body: bytes) -> Acceptance | web.Response:
            try:
                session = self._session(request)
                session.check(request.headers.get("Content-Range", ""), len(body))
                return self._range(session, body)
            except GraphError as error:
                return self._standin.refuse(request, error)

        return await self._standin.perform("upload", request, examine)

    def _range(self, session: UploadSession, body: bytes) -> Acceptance:
        received = len(session.received) + len(body)

        async def commit() -> None:
            session.received += body
            if session.is_complete:
                self._standin.boxes[session.mailbox].attach(session.mail_id, session.attachment())
                del self.sessions[session.id]

        if received < session.size:
            return Acceptance(commit=commit, response=session.progress(received))
        place = f"Users('{session.mailbox}')/Messages('{session.mail_id}')/Attachments('{new_id()}')"
        location = {"Location": f"https://outlook.office.com/api/v2.0/{place}"}
        return Acceptance(commit=commit, response=web.Response(status=201, headers=location))

    async def _show_session(self, request: web.Request) -> web.Response:
        try:
            session = self._session(request)
        except GraphError as error:
            return self._standin.refuse(request, error)
        return session.progress(len(session.received))

    async def _drop_session(self, request: web.Request) -> web.Response:
        try:
            del self.sessions[self._session(request).id]
        except GraphError as error:
            return self._standin.refuse(request, error)
        return web.Response(status=204)
