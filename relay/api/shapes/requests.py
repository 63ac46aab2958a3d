"""The shapes of requests about messages. They validate requests, and the OpenAPI document is generated from them.

They fix names and JSON types. The readers in `relay.api.reading` check what a value means, against
`relay.acceptance.draft.Limits`. The numbers here only document those limits, for people and generated clients.
"""

from typing import Annotated, Any, Literal

from msgspec import field

from relay.acceptance.draft import Limits
from relay.api.shapes.base import Shape, expects, says

_LIMITS = Limits()


class AddressObject(Shape, frozen=True, kw_only=True):
    """A mailbox in two fields."""

    email: Annotated[str, says("The address. Domains and local parts may use any script.", "ada@example.com")]
    name: Annotated[str | None, says("The display name.", "Ada Lovelace", maxLength=_LIMITS.max_display_name)] = None


_MailboxText = Annotated[str, says("An address, or a name and an address.", "Ada Lovelace <ada@example.com>")]
Mailbox = Annotated[
    _MailboxText | AddressObject, expects("a string such as Name <a@example.com>, or an object with email and name")
]
Mailboxes = Annotated[
    _MailboxText | AddressObject | list[Mailbox],
    expects("a string such as Name <a@example.com>, an object with email and name, or an array of those"),
]
_Sender = says("The author: one mailbox, which the client's policy must allow.", "Shop <orders@example.com>")


class LogicAppsFile(Shape, frozen=True, kw_only=True):
    """A file as Logic Apps and Power Automate represent it in expressions."""

    content_type: Annotated[str | None, says("The media type.", "application/pdf")] = field(
        name="$content-type", default=None
    )
    content: Annotated[str, says("The file in base64.", "JVBERi0xLjcK")] = field(name="$content")


_FileContent = Annotated[
    str | LogicAppsFile, expects("base64 text, or the object with $content-type and $content that Logic Apps makes")
]


class AttachmentObject(Shape, frozen=True, kw_only=True):
    """A file: its `content` in this request, or the `id` of an earlier upload."""

    name: Annotated[
        str | None,
        says(
            "The file name that recipients see. Required with `content`.",
            "invoice.pdf",
            maxLength=_LIMITS.max_attachment_name,
        ),
    ] = None
    content: Annotated[
        _FileContent | None,
        says(
            "The file in base64 (RFC 4648 section 4; line breaks are allowed), or a Logic Apps file object.",
            "JVBERi0xLjcK",
        ),
    ] = None
    id: Annotated[str | None, says("The id from `POST /v1/attachments`, instead of `content`.", "att_0d9k2m")] = None
    type: Annotated[
        str | None, says("The media type. By default Relay guesses it from the name.", "application/pdf")
    ] = None
    disposition: Annotated[
        Literal["attachment", "inline"] | None,
        says(
            "`inline` for an image that the HTML shows. The default is `inline` if there is a `content_id`.",
            "attachment",
        ),
    ] = None
    content_id: Annotated[
        str | None,
        says(
            'The name by which the HTML refers to an inline image: `<img src="cid:logo">`.',
            "logo",
            maxLength=_LIMITS.max_content_id,
        ),
    ] = None


class UnsubscribeFields(Shape, frozen=True, kw_only=True):
    """The topic that the recipient can unsubscribe from."""

    topic: Annotated[str, says("The name of one of the client's topics.", "news", maxLength=64)]


_SendAt = Annotated[
    Annotated[str, says("ISO 8601 with an offset.", format="date-time")] | int,
    expects("an ISO 8601 string such as 2030-01-31T08:00:00Z, or a Unix timestamp in whole seconds"),
]
_WHEN = says(
    "When to send, at most 90 days ahead: ISO 8601 with an offset, or a Unix timestamp in seconds.",
    "2030-01-31T08:00:00Z",
)


class MessageFields(Shape, frozen=True, kw_only=True):
    """Every field of a message, all optional: the defaults of a batch."""

    from_: Annotated[Mailbox | None, _Sender] = field(name="from", default=None)
    to: Annotated[
        Mailboxes | None,
        says(
            "The recipients. One string may contain several, separated by commas or semicolons.",
            ["Ada Lovelace <ada@example.com>", {"email": "bob@example.com", "name": "Bob"}],
        ),
    ] = None
    cc: Annotated[Mailboxes | None, says("Recipients of copies.", "office@example.com")] = None
    bcc: Annotated[Mailboxes | None, says("Recipients that the others cannot see.", "archive@example.com")] = None
    reply_to: Annotated[Mailboxes | None, says("Where replies go, instead of From.", "support@example.com")] = None
    subject: Annotated[
        str | None,
        says(
            "The subject, one line. Required unless a template has one.",
            "Your order 4711",
            maxLength=_LIMITS.max_subject,
        ),
    ] = None
    text: Annotated[
        str | None,
        says("The plain text. At least one of text, html and template is required.", "Thank you for your order."),
    ] = None
    html: Annotated[str | None, says("The HTML.", "<p>Thank you for your <b>order</b>.</p>")] = None
    text_from_html: Annotated[
        bool | None,
        says("Make a text from the HTML if the message has only HTML. The default is true.", True),
    ] = None
    calendar: Annotated[
        str | None,
        says(
            "A calendar invitation beside the text or HTML: an iCalendar object with a METHOD such as REQUEST, REPLY or CANCEL.",
            "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n…\r\nEND:VCALENDAR",
        ),
    ] = None
    headers: Annotated[
        dict[str, str] | None,
        says(
            "Further header fields. Fields that Relay or mail servers write are refused.",
            {"X-Order": "4711", "List-Unsubscribe": "<https://example.com/unsubscribe/4711>"},
            maxProperties=_LIMITS.max_headers,
        ),
    ] = None
    attachments: Annotated[
        list[AttachmentObject] | None,
        says(
            "Files.",
            [{"name": "invoice.pdf", "type": "application/pdf", "content": "JVBERi0xLjcK"}],
            maxItems=_LIMITS.max_attachments,
        ),
    ] = None
    tags: Annotated[
        list[str] | None,
        says(
            "Words to find and count messages by: ASCII letters, digits, inner spaces, and `_-.:/+`.",
            ["invoice", "eu"],
            maxItems=_LIMITS.max_tags,
            uniqueItems=True,
        ),
    ] = None
    metadata: Annotated[
        dict[str, str] | None,
        says(
            "Your own keys and values. The status and events repeat them.",
            {"order_id": "4711"},
            maxProperties=_LIMITS.max_metadata,
        ),
    ] = None
    lane: Annotated[str | None, says("The lane. The default is the client's.", "transactional")] = None
    expires_in_seconds: Annotated[
        int | None,
        says(
            "How long Relay tries to send. The default is the lane's. Choose minutes for a one-time password.",
            3600,
            minimum=_LIMITS.min_expires_in_seconds,
            maximum=_LIMITS.max_expires_in_seconds,
        ),
    ] = None
    delivery: Annotated[
        Literal["at_least_once", "at_most_once"] | None,
        says("After an attempt with an unknown result: send again (`at_least_once`) or not.", "at_least_once"),
    ] = None
    send_at: Annotated[_SendAt | None, _WHEN] = None
    route: Annotated[
        str | None, says("The route to use instead of the one that the routing rules choose.", "sendgrid")
    ] = None
    return_path: Annotated[
        str | None,
        says(
            "The envelope sender, to which bounces go, on routes that support it. The client's `senders` must allow it."
            " `<>` is the empty sender, for bounces and automatic replies.",
            "bounces@example.com",
        ),
    ] = None
    options: Annotated[
        dict[str, dict[str, Any]] | None,
        says("Options of one provider, by the provider's name.", {"sendgrid": {"asm": {"group_id": 12}}}),
    ] = None
    template: Annotated[
        str | None,
        says(
            "A stored template, which provides the text and HTML, and the subject unless the message has one.",
            "welcome",
            maxLength=_LIMITS.max_template_name,
        ),
    ] = None
    variables: Annotated[dict[str, Any] | None, says("Values for the template.", {"name": "Ada"})] = None
    locale: Annotated[
        str | None,
        says(
            "The recipient's language: which translation of the template is used, and how its dates and numbers are written.",
            "ja-JP",
            maxLength=_LIMITS.max_locale,
        ),
    ] = None
    unsubscribe: Annotated[
        UnsubscribeFields | None,
        says(
            "Adds an unsubscribe link for one click (RFC 8058). Such a message has exactly one recipient, in `to`.",
            {"topic": "news"},
        ),
    ] = None
    dry_run: Annotated[bool | None, says("Check and explain everything, but send nothing.", False)] = None


class MessageRequest(MessageFields, frozen=True, kw_only=True):
    """One message. At least one recipient is required, in to, cc or bcc."""

    from_: Annotated[Mailbox, _Sender] = field(name="from")


class BatchRequest(Shape, frozen=True, kw_only=True):
    """Many messages in one call. Each has its own result."""

    defaults: Annotated[
        MessageFields | None,
        says(
            "Fields that the messages share. A message's own field replaces the default; headers, metadata and variables"
            " are merged key by key.",
            {"from": "Shop <orders@example.com>", "template": "welcome"},
        ),
    ] = None
    messages: Annotated[
        list[MessageFields],
        says(
            "The messages, in the order of the results.",
            [{"to": "ada@example.com", "variables": {"name": "Ada"}}],
            minItems=1,
            maxItems=_LIMITS.max_batch_messages,
        ),
    ]


class RescheduleRequest(Shape, frozen=True, kw_only=True):
    """A new time for a scheduled message."""

    send_at: Annotated[_SendAt, _WHEN]


_Route = Annotated[str | None, says("Another route, to which the message is then bound.", "sendgrid")]
_NewSender = Annotated[str | None, says("Another From address, if the old one caused the failure.", "shop@example.com")]


class RedriveRequest(Shape, frozen=True, kw_only=True):
    """Changes to a dead message for a redrive. By default nothing changes."""

    route: _Route = None
    sender: _NewSender = None


class ResendRequest(Shape, frozen=True, kw_only=True):
    """Options for resending a sent message."""

    sent_until: Annotated[
        str,
        says(
            "The time of the last attempt that you have seen. Copies that were sent later are not sent again, so that a repeated "
            "request sends no third copy.",
            "2026-03-01T12:00:00Z",
        ),
    ]
    route: _Route = None
    reason: Annotated[str | None, says("The reason, for the audit log.", "ticket 4711", maxLength=200)] = None


class DeadLetterChoice(Shape, frozen=True, kw_only=True):
    """A selection of dead letters: a list of ids, or all with one cause."""

    ids: Annotated[list[str] | None, says("The ids of messages.", minItems=1, maxItems=_LIMITS.max_batch_messages)] = (
        None
    )
    code: Annotated[str | None, says("A cause, as in the list of dead letters.", "sender_not_verified")] = None


class DeadLetterRedrive(DeadLetterChoice, frozen=True, kw_only=True):
    """A selection of dead letters to redrive, with changes."""

    route: _Route = None
    sender: _NewSender = None


class BatchEnvelope(Shape, frozen=True, kw_only=True):
    """The outline of a batch, which must be right before its messages are checked one by one."""

    defaults: dict[str, Any] | None = None
    messages: list[Any]
