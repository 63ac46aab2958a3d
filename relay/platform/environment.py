"""Read the settings from environment variables. All wrong values are reported at once.

`relay.bootstrap.configuration` makes the checks that need the code of providers or events, because the triggers read only the
lanes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from relay.core.errors import SettingsError
from relay.core.settings import (
    DEFAULT_LANE,
    DEFAULT_LANES,
    SETTINGS,
    SUPPRESSION_RULES,
    BounceMailbox,
    BrakeLimits,
    EntraRole,
    Lane,
    MessageTrace,
    Pace,
    Route,
    Rule,
    Settings,
    SuppressionRule,
)
from relay.platform.settings_checks import (
    lane_problems,
    route_problems,
    rule_problems,
    telemetry_problems,
    url_problems,
)

_ROUTE_KEYS = ("provider", "senders", "concurrency", "paces")


def load_lanes(environment: Mapping[str, str]) -> Mapping[str, Lane]:
    """Read only the lanes: the triggers need their queue names before anything else is read. Raises `SettingsError`."""
    problems: list[str] = []
    lanes = _lanes(environment, problems)
    if problems:
        raise SettingsError(problems)
    return lanes


class ProviderFacts(Protocol):
    """The facts that reading the settings needs from providers, whose code is in a room above."""

    def problems(self, route: Route) -> Sequence[str]:
        """Return each problem of the route's own settings, beginning with the key."""

    def default_paces(self, route: Route) -> tuple[Pace, ...]:
        """Return the vendor's own limits, for a route that names no paces."""


def read_settings(environment: Mapping[str, str], providers: ProviderFacts, problems: list[str]) -> Settings:
    """Read every setting and append each problem found to `problems`."""
    from relay.core.memory import memory_limits

    routes, lanes = _routes(environment, providers, problems), _lanes(environment, problems)
    memory_mb = _number(environment, "RELAY_INSTANCE_MEMORY_MB", 256, 65_536, problems)
    max_message_bytes = _number(environment, "RELAY_MAX_MESSAGE_BYTES", 10_000, 157_286_400, problems)
    settings = Settings(
        routes=routes,
        rules=_rules(environment, routes, lanes, problems),
        lanes=lanes,
        expires_in_seconds=_number(environment, "RELAY_EXPIRES_IN_SECONDS", 60, 2_592_000, problems),
        attempt_seconds=_number(environment, "RELAY_ATTEMPT_SECONDS", 10, 540, problems),
        retention_days=_number(environment, "RELAY_RETENTION_DAYS", 1, 365, problems),
        audit_days=_number(environment, "RELAY_AUDIT_DAYS", 1, 3650, problems),
        audit_archive=_text(environment, "RELAY_AUDIT_ARCHIVE").lower() == "true",
        instance_memory_mb=memory_mb,
        max_message_bytes=min(max_message_bytes, memory_limits(memory_mb).body_bytes),
        max_waiting_messages=_number(environment, "RELAY_MAX_WAITING_MESSAGES", 32, 100_000, problems),
        max_waiting_bytes=_number(environment, "RELAY_MAX_WAITING_BYTES", 1_000_000, 2**31, problems),
        public_url=_text(environment, "RELAY_PUBLIC_URL").rstrip("/"),
        key_vault_url=_text(environment, "RELAY_KEY_VAULT_URL"),
        sendgrid_event_keys=_listed(environment, "RELAY_SENDGRID_EVENT_KEYS"),
        event_grid_secret=_text(environment, "RELAY_EVENT_GRID_SECRET"),
        bounce_mailboxes=_json(environment, "RELAY_BOUNCE_MAILBOXES", tuple[BounceMailbox, ...], (), problems),
        message_traces=_message_traces(environment, problems),
        suppression_rules={
            **SUPPRESSION_RULES,
            **_json(environment, "RELAY_SUPPRESSIONS", dict[str, SuppressionRule], {}, problems),
        },
        brake=_json(environment, "RELAY_BRAKE", BrakeLimits, BrakeLimits(), problems),
        webhooks_allow_loopback=_text(environment, "RELAY_WEBHOOKS_ALLOW_LOOPBACK").lower() == "true",
        entra_tenants=_listed(environment, "RELAY_ENTRA_TENANTS"),
        entra_roles=_json(environment, "RELAY_ENTRA_ROLES", dict[str, EntraRole], {}, problems),
        telemetry=_text(environment, "RELAY_TELEMETRY").lower(),
        application=dict(environment),
    )
    for name, url in (("RELAY_PUBLIC_URL", settings.public_url), ("RELAY_KEY_VAULT_URL", settings.key_vault_url)):
        problems += url_problems(name, url)
    if any(not _TENANT.fullmatch(tenant) for tenant in settings.entra_tenants):
        problems.append(
            "RELAY_ENTRA_TENANTS: a tenant is named by its id, such as 72f988bf-86f1-41af-91ab-2d7cd011db47"
        )
    if settings.entra_roles and not settings.entra_tenants:
        problems.append("RELAY_ENTRA_ROLES: no tenant may sign in, because RELAY_ENTRA_TENANTS is empty")
    problems += telemetry_problems(settings.telemetry, environment)
    return settings


_TENANT = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


def _text(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name, "").strip() or _DEFAULTS[name]


def _listed(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, _text(environment, name).split(","))))


def _number(environment: Mapping[str, str], name: str, minimum: int, maximum: int, problems: list[str]) -> int:
    text = _text(environment, name)
    try:
        value = int(text)
    except ValueError:
        problems.append(f"{name}: must be a whole number from {minimum} to {maximum}")
        return minimum
    if not minimum <= value <= maximum:
        problems.append(f"{name}: must be from {minimum} to {maximum}")
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
    if DEFAULT_LANE not in lanes:
        lanes = {DEFAULT_LANE: Lane(), **lanes}
    for name, lane in lanes.items():
        problems += lane_problems(name, lane)
    return lanes


def _message_traces(environment: Mapping[str, str], problems: list[str]) -> tuple[MessageTrace, ...]:
    name = "RELAY_MESSAGE_TRACE"
    found: list[MessageTrace] = []
    for number, values in enumerate(_json(environment, name, tuple[dict[str, Any], ...], (), problems)):
        settings = {key: value for key, value in values.items() if key != "routes"}
        try:
            found.append(msgspec.convert({"routes": values.get("routes"), "settings": settings}, MessageTrace))
        except msgspec.ValidationError as error:
            problems.append(f"{name}[{number}]: {error}")
    return tuple(found)


def _routes(environment: Mapping[str, str], providers: ProviderFacts, problems: list[str]) -> Mapping[str, Route]:
    declared = _json(environment, "RELAY_ROUTES", dict[str, dict[str, Any]], {}, problems)
    if not declared:
        has_key = bool(environment.get("SENDGRID_API_KEY", "").strip())
        declared = {"sendgrid": {"provider": "sendgrid"}} if has_key else {"capture": {"provider": "capture"}}
    routes = {name: _route(name, values, providers, problems) for name, values in declared.items()}
    return {name: route for name, route in routes.items() if route is not None}


def _route(name: str, values: Mapping[str, Any], providers: ProviderFacts, problems: list[str]) -> Route | None:
    where = f"RELAY_ROUTES.{name}"
    own = {key: value for key, value in values.items() if key in _ROUTE_KEYS}
    settings = {key: value for key, value in values.items() if key not in _ROUTE_KEYS}
    try:
        route = msgspec.convert({"name": name, "settings": settings, **own}, Route)
    except msgspec.ValidationError as error:
        problems.append(f"{where}: {error}")
        return None
    own_problems = providers.problems(route)
    problems += route_problems(route)
    problems += [f"{where}.{problem}" for problem in own_problems]
    if own_problems or "paces" in own:
        return route
    return msgspec.structs.replace(route, paces=providers.default_paces(route))


def _rules(
    environment: Mapping[str, str], routes: Mapping[str, Route], lanes: Mapping[str, Lane], problems: list[str]
) -> tuple[Rule, ...]:
    rules = _json(environment, "RELAY_ROUTING", tuple[Rule, ...], (), problems)
    for number, rule in enumerate(rules):
        problems += rule_problems(number, rule, routes, lanes)
    fallback = Rule(routes=tuple(routes)[:1])
    return (*rules, fallback)
