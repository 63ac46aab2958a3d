"""Read app settings: local.settings.json, and settings that bindings name (`%X%`, `connection`, disabled).

Behavior follows azure-functions-host (NameResolverExtensions, HostListenerFactory) and azure-functions-core-tools
(AppSettingsFile); the README beside this file lists what differs.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import msgspec

SECTION_KEYS = ("queueServiceUri", "serviceUri", "blobServiceUri", "accountName")

_NAME = re.compile(r"%([^%]+)%")
_QUEUE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?!-)){1,61}[a-z0-9]")


class HostConfigurationError(Exception):
    """The host cannot start; the text is for the developer."""


class FunctionConfigurationError(Exception):
    """One function is misconfigured; the others run."""


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of local.settings.json other than its values.

    `skipped`: values that the environment overrides. `ignored`: settings that this host does not support.
    """

    skipped: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    http_port: int | None = None


def json_object(text: str, name: str) -> dict[str, Any]:
    """Parse a settings file that holds a JSON object. Raises HostConfigurationError."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise HostConfigurationError(f"{name} is not valid JSON: {error}.") from error
    if not isinstance(content, dict):
        raise HostConfigurationError(f"{name} must hold a JSON object.")
    return content


def apply_local_settings(path: Path, environment: MutableMapping[str, str]) -> LocalSettings:
    """Add the file's values to `environment`, which wins if both have a name. A missing file adds nothing."""
    if not path.exists():
        return LocalSettings()
    content = json_object(path.read_text(encoding="utf-8-sig"), path.name)
    if content.get("IsEncrypted", True) is not False:
        raise HostConfigurationError(
            f'{path.name} counts as encrypted. Encrypted values are not supported: set "IsEncrypted": false.'
        )
    values = dict(content.get("Values") or {})
    for name, value in (content.get("ConnectionStrings") or {}).items():
        text = value.get("ConnectionString") if isinstance(value, dict) else value
        values[f"ConnectionStrings:{name}"] = text
    added = [name for name, value in values.items() if value is not None and name not in environment]
    present = [name for name, value in values.items() if value is not None and name in environment]
    skipped = [name for name in present if environment[name] != _setting_text(values[name])]
    environment.update({name: _setting_text(values[name]) for name in added})
    host = content.get("Host") or {}
    return LocalSettings(
        skipped=tuple(skipped),
        ignored=tuple(f"Host.{name}" for name in ("CORS", "CORSCredentials") if host.get(name)),
        http_port=_http_port(host.get("LocalHttpPort"), path.name),
    )


def _http_port(value: object, name: str) -> int | None:
    if value is None:
        return None
    text = str(value)
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII):
        raise HostConfigurationError(f"{name}: 'Host.LocalHttpPort' is {value!r}; it must be a port number.")
    return int(text)


def _setting_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def force_development(environment: MutableMapping[str, str], app_root: Path, port: int) -> None:
    """Set the variables that `func start` sets, so that the app sees the same environment."""
    environment["AZURE_FUNCTIONS_ENVIRONMENT"] = "Development"
    environment["WEBSITE_HOSTNAME"] = f"localhost:{port}"
    environment["AzureWebJobsScriptRoot"] = str(app_root)
    environment.setdefault("PYTHON_ENABLE_DEBUG_LOGGING", "1")


def app_setting(name: str, environment: Mapping[str, str]) -> str:
    """Return the setting of that name, or an empty text. As in .NET, names compare without case, and
    `__` in an environment variable's name means `:`.
    """
    if name in environment:
        return environment[name]
    wanted = name.lower().replace("__", ":")
    return next((value for key, value in environment.items() if key.lower().replace("__", ":") == wanted), "")


def resolve_names(text: str, environment: Mapping[str, str]) -> str:
    """Replace each `%NAME%` with the app setting. Raises FunctionConfigurationError for a missing one."""

    def setting(match: re.Match[str]) -> str:
        value = app_setting(match[1], environment)
        if not value:
            raise FunctionConfigurationError(
                f"'%{match[1]}%' does not resolve to a value: add the app setting '{match[1]}'."
            )
        return value

    return _NAME.sub(setting, text)


def connection_string(name: str, environment: Mapping[str, str]) -> str:
    """Return the storage connection string that a binding's `connection` names; empty means "Storage"."""
    wanted = name or "Storage"
    candidates = (
        f"ConnectionStrings:AzureWebJobs{wanted}",
        f"AzureWebJobs{wanted}",
        f"ConnectionStrings:{wanted}",
        wanted,
    )
    for candidate in candidates:
        if value := app_setting(candidate, environment):
            return value
    for candidate in candidates:
        if any(app_setting(f"{candidate}:{key}", environment) for key in SECTION_KEYS):
            raise FunctionConfigurationError(
                f"Connection '{candidate}' uses an identity; this local host supports only connection strings."
            )
    best = wanted if wanted.lower().startswith("azurewebjobs") else candidates[1]
    raise FunctionConfigurationError(
        f"Connection '{wanted}' is not set: put a storage connection string in the app setting '{best}'."
    )


def queue_name(binding_name: str, environment: Mapping[str, str]) -> str:
    """Return a binding's queue name, resolved, lower-cased and checked."""
    name = resolve_names(binding_name, environment).lower()
    if not is_queue_name(name):
        raise FunctionConfigurationError(
            f"'{name}' is not a valid queue name: use 3 to 63 of a-z, 0-9 and single inner dashes."
        )
    return name


def is_queue_name(name: str) -> bool:
    """Return whether Azure Storage allows the name: 3 to 63 of a-z, 0-9 and single inner dashes."""
    return _QUEUE_NAME.fullmatch(name) is not None


def is_disabled(function: str, environment: Mapping[str, str]) -> bool:
    """Return whether `AzureWebJobs.<function>.Disabled` (or with underscores) is 1 or true."""
    names = (f"AzureWebJobs.{function}.Disabled", f"AzureWebJobs_{function}_Disabled")
    return any(app_setting(name, environment).lower() in {"1", "true"} for name in names)


def host_id(app_root: Path, environment: Mapping[str, str]) -> str:
    """Return `machine-hash`: lower-case, at most 32 characters, stable for a machine and a folder."""
    if override := app_setting("AzureFunctionsWebHost:hostid", environment):
        return override.lower()
    machine = re.sub(r"[^a-z0-9]", "", platform.node().lower())[:20] or "localhost"
    digest = hashlib.sha256(str(app_root).encode()).hexdigest()[:11]
    return f"{machine}-{digest}"
