"""Operations about messages."""

from relay.api.operation import OF_BODIES, Audit, Body, Operation, Tag, Unaudited
from relay.api.operations import parameters as given
from relay.clients.roles import CONTENT_READERS, RESENDERS, STATE_READERS

_MAIL = {"from": "relay@example.com", "to": "ada@example.com", "subject": "Hello", "text": "Hello, Ada."}
_RAW_MAIL = "From: relay@example.com\r\nTo: ada@example.com\r\nSubject: Hello\r\n\r\nHello, Ada.\r\n"
_BATCH = {
    "defaults": {"from": "relay@example.com", "subject": "Hello", "text": "Hello."},
    "messages": [{"to": "ada@example.com"}, {"to": "grace@example.com"}],
}

# fmt: off
TAG = Tag(
    name="Messages",
    description="Send messages and follow what happens to them.",
    operations=(
        Operation(name="SendMessage", endpoint="POST /v1/messages", handler="messages.send:send",
            audit=Unaudited.SUBMITS,
            summary="Send a message",
            description="Returns 202 once the message is stored durably; sending follows. With `dry_run`, returns 200 "
                "with an explanation and sends nothing. The body is JSON, or a finished message (message/rfc822).",
            parameters=(given.IDEMPOTENCY_KEY, *given.WAIT, *given.RAW_MESSAGE),
            body=Body(shape="shapes.requests:MessageRequest", others=("message/rfc822",), example=_MAIL, other_example=_RAW_MAIL),
            responses={202: "shapes.acceptance:AcceptedView", 200: "shapes.messages:ExplanationView"},
            errors=(*OF_BODIES, 409, 422)),
        Operation(name="ListMessages", endpoint="GET /v1/messages", cost=5, handler="messages.listing:index",
            roles=STATE_READERS,
            summary="List messages",
            description="Returns a page of messages, newest first. A page may be empty and still have a `next_link`.",
            parameters=given.LISTING, responses={200: "shapes.messages:MessagePageView"}, errors=(400,)),
        Operation(name="ExportMessages", endpoint="GET /v1/messages/export", cost=10, handler="messages.listing:export",
            roles=STATE_READERS,
            summary="Export messages as CSV",
            description="Returns a page of the list; `Link` with `rel=\"next\"` names the next one, which has no header line. "
                "A cell that a spreadsheet would take for a formula begins with an apostrophe.",
            parameters=given.MESSAGES_EXPORT, responses={200: "text/csv"}, errors=(400,)),
        Operation(name="SendBatch", endpoint="POST /v1/messages/batch", handler="messages.batch:send",
            audit=Unaudited.SUBMITS,
            summary="Send many messages in one call",
            description="Returns 202 when at least one message is stored durably, 200 when all were checked with "
                "`dry_run`, and 400 when none was accepted. `value` has the result of each message.",
            parameters=(given.IDEMPOTENCY_KEY,), body=Body(shape="shapes.requests:BatchRequest", example=_BATCH),
            responses={202: "shapes.messages:BatchResultView", 200: "shapes.messages:BatchResultView",
                400: "shapes.messages:BatchErrorView"},
            errors=(*OF_BODIES, 409, 422)),
        Operation(name="GetMessage", endpoint="GET /v1/messages/{id}", handler="messages.status:show",
            roles=STATE_READERS,
            summary="Get a message's state, recipients, attempts and events",
            description="While a message is queued, only its id, state and time are known. `Retry-After` says when to "
                "ask again while the message is in progress.",
            parameters=(given.MESSAGE_ID,), responses={200: "shapes.messages:MessageView"}, errors=(404,)),
        Operation(name="CancelMessage", endpoint="DELETE /v1/messages/{id}", handler="messages.changes:cancel",
            audit=Audit(resource="auditing.resources:message"),
            summary="Cancel a message",
            description="Returns 200 when the message will certainly not be sent, and 409 when it is too late.",
            parameters=(given.MESSAGE_ID,), responses={200: "shapes.messages:MessageStateView"}, errors=(404, 409)),
        Operation(name="RescheduleMessage", endpoint="PATCH /v1/messages/{id}", handler="messages.changes:reschedule",
            audit=Audit(members=("send_at",), resource="auditing.resources:message"),
            summary="Change the time of a scheduled message",
            description="Returns 409 when the message is not scheduled, or not any more.",
            parameters=(given.MESSAGE_ID,), body=Body(shape="shapes.requests:RescheduleRequest"),
            responses={200: "shapes.messages:MessageStateView"}, errors=(*OF_BODIES, 404, 409)),
        Operation(name="RedriveMessage", endpoint="POST /v1/messages/{id}/redrive",
            handler="messages.changes:redrive", roles=RESENDERS,
            audit=Audit(members=("route", "sender"), resource="auditing.resources:message"),
            summary="Redrive a failed message",
            description="Puts a message that failed, expired or is unknown back on the queue. Returns 409 when it is "
                "in another state, and 410 when it was erased. `route` and `sender` are for operators.",
            parameters=(given.MESSAGE_ID,), body=Body(shape="shapes.requests:RedriveRequest", is_required=False),
            responses={202: "shapes.messages:MessageStateView"}, errors=(*OF_BODIES, 404, 409, 410)),
        Operation(name="ResendMessage", endpoint="POST /v1/messages/{id}/resend",
            handler="messages.changes:resend", roles=RESENDERS,
            audit=Audit(members=("route", "sent_until", "reason"), resource="auditing.resources:message"),
            summary="Resend a sent message",
            description="Puts a sent message on the queue again, for the recipients that are not suppressed: they get "
                "it a second time. A repeated request sends no third copy and returns the message's state. Returns 409 when no "
                "copy was sent until `sent_until`, and 410 when the message was erased or its content was purged. `route` is "
                "for operators.",
            parameters=(given.MESSAGE_ID,), body=Body(shape="shapes.requests:ResendRequest"),
            responses={202: "shapes.messages:MessageStateView"}, errors=(*OF_BODIES, 404, 409, 410)),
        Operation(name="WaitForMessage", endpoint="GET /v1/messages/{id}/wait", handler="messages.status:wait", roles=None,
            summary="Wait until a message is sent or delivered",
            description="The URL comes from the `Location` of a message that was sent with `wait`; its signature "
                "replaces a key. Returns 202 with `Retry-After` until the goal is reached, then 200. Returns 422 when "
                "the goal can no longer be reached, and 410 when the message was erased.",
            parameters=(given.MESSAGE_ID, *given.WAITING),
            responses={200: "shapes.messages:MessageView", 202: "shapes.messages:MessageView"},
            errors=(403, 404, 410, 422, 429)),
        Operation(name="ShowMessageContent", endpoint="GET /v1/messages/{id}/content", handler="messages.content:show",
            roles=CONTENT_READERS,
            summary="Get a message's content",
            description="Returns headers, text, HTML, links, and the attachments without their bytes.",
            parameters=(given.MESSAGE_ID,), responses={200: "shapes.content:ContentView"}, errors=(404, 410)),
        Operation(name="ShowMessageSource", endpoint="GET /v1/messages/{id}/source", handler="messages.content:source",
            roles=CONTENT_READERS,
            summary="Download a message's source",
            description="Returns the RFC 5322 message as Relay writes it; SendGrid and ACS write their own.",
            parameters=(given.MESSAGE_ID,), responses={200: "message/rfc822"}, errors=(404, 410)),
        Operation(name="DownloadMessageAttachment", endpoint="GET /v1/messages/{id}/attachments/{number}",
            handler="messages.content:attachment", roles=CONTENT_READERS,
            summary="Download a message's attachment",
            description="Attachments are numbered from 0, in the order of the message's content.",
            parameters=(given.MESSAGE_ID, given.ATTACHMENT_NUMBER), responses={200: "application/octet-stream"},
            errors=(404, 410)),
        Operation(name="ShowMessageHtml", endpoint="GET /v1/messages/{id}/html", handler="messages.content:html", roles=None,
            summary="Show a message's HTML as a page",
            description="The URL comes from `html_url` of the content; its signature replaces a key. Scripts and "
                "remote content are blocked.",
            parameters=(given.MESSAGE_ID, *given.SIGNED), responses={200: "text/html"}, errors=(403, 404, 410, 429)),
    ),
)
# fmt: on
