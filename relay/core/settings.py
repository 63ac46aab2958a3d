"""Everything that can be configured, in one frozen object. All wrong values are reported at once.

`SETTINGS` is the single list of names: documentation, the sample file and the infrastructure are tested against it.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from relay.core.errors import SettingsError
from relay.core.settings_checks import lane_faults, route_faults, rule_faults, telemetry_faults, url_faults


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """An application setting: its name, its default as text, and what it means."""

    name: str
    default: str
    meaning: str
    is_secret: bool = False


SETTINGS = (
    Setting(
        name="RELAY_ROUTES",
        default="",
        meaning="JSON object: route name to {provider, …}. Empty: `sendgrid` when SENDGRID_API_KEY is set, else `capture`.",
    ),
    Setting(
        name="RELAY_ROUTING",
        default="",
        meaning="JSON array of rules {when, routes}; the first that matches decides. Empty: the first route.",
    ),
    Setting(
        name="RELAY_LANES",
        default="",
        meaning="JSON object: lane name to {shards, expires_in_seconds, retry_min_seconds, retry_max_seconds}.",
    ),
    Setting(name="RELAY_EXPIRES_IN_SECONDS", default="86400", meaning="How long a message may try, by default."),
    Setting(
        name="RELAY_ATTEMPT_SECONDS",
        default="480",
        meaning="Seconds that an attempt may take until it is recorded; later it counts as interrupted. The host leases 600.",
    ),
    Setting(name="RELAY_RETENTION_DAYS", default="14", meaning="How long records and content are kept."),
    Setting(
        name="RELAY_MAX_MESSAGE_BYTES",
        default="31457280",
        meaning="Largest message accepted, in bytes on the wire.",
    ),
    Setting(
        name="RELAY_MAX_WAITING_MESSAGES",
        default="2000",
        meaning="Submissions one process may hold before storage has them; more are answered 503.",
    ),
    Setting(
        name="RELAY_MAX_WAITING_BYTES",
        default="134217728",
        meaning="Bytes of submissions one process may hold before storage has them; more are answered 503.",
    ),
    Setting(
        name="RELAY_PUBLIC_URL",
        default="",
        meaning="The address callers use, for links in answers. Empty: the address of the request.",
    ),
    Setting(
        name="RELAY_KEY_VAULT_URL",
        default="",
        meaning="The vault that `vault:NAME` references are read from.",
    ),
    Setting(
        name="RELAY_SENDGRID_EVENT_KEYS",
        default="",
        meaning="Verification keys (public) of SendGrid's Event Webhook, with commas between. Empty: its posts are refused.",
    ),
    Setting(
        name="RELAY_EVENT_GRID_SECRET",
        default="",
        meaning="Reference to the secret that Event Grid sends with its posts. Empty: they are refused.",
    ),
    Setting(
        name="RELAY_BOUNCE_MAILBOXES",
        default="",
        meaning="JSON array of {route, mailbox}: Exchange Online mailboxes whose Inbox is read for bounces, by a Graph route.",
    ),
    Setting(
        name="RELAY_SUPPRESSIONS",
        default="",
        meaning="JSON object: reason to {for_all, days}: whom it concerns and how long. Empty: as docs/reference/events.md says.",
    ),
    Setting(
        name="RELAY_WEBHOOKS_ALLOW_LOOPBACK",
        default="",
        meaning="`true`: web hooks may go to this machine, also by http. For development; otherwise a forgery.",
    ),
    Setting(
        name="RELAY_TELEMETRY",
        default="",
        meaning="Metrics and traces: `otlp` to OTEL_EXPORTER_OTLP_ENDPOINT, `azure` to Application Insights. Empty: none.",
    ),
    Setting(
        name="SENDGRID_API_KEY",
        default="",
        meaning="The SendGrid key, where no vault is used.",
        is_secret=True,
    ),
)


class Lane(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named outbound queue with its own pace. `shards` queues share its load; durations are seconds."""

    shards: int = 1
    expires_in_seconds: int | None = None
    retry_min_seconds: float = 15.0
    retry_max_seconds: float = 3600.0

    def queues(self, name: str) -> tuple[str, ...]:
        """The names of the lane's storage queues: `relay-<lane>`, then `relay-<lane>-2` and on."""
        return tuple(f"relay-{name}" if shard == 1 else f"relay-{name}-{shard}" for shard in range(1, self.shards + 1))


class Pace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit shared by all instances: `count` sends in `seconds`, for `resource` (default: the route itself).

    `resource` may contain `{sender}`: a limit for each sender address (a Graph mailbox).
    """

    count: int
    seconds: float
    resource: str = ""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A configured use of a provider. `senders` are patterns (`*`, `*@example.com`) of From addresses it may send for."""

    name: str
    provider: str
    settings: Mapping[str, Any] = {}
    senders: tuple[str, ...] = ("*",)
    concurrency: int = 16
    paces: tuple[Pace, ...] = ()

    def __repr__(self) -> str:
        return f"Route(name={self.name!r}, provider={self.provider!r})"


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a rule asks of a message; everything that is given must hold. Domains may begin with `*.`."""

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
    """A mailbox that bounces come to, and the route whose identity may read it."""

    route: str
    mailbox: str


class SuppressionRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a reason to suppress an address means: for all clients or for one, and for how many days (0: for ever)."""

    for_all: bool
    days: int


SUPPRESSION_RULES: Mapping[str, SuppressionRule] = {
    # Where there is no mailbox, there is none for anybody; but addresses come back.
    "bounced": SuppressionRule(for_all=True, days=180),
    "complained": SuppressionRule(for_all=False, days=0),
    "unsubscribed": SuppressionRule(for_all=False, days=0),
    "manual": SuppressionRule(for_all=False, days=0),
    # What a provider will not send anyway, whoever asks for it.
    "provider": SuppressionRule(for_all=True, days=180),
}
"""Every reason to suppress an address, and what it means unless RELAY_SUPPRESSIONS says otherwise."""


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
    sendgrid_event_keys: tuple[str, ...] = ()
    event_grid_secret: str = ""
    bounce_mailboxes: tuple[BounceMailbox, ...] = ()
    suppression_rules: Mapping[str, SuppressionRule] = msgspec.field(default_factory=lambda: SUPPRESSION_RULES)
    webhooks_allow_loopback: bool = False
    telemetry: str = ""
    application: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Settings(routes={list(self.routes)}, lanes={list(self.lanes)})"

    def lane_expiry(self, lane: str) -> int:
        """Seconds a message of this lane may try, unless its caller says otherwise."""
        return self.lanes.get(lane, Lane()).expires_in_seconds or self.expires_in_seconds


DEFAULT_LANES = {"transactional": Lane(), "bulk": Lane()}
_OF_EVENTS = ("RELAY_SENDGRID_EVENT_KEYS", "RELAY_EVENT_GRID_SECRET", "RELAY_BOUNCE_MAILBOXES", "RELAY_SUPPRESSIONS")
_ROUTE_KEYS = ("provider", "senders", "concurrency", "paces")


def load_lanes(environment: Mapping[str, str]) -> Mapping[str, Lane]:
    """The lanes alone: the triggers need their queue names before anything else is read. Raises `SettingsError`."""
    problems: list[str] = []
    lanes = _lanes(environment, problems)
    if problems:
        raise SettingsError(problems)
    return lanes


def load(environment: Mapping[str, str]) -> Settings:
    """Read and check everything. Raises `SettingsError` with every fault."""
    problems: list[str] = []
    routes, lanes = _routes(environment, problems), _lanes(environment, problems)
    settings = Settings(
        routes=routes,
        rules=_rules(environment, routes, lanes, problems),
        lanes=lanes,
        expires_in_seconds=_number(environment, "RELAY_EXPIRES_IN_SECONDS", 60, 2_592_000, problems),
        attempt_seconds=_number(environment, "RELAY_ATTEMPT_SECONDS", 10, 540, problems),
        retention_days=_number(environment, "RELAY_RETENTION_DAYS", 1, 365, problems),
        max_message_bytes=_number(environment, "RELAY_MAX_MESSAGE_BYTES", 10_000, 157_286_400, problems),
        max_waiting_messages=_number(environment, "RELAY_MAX_WAITING_MESSAGES", 32, 100_000, problems),
        max_waiting_bytes=_number(environment, "RELAY_MAX_WAITING_BYTES", 1_000_000, 2**31, problems),
        public_url=_text(environment, "RELAY_PUBLIC_URL").rstrip("/"),
        key_vault_url=_text(environment, "RELAY_KEY_VAULT_URL"),
        sendgrid_event_keys=tuple(
            filter(None, map(str.strip, _text(environment, "RELAY_SENDGRID_EVENT_KEYS").split(",")))
        ),
        event_grid_secret=_text(environment, "RELAY_EVENT_GRID_SECRET"),
        bounce_mailboxes=_json(environment, "RELAY_BOUNCE_MAILBOXES", tuple[BounceMailbox, ...], (), problems),
        suppression_rules={
            **SUPPRESSION_RULES,
            **_json(environment, "RELAY_SUPPRESSIONS", dict[str, SuppressionRule], {}, problems),
        },
        webhooks_allow_loopback=_text(environment, "RELAY_WEBHOOKS_ALLOW_LOOPBACK").lower() == "true",
        telemetry=_text(environment, "RELAY_TELEMETRY").lower(),
        application=dict(environment),
    )
    for name, url in (("RELAY_PUBLIC_URL", settings.public_url), ("RELAY_KEY_VAULT_URL", settings.key_vault_url)):
        problems += url_faults(name, url)
    problems += telemetry_faults(settings.telemetry, environment)
    if any(_text(environment, name) for name in _OF_EVENTS):
        from relay.bootstrap.config_checks import event_faults

        problems += event_faults(settings)
    if problems:
        raise SettingsError(problems)
    return settings


_DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


def _text(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name, "").strip() or _DEFAULTS[name]


def _number(environment: Mapping[str, str], name: str, least: int, most: int, problems: list[str]) -> int:
    text = _text(environment, name)
    try:
        value = int(text)
    except ValueError:
        problems.append(f"{name}: must be a whole number from {least} to {most}")
        return least
    if not least <= value <= most:
        problems.append(f"{name}: must be from {least} to {most}")
    return value


def _json[T](environment: Mapping[str, str], name: str, shape: type[T], default: T, problems: list[str]) -> T:
    text = _text(environment, name)
    if not text:
        return default
    try:
        return msgspec.convert(json.loads(text), shape)
    except json.JSONDecodeError as error:
        problems.append(f"{name}: not JSON (line {error.lineno}, column {error.colno})")
    except msgspec.ValidationError as error:
        problems.append(f"{name}: {error}")
    return default


def _lanes(environment: Mapping[str, str], problems: list[str]) -> Mapping[str, Lane]:
    lanes = _json(environment, "RELAY_LANES", dict[str, Lane], DEFAULT_LANES, problems)
    if "transactional" not in lanes:
        lanes = {"transactional": Lane(), **lanes}
    for name, lane in lanes.items():
        problems += lane_faults(name, lane)
    return lanes


def _routes(environment: Mapping[str, str], problems: list[str]) -> Mapping[str, Route]:
    declared = _json(environment, "RELAY_ROUTES", dict[str, dict[str, Any]], {}, problems)
    if not declared:
        has_key = bool(environment.get("SENDGRID_API_KEY", "").strip())
        declared = {"sendgrid": {"provider": "sendgrid"}} if has_key else {"capture": {"provider": "capture"}}
    routes = {name: _route(name, values, problems) for name, values in declared.items()}
    return {name: route for name, route in routes.items() if route is not None}


def _route(name: str, values: Mapping[str, Any], problems: list[str]) -> Route | None:
    where = f"RELAY_ROUTES.{name}"
    own = {key: value for key, value in values.items() if key in _ROUTE_KEYS}
    settings = {key: value for key, value in values.items() if key not in _ROUTE_KEYS}
    try:
        route = msgspec.convert({"name": name, "settings": settings, **own}, Route)
    except msgspec.ValidationError as error:
        problems.append(f"{where}: {error}")
        return None
    faults = _provider_faults(route)
    problems += route_faults(route)
    problems += [f"{where}.{fault}" for fault in faults]
    return route if faults or "paces" in own else msgspec.structs.replace(route, paces=_vendors_paces(route))


def _provider_faults(route: Route) -> list[str]:
    from relay.providers.registry import MODULES, provider_module

    if route.provider not in MODULES:
        return [f"provider: must be one of {', '.join(MODULES)}"]
    check: Callable[[Mapping[str, Any]], Any] = provider_module(route.provider).check_settings
    return list(check(route.settings))


def _vendors_paces(route: Route) -> tuple[Pace, ...]:
    """The pace that the vendor keeps anyway, for a route that names none."""
    from relay.providers.registry import provider_module

    known: Callable[[Mapping[str, Any]], tuple[Pace, ...]] | None
    known = getattr(provider_module(route.provider), "default_paces", None)
    return known(route.settings) if known is not None else ()


def _rules(
    environment: Mapping[str, str], routes: Mapping[str, Route], lanes: Mapping[str, Lane], problems: list[str]
) -> tuple[Rule, ...]:
    rules = _json(environment, "RELAY_ROUTING", tuple[Rule, ...], (), problems)
    for number, rule in enumerate(rules):
        problems += rule_faults(number, rule, routes, lanes)
    fallback = Rule(routes=tuple(routes)[:1])
    return (*rules, fallback)
