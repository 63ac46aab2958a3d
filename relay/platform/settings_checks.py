"""Check well-formed settings. Each check yields all problems as sentences that begin with the setting's name."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay.core.settings import Lane, Pace, Route, Rule

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
"""Hosts for which http is as safe as https, because nothing leaves the machine."""
MAX_EXPIRES_IN_SECONDS = 2_592_000
_LANE_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]{1,32}")
_ROUTE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_URL = re.compile(r"https?://[^/\s?#]+[^\s?#]*")
_TARGET_SETTINGS = {"otlp": "OTEL_EXPORTER_OTLP_ENDPOINT", "azure": "APPLICATIONINSIGHTS_CONNECTION_STRING"}


def lane_problems(name: str, lane: "Lane") -> Iterator[str]:
    """Yield the problems of one lane."""
    where = f"RELAY_LANES.{name}"
    if not _LANE_NAME.fullmatch(name):
        yield f"{where}: a lane's name is 1 to 32 lower-case letters and digits"
    if not 1 <= lane.shards <= 32:
        yield f"{where}.shards: must be from 1 to 32"
    if not 0 < lane.retry_min_seconds <= lane.retry_max_seconds <= 86_400:
        yield f"{where}: retry_min_seconds must be above 0 and not above retry_max_seconds (a day at most)"
    if lane.expires_in_seconds is not None and not 60 <= lane.expires_in_seconds <= MAX_EXPIRES_IN_SECONDS:
        yield f"{where}.expires_in_seconds: must be from 60 to {MAX_EXPIRES_IN_SECONDS}"


def route_problems(route: "Route") -> Iterator[str]:
    """Yield the problems of the settings that every provider's routes have."""
    where = f"RELAY_ROUTES.{route.name}"
    if not _ROUTE_NAME.fullmatch(route.name):
        yield f"{where}: a route's name is 1 to 64 letters, digits, dashes and underscores"
    if not 1 <= route.concurrency <= 1000:
        yield f"{where}.concurrency: must be from 1 to 1000"
    if not route.senders:
        yield f"{where}.senders: must name at least one pattern; * admits every sender"
    for number, pattern in enumerate(route.senders):
        if pattern != "*" and "@" not in pattern:
            yield f"{where}.senders[{number}]: must be *, an address, or *@domain"
    for number, pace in enumerate(route.paces):
        yield from _pace_problems(f"{where}.paces[{number}]", pace)


def rule_problems(number: int, rule: "Rule", routes: Collection[str], lanes: Collection[str]) -> Iterator[str]:
    """Yield the problems of one routing rule, such as unknown routes and lanes."""
    where = f"RELAY_ROUTING[{number}]"
    if not rule.routes:
        yield f"{where}.routes: must name a route"
    for name in rule.routes:
        if name not in routes:
            yield f"{where}.routes: there is no route named {name!r}"
    for name in rule.when.lanes:
        if name not in lanes:
            yield f"{where}.when.lanes: there is no lane named {name!r}"


def url_problems(name: str, url: str) -> Iterator[str]:
    """Yield the problem of a URL, which may be empty."""
    if url and not _URL.fullmatch(url):
        yield f"{name}: must be a URL that begins with https://, without a query"


def telemetry_problems(kind: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the problems of RELAY_TELEMETRY and of the setting that it needs."""
    if kind and kind not in _TARGET_SETTINGS:
        yield f"RELAY_TELEMETRY: must be {' or '.join(_TARGET_SETTINGS)}, or empty"
    elif kind and not environment.get(_TARGET_SETTINGS[kind], "").strip():
        yield f"RELAY_TELEMETRY: {kind} needs {_TARGET_SETTINGS[kind]}"
    elif kind == "otlp":
        yield from url_problems(_TARGET_SETTINGS[kind], environment[_TARGET_SETTINGS[kind]].strip())


def _pace_problems(where: str, pace: "Pace") -> Iterator[str]:
    if pace.count < 1:
        yield f"{where}.count: must be 1 or more"
    if not 0 < pace.seconds <= 86_400:
        yield f"{where}.seconds: must be above 0 and at most a day"
