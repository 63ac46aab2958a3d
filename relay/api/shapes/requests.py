"""The shapes of requests, for validation and for the OpenAPI document, which is generated from them.

They fix names and JSON types; what a value means is checked by the readers beside this module, against
`relay.acceptance.draft.Limits`. The numbers here only document those limits, for people and generated clients.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from relay.acceptance.draft import Limits

_LIMITS = Limits()

TAGS = frozenset(("<text>", "<object>", "<list>", "<number>"))
"""How pydantic's error locations name the branch of a union; no part of a path."""
_BRANCHES: dict[type[object], str] = {str: "<text>", dict: "<object>", list: "<list>"}


def _branch(value: object) -> str | None:
    return _BRANCHES.get(type(value))


class Shape(BaseModel):
    """What all requests share: unknown names are errors, and nothing is converted from another type."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class AddressObject(Shape):
    """A mailbox in two fields."""

    email: str = Field(
        description="The address. Domains and local parts may be in any script.", examples=["ada@example.com"]
    )
    name: str | None = Field(
        default=None,
        description="The display name.",
        examples=["Ada Lovelace"],
        json_schema_extra={"maxLength": _LIMITS.max_display_name},
    )


_Text = Annotated[str, Tag("<text>"), Field(examples=["Ada Lovelace <ada@example.com>"])]
_Object = Annotated[AddressObject, Tag("<object>")]

Mailbox = Annotated[
    _Text | _Object,
    Discriminator(
        _branch,
        custom_error_type="expected",
        custom_error_message="a text such as Name <a@example.com>, or an object with email and name",
    ),
]
Mailboxes = Annotated[
    _Text | _Object | Annotated[list[Mailbox], Tag("<list>")],
    Discriminator(
        _branch,
        custom_error_type="expected",
        custom_error_message="a text such as Name <a@example.com>, an object with email and name, or a list of those",
    ),
]


class LogicAppsFile(Shape):
    """A file as Logic Apps and Power Automate hold it in expressions."""

    content_type: str | None = Field(
        default=None, alias="$content-type", description="The media type.", examples=["application/pdf"]
    )
    content: str = Field(alias="$content", description="The file in base64.", examples=["JVBERi0xLjcK"])


_FileContent = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[LogicAppsFile, Tag("<object>")],
    Discriminator(
        _branch,
        custom_error_type="expected",
        custom_error_message="base64 text, or the object with $content-type and $content that Logic Apps makes",
    ),
]


class AttachmentObject(Shape):
    """A file: its `content` in this request, or the `id` of one that was uploaded before."""

    name: str | None = Field(
        default=None,
        description="The file name that recipients see. Required with `content`.",
        examples=["invoice.pdf"],
        json_schema_extra={"maxLength": _LIMITS.max_attachment_name},
    )
    content: _FileContent | None = Field(
        default=None,
        description="The file in base64 (RFC 4648 section 4; line breaks do no harm), or a Logic Apps file object.",
        examples=["JVBERi0xLjcK"],
    )
    id: str | None = Field(
        default=None,
        description="The id that `POST /v1/attachments` answered, instead of `content`.",
        examples=["att_0d9k2m"],
    )
    type: str | None = Field(
        default=None,
        description="The media type; by default guessed from the name.",
        examples=["application/pdf"],
    )
    disposition: Literal["attachment", "inline"] | None = Field(
        default=None,
        description="`inline` for what the html shows; by default so exactly when there is a `content_id`.",
        examples=["attachment"],
    )
    content_id: str | None = Field(
        default=None,
        description='How the html refers to an inline image: `<img src="cid:logo">`.',
        examples=["logo"],
        json_schema_extra={"maxLength": _LIMITS.max_content_id},
    )


_Moment = Annotated[
    Annotated[str, Tag("<text>"), Field(json_schema_extra={"format": "date-time"})] | Annotated[int, Tag("<number>")],
    Discriminator(
        lambda value: "<number>" if type(value) is int else _branch(value) if isinstance(value, str) else None,
        custom_error_type="expected",
        custom_error_message="an ISO 8601 text such as 2030-01-31T08:00:00Z, or whole seconds since 1970",
    ),
]


class MessageFields(Shape):
    """Every field of a message, all optional: the defaults of a batch."""

    from_: Mailbox | None = Field(
        default=None,
        alias="from",
        description="Who the message is from: one mailbox, which the client's policy must allow.",
        examples=["Shop <orders@example.com>"],
    )
    to: Mailboxes | None = Field(
        default=None,
        description="Recipients. One text may name several, separated by commas or semicolons.",
        examples=[["Ada Lovelace <ada@example.com>", {"email": "bob@example.com", "name": "Bob"}]],
    )
    cc: Mailboxes | None = Field(default=None, description="Recipients of copies.", examples=["office@example.com"])
    bcc: Mailboxes | None = Field(
        default=None, description="Recipients whom nobody else sees.", examples=["archive@example.com"]
    )
    reply_to: Mailboxes | None = Field(
        default=None, description="Where answers go, instead of From.", examples=["support@example.com"]
    )
    subject: str | None = Field(
        default=None,
        description="The subject, one line. Required unless a template has it.",
        examples=["Your order 4711"],
        json_schema_extra={"maxLength": _LIMITS.max_subject},
    )
    text: str | None = Field(
        default=None,
        description="The plain text. At least one of text, html and template is needed.",
        examples=["Thank you for your order."],
    )
    html: str | None = Field(
        default=None, description="The HTML.", examples=["<p>Thank you for your <b>order</b>.</p>"]
    )
    headers: dict[str, str] | None = Field(
        default=None,
        description="Further header fields. Those that Relay or mail servers write are refused.",
        examples=[{"X-Order": "4711", "List-Unsubscribe": "<https://example.com/unsubscribe/4711>"}],
        json_schema_extra={"maxProperties": _LIMITS.max_headers},
    )
    attachments: list[AttachmentObject] | None = Field(
        default=None,
        description="Files.",
        examples=[[{"name": "invoice.pdf", "type": "application/pdf", "content": "JVBERi0xLjcK"}]],
        json_schema_extra={"maxItems": _LIMITS.max_attachments},
    )
    tags: list[str] | None = Field(
        default=None,
        description="Words to find and count messages by: ASCII letters, digits, spaces within, and `_-.:/+`.",
        examples=[["invoice", "eu"]],
        json_schema_extra={"maxItems": _LIMITS.max_tags, "uniqueItems": True},
    )
    metadata: dict[str, str] | None = Field(
        default=None,
        description="The caller's own keys and values; they come back in the status and in events.",
        examples=[{"order_id": "4711"}],
        json_schema_extra={"maxProperties": _LIMITS.max_metadata},
    )
    lane: str | None = Field(
        default=None, description="The lane to travel on; by default the client's.", examples=["transactional"]
    )
    expires_in_seconds: int | None = Field(
        default=None,
        description="How long to try; by default the lane's. A login code is worthless after minutes.",
        examples=[3600],
        json_schema_extra={"minimum": _LIMITS.min_expires_in_seconds, "maximum": _LIMITS.max_expires_in_seconds},
    )
    delivery: Literal["at_least_once", "at_most_once"] | None = Field(
        default=None,
        description="What to do when nobody can say whether an attempt arrived: send again, or not.",
        examples=["at_least_once"],
    )
    send_at: _Moment | None = Field(
        default=None,
        description="When to send, at most 90 days ahead: ISO 8601 with an offset, or whole seconds since 1970.",
        examples=["2030-01-31T08:00:00Z"],
    )
    route: str | None = Field(
        default=None, description="The route to use instead of what the rules choose.", examples=["sendgrid"]
    )
    return_path: str | None = Field(
        default=None,
        description="Where bounces go (the envelope's sender), on routes that can say so. Held to the client's `senders`. "
        "`<>` is nobody: for what is a bounce or an automatic answer itself.",
        examples=["bounces@example.com"],
    )
    options: dict[str, dict[str, Any]] | None = Field(
        default=None,
        description="For each provider by name, what only that provider understands.",
        examples=[{"sendgrid": {"asm": {"group_id": 12}}}],
    )
    template: str | None = Field(
        default=None,
        description="A stored template, which makes the text and html, and the subject unless one is given.",
        examples=["welcome"],
        json_schema_extra={"maxLength": _LIMITS.max_template_name},
    )
    variables: dict[str, Any] | None = Field(
        default=None, description="What the template fills in.", examples=[{"name": "Ada"}]
    )
    dry_run: bool | None = Field(
        default=None, description="Check and explain everything, and send nothing.", examples=[False]
    )


class MessageRequest(MessageFields):
    """One message. Somebody must be named in to, cc or bcc."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from": "Shop <orders@example.com>",
                    "to": "Ada Lovelace <ada@example.com>",
                    "subject": "Your order 4711",
                    "text": "Thank you for your order.",
                }
            ]
        }
    )

    from_: Mailbox = Field(
        alias="from",
        description="Who the message is from: one mailbox, which the client's policy must allow.",
        examples=["Shop <orders@example.com>"],
    )


class BatchRequest(Shape):
    """Many messages in one call; each has its own result."""

    defaults: MessageFields | None = Field(
        default=None,
        description="What the messages share. A message's own field replaces the default; the members of headers,"
        " metadata and variables are replaced one by one.",
        examples=[{"from": "Shop <orders@example.com>", "template": "welcome"}],
    )
    messages: list[MessageFields] = Field(
        description="The messages, in the order of the results.",
        examples=[[{"to": "ada@example.com", "variables": {"name": "Ada"}}]],
        json_schema_extra={"minItems": 1, "maxItems": _LIMITS.max_batch_messages},
    )


class RescheduleRequest(Shape):
    """Another time for a scheduled message."""

    send_at: _Moment = Field(
        description="When to send, at most 90 days ahead: ISO 8601 with an offset, or whole seconds since 1970.",
        examples=["2030-01-31T08:00:00Z"],
    )


class RedriveRequest(Shape):
    """How a dead message is put back; by default as it was."""

    route: str | None = Field(default=None, description="Another route, which it then stays on.", examples=["sendgrid"])
    sender: str | None = Field(
        default=None,
        description="Another From address, where the old one was the fault.",
        examples=["shop@example.com"],
    )


class DeadLetterChoice(Shape):
    """Which dead letters: either some by id, or all of a cause."""

    ids: list[str] | None = Field(
        default=None,
        description="The ids of messages.",
        json_schema_extra={"minItems": 1, "maxItems": _LIMITS.max_batch_messages},
    )
    code: str | None = Field(
        default=None, description="A cause, as the list of dead letters names it.", examples=["sender_not_verified"]
    )


class DeadLetterRedrive(DeadLetterChoice, RedriveRequest):
    """Which dead letters are put back, and how."""


class BatchEnvelope(Shape):
    """What must hold before the messages of a batch can be looked at one by one."""

    defaults: dict[str, Any] | None = None
    messages: list[Any]
