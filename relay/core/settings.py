"""Define everything that can be configured: the settings by name, and one frozen object of their values.

`SETTINGS` is the single list of names: documentation, the sample file and the infrastructure are tested against it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

if TYPE_CHECKING:
    from relay.core.memory import MemoryLimits


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """An application setting: its name, its default as text, and its meaning."""

    name: str
    default: str
    meaning: str
    is_secret: bool = False


# fmt: off
SETTINGS = (
    Setting(name="RELAY_ROUTES", default="",
        meaning="JSON object: route name to {provider, …}. Empty: `sendgrid` when SENDGRID_API_KEY is set, else `capture`."),
    Setting(name="RELAY_ROUTING", default="",
        meaning="JSON array of rules {when, routes}; the first match decides. Empty: the first route."),
    Setting(name="RELAY_LANES", default="",
        meaning="JSON object: lane name to {shards, expires_in_seconds, retry_min_seconds, retry_max_seconds}."),
    Setting(name="RELAY_EXPIRES_IN_SECONDS", default="86400", meaning="Default lifetime of a message, in seconds."),
    Setting(name="RELAY_ATTEMPT_SECONDS", default="480",
        meaning="Maximum seconds of an attempt including its record; then it counts as interrupted. The host leases 600."),
    Setting(name="RELAY_RETENTION_DAYS", default="14", meaning="Retention of records and content in days."),
    Setting(name="RELAY_AUDIT_DAYS", default="400", meaning="Retention of the audit log in days."),
    Setting(name="RELAY_AUDIT_ARCHIVE", default="",
        meaning="`true`: copy the audit log to the container `audit` every night, a blob a day. Empty: no archive."),
    Setting(name="RELAY_INSTANCE_MEMORY_MB", default="2048",
        meaning="Memory of an instance in MB. It limits the bytes accepted and delivered at once. Azure: set by the deployment."),
    Setting(name="RELAY_MAX_MESSAGE_BYTES", default="31457280",
        meaning="Largest message accepted, in bytes on the wire. Never more than the memory of an instance allows."),
    Setting(name="RELAY_MAX_WAITING_MESSAGES", default="2000",
        meaning="Maximum submissions that wait for storage in one process; more get 503."),
    Setting(name="RELAY_MAX_WAITING_BYTES", default="134217728",
        meaning="Maximum bytes of submissions that wait for storage in one process; more get 503."),
    Setting(name="RELAY_PUBLIC_URL", default="",
        meaning="The public address, for links in responses. Empty: the address of the request."),
    Setting(name="RELAY_KEY_VAULT_URL", default="", meaning="The Key Vault for `vault:NAME` references."),
    Setting(name="RELAY_SENDGRID_EVENT_KEYS", default="",
        meaning="Public verification keys of SendGrid's Event Webhook, separated by commas. Empty: its posts are refused."),
    Setting(name="RELAY_EVENT_GRID_SECRET", default="",
        meaning="Reference to the secret that Event Grid sends with its posts. Empty: its posts are refused."),
    Setting(name="RELAY_BOUNCE_MAILBOXES", default="",
        meaning="JSON array of {route, mailbox, replies}: Exchange Online mailboxes to read for bounces, through a Graph route; "
            "with `replies` set to `true` also for replies."),
    Setting(name="RELAY_MESSAGE_TRACE", default="",
        meaning="JSON array of {routes, …}: Exchange Online tenants whose message trace Relay reads, by the identity given, for "
            "the mail of these Graph routes."),
    Setting(name="RELAY_SUPPRESSIONS", default="",
        meaning="JSON object: reason to {for_all, days}: scope and duration. Empty: the defaults in docs/reference/events.md."),
    Setting(name="RELAY_BRAKE", default="",
        meaning="JSON object of {is_on, bounce_rate, min_bounced, bounces_of, complaint_rate, min_complained, complaints_of}: "
            "when a client's mail is held for its bounces or complaints. Empty: the defaults in docs/reference/brake.md."),
    Setting(name="RELAY_WEBHOOKS_ALLOW_LOOPBACK", default="",
        meaning="`true`: allow webhooks to loopback addresses and plain HTTP. Development only: in production this permits "
            "SSRF."),
    Setting(name="RELAY_ENTRA_TENANTS", default="",
        meaning="Ids of the Microsoft Entra tenants whose users and applications may sign in, separated by commas. Empty: "
            "none."),
    Setting(name="RELAY_ENTRA_ROLES", default="",
        meaning="JSON object: value of an app role, or object id of a group, in Microsoft Entra to `viewer`, `support`, "
            "`operator` or `auditor`. The highest of a person's roles counts."),
    Setting(name="RELAY_TELEMETRY", default="",
        meaning="Metrics and traces: `otlp` to OTEL_EXPORTER_OTLP_ENDPOINT, `azure` to Application Insights. Empty: none."),
    Setting(name="SENDGRID_API_KEY", default="", meaning="The SendGrid API key, if no vault is used.", is_secret=True),
)
# fmt: on


type EntraRole = Literal["viewer", "support", "operator", "auditor"]
"""A role that an app role or a group may have. An application that sends is named by its client instead."""


class Lane(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named outbound queue with its own pace. `shards` queues share its load; durations are seconds."""

    shards: int = 1
    expires_in_seconds: int | None = None
    retry_min_seconds: float = 15.0
    retry_max_seconds: float = 3600.0

    def queues(self, name: str) -> tuple[str, ...]:
        """Return the names of the lane's storage queues: `relay-<lane>`, then `relay-<lane>-2` and so on."""
        return tuple(f"relay-{name}" if shard == 1 else f"relay-{name}-{shard}" for shard in range(1, self.shards + 1))


class Pace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit shared by all instances: `count` sends in `seconds`, for `resource` (default: the route itself).

    `resource` may contain `{sender}`: a limit for each sender address (a Graph mailbox).
    """

    count: int
    seconds: float
    resource: str = ""


class RecipientBudget(msgspec.Struct, frozen=True, kw_only=True):
    """A route's limits of external recipients in 24 hours.

    `tenant` names the account that the limits belong to; routes of the same account count together. `per_tenant` and
    `per_mailbox` are limits, or None. From addresses in subdomains of `limited_domain` share a limit of their own,
    `per_limited_domain`. Recipients in `internal_domains` (`contoso.com`, `*.contoso.com`) are not counted. `mailbox` is the
    mailbox that sends; empty: that of the From address. `reroutes`: mail takes another route while this budget is spent.
    """

    tenant: str
    per_tenant: int | None = None
    per_mailbox: int | None = None
    limited_domain: str = ""
    per_limited_domain: int = 0
    internal_domains: tuple[str, ...] = ()
    mailbox: str = ""
    reroutes: bool = True

    def is_external(self, domain: str) -> bool:
        """Return whether recipients in this domain count against the budget."""
        return not any(_covers(pattern, domain.lower()) for pattern in self.internal_domains)

    def is_limited_sender(self, domain: str) -> bool:
        """Return whether a From address in this domain shares the limit of `limited_domain`."""
        return bool(self.limited_domain) and domain.lower().endswith(f".{self.limited_domain}")


def _covers(pattern: str, domain: str) -> bool:
    return domain == pattern or (pattern.startswith("*.") and domain.endswith(pattern[1:]))


type RouteSettings = Mapping[str, Any]
"""The provider's own settings of a route."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A configured use of a provider. `senders` are patterns (`*`, `*@example.com`) of From addresses it may send for."""

    name: str
    provider: str
    settings: RouteSettings = {}
    senders: tuple[str, ...] = ("*",)
    concurrency: int = 16
    paces: tuple[Pace, ...] = ()

    def __repr__(self) -> str:
        return f"Route(name={self.name!r}, provider={self.provider!r})"


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The conditions of a rule; a message must meet all that are given. Domains may begin with `*.`."""

    sender_domains: tuple[str, ...] = ()
    recipient_domains: tuple[str, ...] = ()
    lanes: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    min_bytes: int | None = None
    max_bytes: int | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A routing rule: the routes to use, in order of preference."""

    routes: tuple[str, ...]
    when: When = When()


class BounceMailbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mailbox that receives bounces, and the route whose identity may read it. `replies`: read replies to mail too."""

    route: str
    mailbox: str
    replies: bool = False


class MessageTrace(msgspec.Struct, frozen=True, kw_only=True):
    """The message trace of an Exchange Online tenant: the Graph routes that send in it, and the identity that may read it."""

    routes: tuple[str, ...]
    settings: RouteSettings = {}

    def __repr__(self) -> str:
        return f"MessageTrace(routes={list(self.routes)})"


class SuppressionRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The effect of a reason to suppress an address: for all clients or for one, and for how many days (0: forever)."""

    for_all: bool
    days: int


type _Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
type _Least = Annotated[int, msgspec.Meta(ge=1)]


class BrakeLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rates from which a client's mail is held, as shares of the sent copies, and the minimum counts that a rate needs.

    Without `is_on` no client is held any more.
    """

    is_on: bool = True
    bounce_rate: _Share = 0.1
    """Amazon SES may stop an account whose hard bounces exceed 10 %
    (docs.aws.amazon.com/ses/latest/dg/reputation-dashboard-dg.html, and faqs-enforcement.html)."""
    min_bounced: _Least = 20
    bounces_of: _Least = 200
    complaint_rate: _Share = 0.003
    """Google and Yahoo ask every sender to stay below 0.3 % (support.google.com/a/answer/81126 and
    senders.yahooinc.com/best-practices); Amazon SES may stop an account above 0.5 %."""
    min_complained: _Least = 10
    complaints_of: _Least = 1_000


SUPPRESSION_RULES: Mapping[str, SuppressionRule] = {
    # A missing mailbox is missing for every client, but addresses can be assigned again.
    "bounced": SuppressionRule(for_all=True, days=180),
    "complained": SuppressionRule(for_all=False, days=0),
    "unsubscribed": SuppressionRule(for_all=False, days=0),
    "manual": SuppressionRule(for_all=False, days=0),
    # The provider will not send to the address for any client.
    "provider": SuppressionRule(for_all=True, days=180),
}
"""Every reason to suppress an address, and its effect unless RELAY_SUPPRESSIONS says otherwise."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of one process. `application` is the raw mapping that secrets and storage read; never shown."""

    routes: Mapping[str, Route]
    rules: tuple[Rule, ...]
    lanes: Mapping[str, Lane]
    expires_in_seconds: int
    retention_days: int
    max_message_bytes: int
    max_waiting_messages: int
    max_waiting_bytes: int
    public_url: str
    key_vault_url: str
    attempt_seconds: int = 480
    audit_days: int = 400
    audit_archive: bool = False
    instance_memory_mb: int = 2048
    sendgrid_event_keys: tuple[str, ...] = ()
    event_grid_secret: str = ""
    bounce_mailboxes: tuple[BounceMailbox, ...] = ()
    message_traces: tuple[MessageTrace, ...] = ()
    suppression_rules: Mapping[str, SuppressionRule] = msgspec.field(default_factory=lambda: SUPPRESSION_RULES)
    brake: BrakeLimits = BrakeLimits()
    webhooks_allow_loopback: bool = False
    entra_tenants: tuple[str, ...] = ()
    entra_roles: Mapping[str, EntraRole] = {}
    telemetry: str = ""
    application: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Settings(routes={list(self.routes)}, lanes={list(self.lanes)})"

    @property
    def memory(self) -> "MemoryLimits":
        """The limits of bytes that follow from the memory of an instance."""
        from relay.core.memory import memory_limits

        return memory_limits(self.instance_memory_mb)

    def lane_expiry(self, lane: str) -> int:
        """Return the lifetime of a message of this lane in seconds, unless its caller sets one."""
        return self.lanes.get(lane, Lane()).expires_in_seconds or self.expires_in_seconds


DEFAULT_LANE = "transactional"
"""The lane of messages that name no lane, or one that is no longer configured. It always exists."""
DEFAULT_LANES = {DEFAULT_LANE: Lane(), "bulk": Lane()}


class BrakePolicy(StrEnum):
    """The lanes of a client that Relay holds when too much of its mail on them bounces or is reported as spam."""

    BULK = "bulk"
    """Every lane but `transactional`."""
    ALL = "all"
    """Every lane."""
    OFF = "off"
    """None."""

    def covers(self, lane: str) -> bool:
        """Return whether the policy holds this lane."""
        return self is BrakePolicy.ALL or (self is BrakePolicy.BULK and lane != DEFAULT_LANE)


def queues_for(lanes: Mapping[str, Lane], lane: str) -> tuple[str, ...]:
    """Return the queues of a lane, or those of the default lane if this one is no longer configured."""
    name = lane if lane in lanes else DEFAULT_LANE
    return lanes.get(name, Lane()).queues(name)
