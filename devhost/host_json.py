"""Read host.json, with defaults, ranges and overrides from the environment.

Behavior follows azure-functions-host (ScriptJobHostOptionsSetup, HttpOptions) and the Storage.Queues extension
(QueuesOptions).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from devhost.settings import HostConfigurationError, json_object

OVERRIDE_PREFIX = "AzureFunctionsJobHost__"
UNSUPPORTED = (
    "concurrency",
    "extensions.http.hsts",
    "extensions.http.maxConcurrentRequests",
    "extensions.http.dynamicThrottlesEnabled",
)
A_MINUTE = timedelta(minutes=1)
MAX_INT = 2**31 - 1

_TIMESPAN = re.compile(
    r"(?P<sign>-)?(?:(?P<days>\d+)\.)?(?P<hours>\d{1,2}):(?P<minutes>\d{1,2})(?::(?P<seconds>\d{1,2}(?:\.\d{1,7})?))?"
)


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """host.json `extensions.queues`. Times are timedeltas."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_polling_interval: timedelta = A_MINUTE
    max_dequeue_count: int = 5
    visibility_timeout: timedelta = timedelta(0)
    is_base64: bool = True


class HostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """host.json, with overrides applied. None means no limit for `function_timeout` and `max_outstanding_requests`."""

    route_prefix: str = "api"
    function_timeout: timedelta | None = timedelta(minutes=30)
    max_outstanding_requests: int | None = None
    custom_headers: tuple[tuple[str, str], ...] = ()
    log_level: str = "Information"
    queues: QueueSettings = QueueSettings()
    ignored: tuple[str, ...] = ()


def parse_timespan(text: str) -> timedelta:
    """Parse a .NET TimeSpan: `[-][d.]hh:mm[:ss[.fffffff]]`; a bare number is DAYS. Raises ValueError."""
    stripped = text.strip()
    try:
        if re.fullmatch(r"-?\d+", stripped):
            return timedelta(days=int(stripped))
        match = _TIMESPAN.fullmatch(stripped)
        if match is None:
            raise ValueError(f"{text!r} is not a time span such as '00:00:02'")
        hours, minutes = int(match["hours"]), int(match["minutes"])
        seconds = float(match["seconds"] or 0)
        if hours > 23 or minutes > 59 or seconds >= 60:
            raise ValueError(f"{text!r} is not a time span: hours end at 23, minutes and seconds at 59")
        span = timedelta(days=int(match["days"] or 0), hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError as error:
        raise ValueError(f"{text!r} is too long a time span") from error
    return -span if match["sign"] else span


def read_host_json(
    text: str, environment: Mapping[str, str], *, processors: int, shortens_polling: bool = True
) -> HostSettings:
    """Parse the text of host.json. Raises HostConfigurationError with every wrong value.

    With `shortens_polling`, a maxPollingInterval of one minute becomes two seconds, as in `func start`.
    """
    reader = _Reader(_with_overrides(json_object(text, "host.json"), environment))
    version = reader.raw("version")
    if version != "2.0":
        reader.problems.append(f"host.json: 'version' must be \"2.0\", not {version!r}.")
    settings = HostSettings(
        route_prefix=reader.text("extensions.http.routePrefix", "api").strip("/"),
        function_timeout=_function_timeout(reader),
        max_outstanding_requests=_outstanding(reader),
        custom_headers=_custom_headers(reader),
        log_level=reader.text("logging.logLevel.default", "Information"),
        queues=_queue_settings(reader, processors, shortens_polling=shortens_polling),
        ignored=tuple(path for path in UNSUPPORTED if reader.raw(path) is not None),
    )
    if reader.problems:
        raise HostConfigurationError("\n".join(reader.problems))
    return settings


class _Reader:
    """Reads typed values from host.json and collects all problems, so that one error reports them together."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content
        self.problems: list[str] = []

    def raw(self, path: str) -> Any:
        node: Any = self._content
        for part in path.split("."):
            found = _key_of(node, part) if isinstance(node, dict) else None
            if found is None:
                return None
            node = node[found]
        return node

    def number(self, path: str, default: int, minimum: int, maximum: int) -> int:
        value = self.raw(path)
        if value is None:
            return default
        number = _whole(value)
        if number is None or not minimum <= number <= maximum:
            self.problems.append(
                f"host.json: '{path}' is {value!r}; it must be a whole number from {minimum} to {maximum}."
            )
            return default
        return number

    def span(self, path: str, default: timedelta, minimum: timedelta) -> timedelta:
        value = self.raw(path)
        if value is None:
            return default
        try:
            span = parse_timespan(str(value))
        except ValueError as error:
            self.problems.append(f"host.json: '{path}': {error}.")
            return default
        if span < minimum:
            self.problems.append(f"host.json: '{path}' is {value!r}; it must be at least {minimum}.")
        return span

    def text(self, path: str, default: str) -> str:
        value = self.raw(path)
        return default if value is None else str(value)


def _whole(value: object) -> int | None:
    """Return a JSON integer, or the number in an override from the environment."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d+\s*", value, re.ASCII):
        return int(value)
    return None


def _key_of(node: Mapping[str, Any], name: str) -> str | None:
    """Return the key that equals `name`, ignoring case."""
    return next((key for key in node if key.lower() == name.lower()), None)


def _function_timeout(reader: _Reader) -> timedelta | None:
    if str(reader.raw("functionTimeout")) in {"-1", "-1.00:00:00"}:
        return None
    return reader.span("functionTimeout", timedelta(minutes=30), timedelta(seconds=1))


def _outstanding(reader: _Reader) -> int | None:
    limit = reader.number("extensions.http.maxOutstandingRequests", -1, -1, MAX_INT)
    return limit if limit >= 0 else None


def _custom_headers(reader: _Reader) -> tuple[tuple[str, str], ...]:
    headers = reader.raw("extensions.http.customHeaders")
    if headers is None:
        return ()
    if not isinstance(headers, dict):
        reader.problems.append("host.json: 'extensions.http.customHeaders' must be an object of names and values.")
        return ()
    return tuple((name, str(value)) for name, value in headers.items())


def _queue_settings(reader: _Reader, processors: int, *, shortens_polling: bool) -> QueueSettings:
    section = "extensions.queues"
    batch_size = reader.number(f"{section}.batchSize", 16, 1, 32)
    encoding = reader.text(f"{section}.messageEncoding", "base64").lower()
    if encoding not in {"base64", "none"}:
        reader.problems.append(f"host.json: '{section}.messageEncoding' is {encoding!r}; it must be base64 or none.")
    polling = reader.span(f"{section}.maxPollingInterval", A_MINUTE, timedelta(milliseconds=100))
    return QueueSettings(
        batch_size=batch_size,
        new_batch_threshold=reader.number(f"{section}.newBatchThreshold", batch_size // 2 * processors, 0, MAX_INT),
        # The genuine extension cannot distinguish an explicit minute from the default, and shortens both in development.
        max_polling_interval=timedelta(seconds=2) if shortens_polling and polling == A_MINUTE else polling,
        max_dequeue_count=reader.number(f"{section}.maxDequeueCount", 5, 1, MAX_INT),
        visibility_timeout=reader.span(f"{section}.visibilityTimeout", timedelta(0), timedelta(0)),
        is_base64=encoding == "base64",
    )


def _with_overrides(content: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Apply `AzureFunctionsJobHost__a__b=value`; names compare without case."""
    for name, value in environment.items():
        if not name.lower().startswith(OVERRIDE_PREFIX.lower()):
            continue
        node = content
        *parents, last = name[len(OVERRIDE_PREFIX) :].split("__")
        for part in parents:
            key = _key_of(node, part) or part
            if not isinstance(node.get(key), dict):
                node[key] = {}
            node = node[key]
        node[_key_of(node, last) or last] = value
    return content
