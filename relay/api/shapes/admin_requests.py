"""The shapes of requests about clients, suppressions, templates, webhooks, erasure and lost mail."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, field

from relay.api.shapes.base import Shape, says
from relay.clients.templates import MAX_BYTES

_Rate = Annotated[int, Meta(ge=1, le=1_000_000)]
_Quota = Annotated[int, Meta(ge=1, le=1_000_000_000)]
_Bytes = Annotated[int, Meta(ge=1_000)]
_Seconds = Annotated[int, Meta(ge=60, le=315_360_000)]
_Version = Annotated[int, Meta(ge=1, le=99_999_998)]
_Wait = Annotated[int, Meta(ge=0, le=120)]
_CALLBACK = "https://prod-1.westeurope.logic.azure.com/workflows/x/triggers/y/paths/invoke?sig=z"


class PolicyFields(Shape, frozen=True, kw_only=True):
    """What a client may send. An absent field stays as it is. A new client has no senders, and otherwise no limits."""

    senders: Annotated[
        list[str] | UnsetType | None,
        says(
            "Allowed addresses in From and as return path: `*`, an address, or `*@domain`. Without any, the client cannot send.",
            ["*@example.com"],
        ),
    ] = UNSET
    recipients: Annotated[list[str] | UnsetType | None, says("Allowed recipients, in the same forms.", ["*"])] = UNSET
    redirect_to: Annotated[
        str | UnsetType | None,
        says(
            "Send mail for all other recipients to this address. Without it such mail is refused. Null removes it.",
            "testers@example.com",
        ),
    ] = UNSET
    routes: Annotated[
        list[str] | UnsetType | None,
        says("Routes that the client may request. An empty list allows all.", ["sendgrid"]),
    ] = UNSET
    lanes: Annotated[
        list[str] | UnsetType | None,
        says("Allowed lanes; the first is the default. An empty list allows all.", ["transactional"]),
    ] = UNSET
    delivery: Annotated[
        Literal["at_least_once", "at_most_once"] | UnsetType | None,
        says("The default for attempts with an unknown result.", "at_least_once"),
    ] = UNSET
    rate_per_minute: Annotated[_Rate | UnsetType | None, says("Messages per minute. Null removes the limit.", 600)] = (
        UNSET
    )
    daily_quota: Annotated[
        _Quota | UnsetType | None, says("Recipients per day (UTC). Null removes the limit.", 50_000)
    ] = UNSET
    max_bytes: Annotated[_Bytes | UnsetType | None, says("Bytes per message. Null removes the limit.", 10_000_000)] = (
        UNSET
    )
    refused_attachments: Annotated[
        list[str] | UnsetType | None, says("File names to refuse, with `*` as a wildcard.", ["*.exe"])
    ] = UNSET
    ip_ranges: Annotated[
        list[str] | UnsetType | None,
        says("CIDR blocks that the client may call from. An empty list allows all.", ["203.0.113.0/24"]),
    ] = UNSET
    may_bypass_suppressions: Annotated[
        bool | UnsetType | None,
        says(
            "Whether messages may carry `options.sendgrid.mail_settings.bypass_*`, which send to people who unsubscribed.",
            False,
        ),
    ] = UNSET
    sees: Annotated[
        list[str] | UnsetType | None,
        says("Clients whose messages a viewer or support sees. An empty list shows all.", ["shop"]),
    ] = UNSET
    brake: Annotated[
        Literal["bulk", "all", "off"] | UnsetType | None,
        says(
            "The lanes to hold when too much of the client's mail bounces or is reported as spam. `bulk` is every lane but "
            "`transactional`.",
            "bulk",
        ),
    ] = UNSET


_RoleName = Literal["client", "viewer", "support", "operator", "auditor"]


class ClientChange(Shape, frozen=True, kw_only=True):
    """Changes to a client."""

    role: Annotated[
        _RoleName | None,
        says(
            "`client` sends. `viewer` sees states, `support` content too, and `auditor` the audit log. `operator` may read and "
            "change everything.",
            "client",
        ),
    ] = None
    policy: Annotated[PolicyFields | None, says("What the client may send.")] = None
    principals: Annotated[
        list[str] | None,
        says(
            "Microsoft Entra object or application ids that sign in as this client.",
            ["11111111-2222-3333-4444-555555555555"],
        ),
    ] = None
    is_disabled: Annotated[bool | None, says("Whether to refuse the client's keys.", False)] = None


class ClientRequest(ClientChange, frozen=True, kw_only=True):
    """A new client."""

    name: Annotated[str, says("1 to 63 lowercase letters, digits and dashes.", "shop", maxLength=63)]


class KeyRequest(Shape, frozen=True, kw_only=True):
    """Another key for a client."""

    role: Annotated[
        _RoleName | None,
        says("A role of the key's own. By default it has that of its client, also when that changes.", "viewer"),
    ] = None
    expires_in_seconds: Annotated[
        _Seconds | None, says("When the key expires. By default it never expires.", 7_776_000)
    ] = None


Reason = Literal["bounced", "complained", "unsubscribed", "manual", "provider"]


class SuppressionFields(Shape, frozen=True, kw_only=True):
    """An address to which Relay must not send."""

    email: Annotated[str, says("The address.", "ada@example.org")]
    reason: Annotated[Reason | None, says("The reason. The default is `manual`.", "unsubscribed")] = None
    expires_in_seconds: Annotated[
        _Seconds | None, says("How long the suppression lasts. The default depends on the reason.", 2_592_000)
    ] = None
    note: Annotated[
        str | None, says("A note for people, such as who requested it.", "asked by telephone", maxLength=500)
    ] = None


_Client = Annotated[str | None, says("Operators only: the client whose list to use.", "shop")]
_ForAll = Annotated[bool | None, says("Operators only: use the list that applies to all clients.")]


class SuppressionRequest(SuppressionFields, frozen=True, kw_only=True):
    """An address to add to a suppression list: the caller's own, or the one that an operator chooses."""

    client: _Client = None
    for_all: _ForAll = None


class SuppressionImport(Shape, frozen=True, kw_only=True):
    """Many addresses to add to one suppression list."""

    value: Annotated[
        list[SuppressionFields],
        says("The addresses.", [{"email": "ada@example.org", "reason": "unsubscribed"}], minItems=1, maxItems=10_000),
    ]
    client: _Client = None
    for_all: _ForAll = None


class TopicRequest(Shape, frozen=True, kw_only=True):
    """A topic that recipients can unsubscribe from."""

    titles: Annotated[
        dict[str, str] | None,
        says(
            "What the preference page calls it, by language. Without a title it shows the name.",
            {"en": "News", "ja": "お知らせ"},
        ),
    ] = None
    descriptions: Annotated[
        dict[str, str] | None,
        says("A sentence for the preference page, by language.", {"en": "What is new in our shop, once a month."}),
    ] = None
    sendgrid_group_id: Annotated[
        int | None,
        says("SendGrid's unsubscribe group that means the same: `asm.group_id` in requests and events.", 12, minimum=1),
    ] = None


class TopicSuppressionRequest(SuppressionFields, frozen=True, kw_only=True):
    """An address that gets no mail about a topic."""


class TopicSuppressionImport(Shape, frozen=True, kw_only=True):
    """Many addresses that get no mail about a topic."""

    value: Annotated[
        list[SuppressionFields],
        says("The addresses.", [{"email": "ada@example.org", "reason": "unsubscribed"}], minItems=1, maxItems=10_000),
    ]


class SyncRequest(Shape, frozen=True, kw_only=True):
    """The route whose provider's suppression lists to import."""

    route: Annotated[str, says("A route whose provider keeps suppression lists: SendGrid.", "sendgrid")]


class VariableFields(Shape, frozen=True, kw_only=True):
    """A variable that a template uses."""

    required: Annotated[
        bool | None, says("Whether each message must set it. The default is true unless there is a `default`.")
    ] = None
    default: Annotated[Any | UnsetType, says("The value for messages that do not set the variable.", "friend")] = UNSET
    description: Annotated[str | None, says("A note for people.", maxLength=500)] = None


class TranslationFields(Shape, frozen=True, kw_only=True):
    """The parts of a template in another language."""

    subject: Annotated[str | None, says("The subject. The default is the template's.", "ようこそ、{{ name }}様")] = None
    text: Annotated[str | None, says("The plain text. At least one of text and html is required.")] = None
    html: Annotated[str | None, says("The HTML.", "<p>{{ name }}様</p>")] = None


class TemplateRequest(Shape, frozen=True, kw_only=True):
    """The next version of a template, rendered for each message."""

    kind: Annotated[
        Literal["jinja2", "handlebars"] | None,
        says("The language of the sources; handlebars is that of SendGrid's dynamic templates. The default is jinja2."),
    ] = None
    locale: Annotated[str | None, says("The language of these parts, for formats of dates and numbers.", "en")] = None
    description: Annotated[str | None, says("A note for people.", "Sent to new customers.", maxLength=500)] = None
    subject: Annotated[str | None, says("The subject. A message's own subject replaces it.", "Welcome, {{ name }}")] = (
        None
    )
    text: Annotated[
        str | None, says("The plain text. At least one of text and html is required.", "Hello {{ name }}.")
    ] = None
    html: Annotated[
        str | None,
        says(
            f"The HTML. Values are escaped. The whole template may have at most {MAX_BYTES} bytes.",
            "<p>Hello {{ name }}.</p>",
        ),
    ] = None
    translations: Annotated[
        dict[str, TranslationFields] | None,
        says(
            "The parts in other languages, by locale. A message for `ja-JP` gets `ja-JP`, else `ja`, else the parts above."
        ),
    ] = None
    variables: Annotated[
        dict[str, VariableFields] | None,
        says(
            "The variables by name. A variable that a Jinja2 template uses and that is not listed here is required; in"
            " Handlebars it may be missing.",
            {"name": {"default": "friend"}},
        ),
    ] = None
    test_data: Annotated[dict[str, Any] | None, says("Variables for previews that give none.", {"name": "Ada"})] = None


class PreviewRequest(Shape, frozen=True, kw_only=True):
    """Values to preview a template with."""

    variables: Annotated[
        dict[str, Any] | None, says("The variables. The default is the template's test data.", {"name": "Ada"})
    ] = None
    locale: Annotated[str | None, says("The locale of a message.", "ja-JP")] = None
    version: Annotated[_Version | None, says("The version. The default is the newest.")] = None


EventKind = Literal[
    "processed", "deferred", "delivered", "bounced", "complained", "opened", "clicked", "unsubscribed", "replied",
    "auto_replied", "resubscribed", "client.held", "client.released",
]  # fmt: skip


class WebhookChange(Shape, frozen=True, kw_only=True):
    """Changes to a webhook subscription. An absent field stays as it is."""

    url: Annotated[
        str | None, says("Where to post events: an https address on the public Internet.", "https://example.com/mail")
    ] = None
    events: Annotated[
        list[EventKind] | None, says("Kinds of events. An empty list means all.", ["delivered", "bounced"])
    ] = None
    format: Annotated[Literal["standard", "cloudevents"] | None, says("The format of the posted body.", "standard")] = (
        None
    )
    note: Annotated[str | None, says("A note for people.", "order system")] = None
    is_enabled: Annotated[
        bool | None, says("False pauses the subscription. True resumes it, also after Relay disabled it.", True)
    ] = None
    rotate_secret: Annotated[
        bool | None, says("Create a new signing secret. For one day posts are signed with the old secret too.", True)
    ] = None


class WebhookRequest(Shape, frozen=True, kw_only=True):
    """A new webhook subscription. Give `url`, or `callbackUrl` as Logic Apps does."""

    url: Annotated[
        str | None, says("Where to post events: an https address on the public Internet.", "https://example.com/mail")
    ] = None
    callback_url: Annotated[
        str | None,
        says("The same, under the name that Logic Apps uses. Subscribing it again changes nothing.", _CALLBACK),
    ] = field(name="callbackUrl", default=None)
    events: Annotated[
        list[EventKind] | None, says("Kinds of events. The default is all.", ["delivered", "bounced"])
    ] = None
    format: Annotated[
        Literal["standard", "cloudevents"] | None,
        says("The format of the posted body. The default is `standard`.", "standard"),
    ] = None
    note: Annotated[str | None, says("A note for people.", "order system")] = None


class CallbackRemoval(Shape, frozen=True, kw_only=True):
    """A subscription made with a `callbackUrl`, to be deleted."""

    callback_url: Annotated[str, says("The subscribed URL.", _CALLBACK)] = field(name="callbackUrl")


class EraseRequest(Shape, frozen=True, kw_only=True):
    """The recipient whose messages to erase."""

    recipient: Annotated[
        str, says("The address. Each message that has it in to, cc or bcc is erased as a whole.", "ada@example.com")
    ]
    dry_run: Annotated[bool | None, says("Only count.", False)] = None
    cursor: Annotated[str | None, says("Where to continue: the `cursor` of the last response.")] = None


class ResendLostRequest(Shape, frozen=True, kw_only=True):
    """Which sent messages count as lost, and how to send them again."""

    route: Annotated[str, says("The route that sent them.", "sendgrid")]
    sent_since: Annotated[str, says("Start of the period (inclusive).", "2026-03-01T00:00:00Z")]
    sent_before: Annotated[str, says("End of the period (exclusive, in the past).", "2026-03-02T00:00:00Z")]
    without_delivered: Annotated[
        bool, says("Must be true: only messages without a delivery or bounce event are sent again.", True)
    ]
    to_route: Annotated[str | None, says("Another route for sending them again.", "exchange")] = None
    dry_run: Annotated[bool | None, says("Only count.", False)] = None
    cursor: Annotated[str | None, says("Where to continue: the `cursor` of the last response.")] = None


_Reason = Annotated[
    str | None, says("Why, for people who look at the routes.", "maintenance of the mail server", maxLength=200)
]
_Until = Annotated[
    str | None,
    says(
        "When it ends by itself, at most 7 days ahead. Without it, it lasts until an operator ends it.",
        "2026-03-01T18:00:00Z",
    ),
]


class HoldRequest(Shape, frozen=True, kw_only=True):
    """Why to hold a route, and until when."""

    reason: _Reason = None
    until: _Until = None


class PauseRequest(Shape, frozen=True, kw_only=True):
    """Why to pause delivery, until when, and how long to wait."""

    reason: _Reason = None
    until: _Until = None
    wait_seconds: Annotated[_Wait | None, says("How long to wait until no attempt runs. The default is 20.", 20)] = None
