"""What the host reads before it starts: host.json, local.settings.json, app settings and connections.

Behaviour follows azure-functions-host (ScriptJobHostOptionsSetup, QueuesOptions, NameResolverExtensions) and
azure-functions-core-tools (AppSettingsFile); the README beside this file lists what differs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, MutableMapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

OVERRIDE_PREFIX = "AzureFunctionsJobHost__"
UNSUPPORTED = ("concurrency", "extensions.http.hsts", "extensions.http.maxConcurrentRequests")
SECTION_KEYS = ("queueServiceUri", "serviceUri", "blobServiceUri", "accountName")

_TIMESPAN = re.compile(
    r"(?P<sign>-)?(?:(?P<days>\d+)\.)?(?P<hours>\d{1,2}):(?P<minutes>\d{1,2})(?::(?P<seconds>\d{1,2}(?:\.\d{1,7})?))?"
)
_NAME = re.compile(r"%([^%]+)%")
_QUEUE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?!-)){1,61}[a-z0-9]")


class HostConfigurationError(Exception):
    """The host cannot start; the text is one or more sentences for the developer."""


class FunctionConfigurationError(Exception):
    """One function cannot be indexed; the others run."""


class QueueSettings(msgspec.Struct, frozen=True, kw_only=True):
    """host.json `extensions.queues`. Times are timedeltas."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_polling_interval: timedelta = timedelta(minutes=1)
    max_dequeue_count: int = 5
    visibility_timeout: timedelta = timedelta(0)
    is_base64: bool = True


class HostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """host.json, with overrides applied. `function_timeout` None means unbounded."""

    route_prefix: str = "api"
    function_timeout: timedelta | None = timedelta(minutes=30)
    max_outstanding_requests: int | None = None
    custom_headers: tuple[tuple[str, str], ...] = ()
    log_level: str = "Information"
    queues: QueueSettings = QueueSettings()
    ignored: tuple[str, ...] = ()


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What local.settings.json adds: `added` and `skipped` name app settings; `host` is its Host section."""

    added: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    host: Mapping[str, Any] = {}


def parse_timespan(text: str) -> timedelta:
    """A .NET TimeSpan: `[-][d.]hh:mm[:ss[.fffffff]]`; a bare number is DAYS. Raises ValueError."""
    stripped = text.strip()
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
    return -span if match["sign"] else span


class _Reader:
    """Reads typed values out of host.json and remembers every wrong one, so that all are told at once."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content
        self.problems: list[str] = []

    def raw(self, path: str) -> Any:
        node: Any = self._content
        for part in path.split("."):
            found = next((key for key in node if key.lower() == part.lower()), None) if isinstance(node, dict) else None
            if found is None:
                return None
            node = node[found]
        return node

    def number(self, path: str, default: int, least: int, most: int) -> int:
        value = self.raw(path)
        if value is None:
            return default
        try:
            number = int(value)
        except (TypeError, ValueError):
            number = least - 1
        if not least <= number <= most:
            self.problems.append(f"host.json: '{path}' is {value!r}; it must be a whole number from {least} to {most}.")
        return number

    def span(self, path: str, default: timedelta, least: timedelta) -> timedelta:
        value = self.raw(path)
        if value is None:
            return default
        try:
            span = parse_timespan(str(value))
        except ValueError as error:
            self.problems.append(f"host.json: '{path}': {error}.")
            return default
        if span < least:
            self.problems.append(f"host.json: '{path}' is {value!r}; the least is {least}.")
        return span

    def text(self, path: str, default: str) -> str:
        value = self.raw(path)
        return default if value is None else str(value)


def read_host_json(text: str, environment: Mapping[str, str], processors: int) -> HostSettings:
    """Parses host.json's text. Raises HostConfigurationError naming every wrong value."""
    reader = _Reader(_with_overrides(_object_of(text, "host.json"), environment))
    version = reader.raw("version")
    if version != "2.0":
        reader.problems.append(f"host.json: 'version' must be \"2.0\", not {version!r}.")
    settings = HostSettings(
        route_prefix=reader.text("extensions.http.routePrefix", "api").strip("/"),
        function_timeout=_function_timeout(reader),
        max_outstanding_requests=_outstanding(reader),
        custom_headers=tuple((k, str(v)) for k, v in (reader.raw("extensions.http.customHeaders") or {}).items()),
        log_level=reader.text("logging.logLevel.default", "Information"),
        queues=_queue_settings(reader, processors),
        ignored=tuple(path for path in UNSUPPORTED if reader.raw(path) is not None),
    )
    if reader.problems:
        raise HostConfigurationError("\n".join(reader.problems))
    return settings


def _function_timeout(reader: _Reader) -> timedelta | None:
    if str(reader.raw("functionTimeout")) in {"-1", "-1.00:00:00"}:
        return None
    return reader.span("functionTimeout", timedelta(minutes=30), timedelta(seconds=1))


def _outstanding(reader: _Reader) -> int | None:
    most = reader.number("extensions.http.maxOutstandingRequests", -1, -1, 2**31 - 1)
    return most if most >= 0 else None


def _queue_settings(reader: _Reader, processors: int) -> QueueSettings:
    section = "extensions.queues"
    batch_size = reader.number(f"{section}.batchSize", 16, 1, 32)
    encoding = reader.text(f"{section}.messageEncoding", "base64").lower()
    if encoding not in {"base64", "none"}:
        reader.problems.append(f"host.json: '{section}.messageEncoding' is {encoding!r}; it must be base64 or none.")
    polling = reader.span(f"{section}.maxPollingInterval", timedelta(minutes=1), timedelta(milliseconds=100))
    return QueueSettings(
        batch_size=batch_size,
        new_batch_threshold=reader.number(f"{section}.newBatchThreshold", batch_size // 2 * processors, 0, 2**31 - 1),
        # The genuine extension cannot tell an explicit minute from the default, and shortens both when developing.
        max_polling_interval=timedelta(seconds=2) if polling == timedelta(minutes=1) else polling,
        max_dequeue_count=reader.number(f"{section}.maxDequeueCount", 5, 1, 2**31 - 1),
        visibility_timeout=reader.span(f"{section}.visibilityTimeout", timedelta(0), timedelta(0)),
        is_base64=encoding == "base64",
    )


def _object_of(text: str, name: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise HostConfigurationError(f"{name} is not valid JSON: {error}.") from error
    if not isinstance(content, dict):
        raise HostConfigurationError(f"{name} must hold a JSON object.")
    return content


def _with_overrides(content: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Applies `AzureFunctionsJobHost__a__b=value`, names compared without case."""
    for name, value in environment.items():
        if not name.lower().startswith(OVERRIDE_PREFIX.lower()):
            continue
        node = content
        *parents, last = name[len(OVERRIDE_PREFIX) :].split("__")
        for part in parents:
            key = next((key for key in node if key.lower() == part.lower()), part)
            if not isinstance(node.get(key), dict):
                node[key] = {}
            node = node[key]
        node[next((key for key in node if key.lower() == last.lower()), last)] = value
    return content


def apply_local_settings(path: Path, environment: MutableMapping[str, str]) -> LocalSettings:
    """Adds the file's values to `environment`, which wins where both have a name. No file: nothing is added."""
    if not path.exists():
        return LocalSettings()
    content = _object_of(path.read_text(encoding="utf-8-sig"), path.name)
    if content.get("IsEncrypted", True) is not False:
        raise HostConfigurationError(
            f'{path.name} counts as encrypted unless it says "IsEncrypted": false; encrypted values are not supported.'
        )
    values = dict(content.get("Values") or {})
    for name, value in (content.get("ConnectionStrings") or {}).items():
        text = value.get("ConnectionString") if isinstance(value, dict) else value
        values[f"ConnectionStrings:{name}"] = text
    added = [name for name, value in values.items() if value is not None and name not in environment]
    skipped = [name for name, value in values.items() if value is not None and name in environment]
    environment.update({name: _setting_text(values[name]) for name in added})
    return LocalSettings(added=tuple(added), skipped=tuple(skipped), host=content.get("Host") or {})


def _setting_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def force_development(environment: MutableMapping[str, str], app_root: Path, port: int) -> None:
    """Sets what `func start` sets, so that the app sees the same environment."""
    environment["AZURE_FUNCTIONS_ENVIRONMENT"] = "Development"
    environment["WEBSITE_HOSTNAME"] = f"localhost:{port}"
    environment["AzureWebJobsScriptRoot"] = str(app_root)
    environment.setdefault("FUNCTIONS_WORKER_RUNTIME", "python")
    environment.setdefault("PYTHON_ENABLE_DEBUG_LOGGING", "1")


def resolve_names(text: str, environment: Mapping[str, str]) -> str:
    """Replaces each `%NAME%` with the app setting. Raises FunctionConfigurationError when one is missing."""

    def setting(match: re.Match[str]) -> str:
        value = environment.get(match[1])
        if not value:
            raise FunctionConfigurationError(f"'%{match[1]}%' does not resolve to a value.")
        return value

    return _NAME.sub(setting, text)


def connection_string(name: str, environment: Mapping[str, str]) -> str:
    """The storage connection string that a binding's `connection` names; empty means "Storage"."""
    wanted = name or "Storage"
    candidates = (
        f"ConnectionStrings:AzureWebJobs{wanted}",
        f"AzureWebJobs{wanted}",
        f"ConnectionStrings:{wanted}",
        wanted,
    )
    for candidate in candidates:
        if environment.get(candidate):
            return environment[candidate]
    for candidate in candidates:
        if any(environment.get(f"{candidate}__{key}") for key in SECTION_KEYS):
            raise FunctionConfigurationError(
                f"Connection '{candidate}' uses an identity; this local host takes connection strings only."
            )
    raise FunctionConfigurationError(
        f"Connection '{wanted}' is not set: give the app setting '{candidates[1]}' a storage connection string."
    )


def queue_name(binding_name: str, environment: Mapping[str, str]) -> str:
    """A binding's queue name, resolved, lower-cased and checked."""
    name = resolve_names(binding_name, environment).lower()
    if not is_queue_name(name):
        raise FunctionConfigurationError(f"'{name}' is not a valid queue name.")
    return name


def is_queue_name(name: str) -> bool:
    """Whether Azure Storage takes the name: 3 to 63 of a-z, 0-9 and single inner dashes."""
    return _QUEUE_NAME.fullmatch(name) is not None


def is_disabled(function: str, environment: Mapping[str, str]) -> bool:
    """Whether `AzureWebJobs.<function>.Disabled` (or with underscores) is set to 1 or true."""
    names = {f"azurewebjobs.{function}.disabled".lower(), f"azurewebjobs_{function}_disabled".lower()}
    return any(name.lower() in names and value.lower() in {"1", "true"} for name, value in environment.items())
