"""The shapes of requests about clients, for operators."""

from typing import Any, Literal

from pydantic import Field

from relay.api.shapes.requests import Shape
from relay.clients.templates import MAX_BYTES


class PolicyFields(Shape):
    """What a client may send. What is left out stays as it was; in a new client it is not limited."""

    senders: list[str] | None = Field(
        default=None,
        description="Addresses it may use as From and as return path: `*`, an address, or `*@domain`.",
        examples=[["*@example.com"]],
    )
    recipients: list[str] | None = Field(
        default=None, description="Recipients it may send to, in the same forms.", examples=[["*"]]
    )
    redirect_to: str | None = Field(
        default=None,
        description="Where mail to all other recipients goes instead; without it they are refused. Null ends it.",
        examples=["testers@example.com"],
    )
    routes: list[str] | None = Field(
        default=None, description="Routes it may ask for; none named means all.", examples=[["sendgrid"]]
    )
    lanes: list[str] | None = Field(
        default=None,
        description="Lanes it may use, the first by default; none named means all.",
        examples=[["transactional"]],
    )
    delivery: Literal["at_least_once", "at_most_once"] | None = Field(
        default=None, description="What to do by default when an answer is lost.", examples=["at_least_once"]
    )
    rate_per_minute: int | None = Field(
        default=None, description="Messages a minute. Null ends the limit.", examples=[600], ge=1, le=1_000_000
    )
    daily_quota: int | None = Field(
        default=None,
        description="Messages a day (UTC). Null ends the limit.",
        examples=[50_000],
        ge=1,
        le=1_000_000_000,
    )
    max_bytes: int | None = Field(
        default=None, description="Bytes of a message. Null ends the limit.", examples=[10_000_000], ge=1_000
    )
    refused_attachments: list[str] | None = Field(
        default=None, description="File names that are refused, with `*` for anything.", examples=[["*.exe"]]
    )
    ip_ranges: list[str] | None = Field(
        default=None,
        description="CIDR blocks it may call from; none named means anywhere.",
        examples=[["203.0.113.0/24"]],
    )


class ClientChange(Shape):
    """What to change of a client."""

    role: Literal["client", "operator"] | None = Field(
        default=None, description="`operator` reads and mends everything.", examples=["client"]
    )
    policy: PolicyFields | None = Field(default=None, description="What it may send.")
    principals: list[str] | None = Field(
        default=None,
        description="Microsoft Entra object or application ids that are this client.",
        examples=[["11111111-2222-3333-4444-555555555555"]],
    )
    is_disabled: bool | None = Field(default=None, description="Whether its keys open nothing.", examples=[False])


class ClientRequest(ClientChange):
    """A new client."""

    name: str = Field(
        description="1 to 63 lower-case letters, digits and dashes.",
        examples=["shop"],
        json_schema_extra={"maxLength": 63},
    )


class KeyRequest(Shape):
    """Another key."""

    expires_in_seconds: int | None = Field(
        default=None,
        description="When it stops to work; by default never.",
        examples=[7_776_000],
        ge=60,
        le=315_360_000,
    )


Reason = Literal["bounced", "complained", "unsubscribed", "manual", "provider"]


class SuppressionFields(Shape):
    """An address that is not to be sent to."""

    email: str = Field(description="The address.", examples=["ada@example.org"])
    reason: Reason | None = Field(default=None, description="Why; by default `manual`.", examples=["unsubscribed"])
    expires_in_seconds: int | None = Field(
        default=None,
        description="How long; by default as the reason's rule says.",
        examples=[2_592_000],
        ge=60,
        le=315_360_000,
    )
    note: str | None = Field(
        default=None,
        description="For people: who asked for it, where.",
        examples=["asked by telephone"],
        json_schema_extra={"maxLength": 500},
    )


class SuppressionRequest(SuppressionFields):
    """One address for a list: the caller's own, or as an operator says."""

    client: str | None = Field(default=None, description="Operators: whose list.", examples=["shop"])
    for_all: bool | None = Field(default=None, description="Operators: the list that concerns everybody.")


class SuppressionImport(Shape):
    """Many addresses for one list."""

    value: list[SuppressionFields] = Field(
        description="The addresses.",
        examples=[[{"email": "ada@example.org", "reason": "unsubscribed"}]],
        json_schema_extra={"minItems": 1, "maxItems": 10_000},
    )
    client: str | None = Field(default=None, description="Operators: whose list.", examples=["shop"])
    for_all: bool | None = Field(default=None, description="Operators: the list that concerns everybody.")


class SyncRequest(Shape):
    """Which provider's lists are read."""

    route: str = Field(description="A route whose provider keeps lists: SendGrid.", examples=["sendgrid"])


class VariableFields(Shape):
    """A variable that the template reads."""

    required: bool | None = Field(
        default=None, description="Whether every message must bring it; by default unless there is a `default`."
    )
    default: Any = Field(
        default=None, description="What is filled in where a message does not bring it.", examples=["friend"]
    )
    description: str | None = Field(default=None, description="For people.", json_schema_extra={"maxLength": 500})


class TemplateRequest(Shape):
    """A template's next version: Jinja2, filled in for each message."""

    description: str | None = Field(
        default=None,
        description="For people.",
        examples=["What new customers get."],
        json_schema_extra={"maxLength": 500},
    )
    subject: str | None = Field(
        default=None, description="The subject; a message's own replaces it.", examples=["Welcome, {{ name }}"]
    )
    text: str | None = Field(
        default=None, description="The plain text. One of text and html is needed.", examples=["Hello {{ name }}."]
    )
    html: str | None = Field(
        default=None,
        description=f"The html; values are escaped. All of a template has at most {MAX_BYTES} bytes.",
        examples=["<p>Hello {{ name }}.</p>"],
    )
    variables: dict[str, VariableFields] | None = Field(
        default=None,
        description="The variables by name. What the template reads and this does not name is required.",
        examples=[{"name": {"default": "friend"}}],
    )


class PreviewRequest(Shape):
    """What a template is filled in with, to look at the result."""

    variables: dict[str, Any] | None = Field(default=None, description="The variables.", examples=[{"name": "Ada"}])
    version: int | None = Field(default=None, description="Which version; by default the newest.", ge=1, le=99_999_998)


EventKind = Literal["processed", "deferred", "delivered", "bounced", "complained", "opened", "clicked", "unsubscribed"]


class WebhookChange(Shape):
    """What to change of a subscription; what is left out stays."""

    url: str | None = Field(
        default=None, description="Where to post: https, on the public Internet.", examples=["https://example.com/mail"]
    )
    events: list[EventKind] | None = Field(
        default=None, description="Kinds of events; an empty list means all.", examples=[["delivered", "bounced"]]
    )
    format: Literal["standard", "cloudevents"] | None = Field(
        default=None, description="How a body looks.", examples=["standard"]
    )
    note: str | None = Field(default=None, description="For people.", examples=["order system"])
    is_enabled: bool | None = Field(
        default=None, description="False pauses it; true lets one go on that was disabled.", examples=[True]
    )
    rotate_secret: bool | None = Field(
        default=None,
        description="Make a new signing secret. For a day posts carry a signature by the old one too.",
        examples=[True],
    )


class WebhookRequest(Shape):
    """A new subscription. Give `url`, or as Logic Apps do `callbackUrl`."""

    url: str | None = Field(
        default=None, description="Where to post: https, on the public Internet.", examples=["https://example.com/mail"]
    )
    callback_url: str | None = Field(
        default=None,
        alias="callbackUrl",
        description="The same, in the words of Logic Apps. Subscribing it twice is once.",
        examples=["https://prod-1.westeurope.logic.azure.com/workflows/x/triggers/y/paths/invoke?sig=z"],
    )
    events: list[EventKind] | None = Field(
        default=None, description="Kinds of events; none named means all.", examples=[["delivered", "bounced"]]
    )
    format: Literal["standard", "cloudevents"] | None = Field(
        default=None, description="How a body looks; by default `standard`.", examples=["standard"]
    )
    note: str | None = Field(default=None, description="For people.", examples=["order system"])


class CallbackRemoval(Shape):
    """A subscription that a `callbackUrl` made, to be ended."""

    callback_url: str = Field(
        alias="callbackUrl",
        description="The URL that was subscribed.",
        examples=["https://prod-1.westeurope.logic.azure.com/workflows/x/triggers/y/paths/invoke?sig=z"],
    )


class EraseRequest(Shape):
    """Whose messages are erased."""

    recipient: str = Field(
        description="The address: each message that has it in to, cc or bcc is erased as a whole.",
        examples=["ada@example.com"],
    )
    dry_run: bool | None = Field(default=None, description="Count only.", examples=[False])
    cursor: str | None = Field(default=None, description="Where the last answer said to go on.")


class ResendLostRequest(Shape):
    """Which sent messages count as lost, and how they are sent again."""

    route: str = Field(description="The route that sent them.", examples=["sendgrid"])
    sent_since: str = Field(description="From when on they were sent.", examples=["2026-03-01T00:00:00Z"])
    sent_before: str = Field(description="Before when they were sent; in the past.", examples=["2026-03-02T00:00:00Z"])
    without_delivered: bool = Field(
        description="True: those of which nobody reported a delivery, nor a refusal by the recipient's server.",
        examples=[True],
    )
    to_route: str | None = Field(default=None, description="Another route to send them by.", examples=["exchange"])
    dry_run: bool | None = Field(default=None, description="Count only.", examples=[False])
    cursor: str | None = Field(default=None, description="Where the last answer said to go on.")
