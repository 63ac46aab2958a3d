"""Graph's write operations on a mailbox: sendMail, drafts and their attachments, send, delete.

Sources: learn.microsoft.com/graph/api/user-sendmail, /user-post-messages, /message-send,
/message-post-attachments, /graph/outlook-immutable-id.
"""

import uuid
from collections.abc import Collection, Mapping
from typing import Protocol

import msgspec
from aiohttp import web

from standins.bounces import Bounce
from standins.graph.call import Call
from standins.graph.errors import ACCOUNT_REFUSALS, GraphError
from standins.graph.mail import (
    attachment_from_json,
    attachment_to_json,
    check_recipients,
    decode_json,
    mail_from_json,
    mail_from_mime,
)
from standins.graph.mailbox import id_after_move, new_id
from standins.graph.reads import resource
from standins.graph.uploads import MIN_BYTES
from standins.http import Acceptance, Clock, json_response
from standins.inbox import Inbox, Mail


class SubmissionsOwner(Protocol):
    """The parts of a stand-in that its writing operations need."""

    clock: Clock
    inbox: Inbox
    max_message_bytes: int

    def refusals(self, mail: Mail) -> tuple[Bounce, ...]:
        """Return the refusals of an accepted mail that a report will contain."""

    def bounce(self, mail: Mail, *recipients: Bounce) -> Mail:
        """Put a non-delivery report into the Inbox of a sent mail's mailbox."""

    @property
    def send_as(self) -> Mapping[str, Collection[str]]:
        """Return the further From addresses that each mailbox may use."""


class Submissions:
    """The writing operations of one Graph stand-in."""

    def __init__(self, standin: SubmissionsOwner) -> None:
        self._standin = standin

    def send_mail(self, call: Call) -> Acceptance:
        now = self._standin.clock()
        if call.request.content_type == "text/plain":
            return self._submission(call, mail_from_mime(call.body, new_id(), now), is_saved=True)
        order = decode_json(call.body)
        message = order.get("message", order.get("Message"))
        if not isinstance(message, dict):
            raise GraphError(400, "ErrorInvalidParameter", "Message is a required parameter.")
        mail = mail_from_json(message, call.user, new_id(), now)
        return self._submission(call, mail, is_saved=bool(order.get("saveToSentItems", True)))

    def create_draft(self, call: Call) -> Acceptance:
        now, mail_id = self._standin.clock(), new_id(is_immutable=call.wants_immutable_id)
        if call.request.content_type == "text/plain":
            mail = mail_from_mime(call.body, mail_id, now)
        else:
            mail = mail_from_json(decode_json(call.body), call.user, mail_id, now)

        async def commit() -> None:
            call.box.put("drafts", mail)

        return Acceptance(commit=commit, response=json_response(resource(mail, "drafts", None), 201))

    def attach(self, call: Call) -> Acceptance:
        draft = call.box.draft(call.message_id)
        try:
            item = attachment_from_json(decode_json(call.body))
        except (KeyError, TypeError) as error:
            raise GraphError(400, "ErrorInvalidRequest", "The attachment is malformed.") from error
        if len(item.content) >= MIN_BYTES:
            raise GraphError(413, "ErrorAttachmentSizeLimitExceeded", "Use an upload session from 3 MB on.")

        async def commit() -> None:
            call.box.attach(draft.id, item)

        return Acceptance(commit=commit, response=json_response(attachment_to_json(item), 201))

    def send_draft(self, call: Call) -> Acceptance:
        return self._submission(call, call.box.draft(call.message_id), is_saved=True)

    def delete(self, call: Call) -> Acceptance:
        mail_id = call.box.find(call.message_id)[1].id

        async def commit() -> None:
            call.box.remove(mail_id)

        return Acceptance(commit=commit, response=web.Response(status=204))

    def _submission(self, call: Call, mail: Mail, *, is_saved: bool) -> Acceptance:
        """Return the acceptance of a mail. Raises GraphError if the mailbox may not send it."""
        self._check_sender(call.user, mail)
        check_recipients(mail)
        self._check_size(mail)
        sent = msgspec.structs.replace(
            mail,
            id=id_after_move(mail.id),
            accepted_at=self._standin.clock(),
            envelope_sender=call.user,
            fields={**mail.fields, "mailbox": call.user},
        )

        async def commit() -> None:
            if any(draft.id == mail.id for draft in call.box.folders["drafts"]):
                call.box.remove(mail.id)
            if is_saved:
                call.box.put("sentitems", sent)
            refused = self._standin.refusals(sent)
            await self._standin.inbox.add(msgspec.structs.replace(sent, outcome="refused") if refused else sent)
            if refused:
                self._standin.bounce(sent, *refused)

        return Acceptance(commit=commit, response=web.Response(status=202, headers={"request-id": str(uuid.uuid4())}))

    def _check_sender(self, user: str, mail: Mail) -> None:
        sender = mail.sender.address.lower() or user
        if sender != user and sender not in self._standin.send_as.get(user, ()):
            raise GraphError(*ACCOUNT_REFUSALS["send_as_denied"])

    def _check_size(self, mail: Mail) -> None:
        size = len(mail.raw) if mail.raw else sum(len(item.content) for item in mail.attachments)
        if size > self._standin.max_message_bytes:
            text = "The message exceeds the maximum supported size., Cannot submit message."
            raise GraphError(400, "ErrorMessageSizeExceeded", text)
