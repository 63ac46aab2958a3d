"""Check the settings that HTTP routes share: the vendor's URL, timeouts and limits."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from relay.platform.http.client import Timeouts
from relay.platform.settings_checks import LOOPBACK_NAMES

MAX_TIMEOUT_SECONDS = 80
"""Maximum of `timeout_seconds`: an attempt starts with at least 90 seconds of its lease."""


def is_address(value: Any) -> bool:
    """Return whether this is a service's URL: https (http only on loopback), a host, an optional path, nothing else."""
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
        # Raises for an invalid port.
        _ = parts.port
    except ValueError:
        return False
    is_bare = not (parts.query or parts.fragment or parts.username or parts.password) and bool(host)
    return is_bare and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK_NAMES))


def timeout_problems(value: Any) -> Sequence[str]:
    """Return the problems of `timeout_seconds`, as `key: sentence`."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= MAX_TIMEOUT_SECONDS:
        return []
    return [f"timeout_seconds: must be a number from 1 to {MAX_TIMEOUT_SECONDS}"]


def limit_problems(settings: Mapping[str, Any], limits: Mapping[str, int]) -> Sequence[str]:
    """Return the problems of the limits in a route's settings, as `key: sentence`."""
    return [
        f"{key}: must be a whole number from 1 to {maximum}"
        for key, maximum in limits.items()
        if key in settings and not _is_within(settings[key], maximum)
    ]


def _is_within(value: Any, maximum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= maximum


def timeouts_of(seconds: float) -> Timeouts:
    """Return the timeouts of an exchange that may take `seconds` in total."""
    return Timeouts(connect_seconds=min(10.0, seconds / 2), total_seconds=float(seconds))
