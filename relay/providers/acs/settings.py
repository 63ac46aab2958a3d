"""Check and read the settings of an ACS route, and state the service's own rate limits."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from relay.core.settings import Pace, RouteSettings
from relay.platform.entra_tokens import KEYS, identity_problems
from relay.platform.secrets import reference_problem
from relay.providers.http_settings import is_address, limit_problems, timeout_problems

DEFAULT_TIMEOUT_SECONDS = 30
SETTABLE_LIMITS = {"max_bytes": 30_000_000}
"""The size of a request to which support raises the limit, if asked (service-limits)."""
SETTINGS = (
    *("endpoint", "access_key", "subscription", "engagement_tracking", "timeout_seconds"),
    *SETTABLE_LIMITS,
    *KEYS,
)
NO_CREDENTIALS = "access_key: must be given, or managed_identity, or tenant_id, client_id and a secret or certificate"
PACES = ((30, 60.0), (100, 3600.0))
"""Messages and seconds: the default limits of a subscription for its own domains (service-limits)."""


def check_settings(settings: RouteSettings) -> Sequence[str]:
    """Return all problems of a route's settings, each as `key: sentence`; empty if there are none."""
    known = ", ".join(SETTINGS)
    problems = [f"{key}: is not a setting of acs (known: {known})" for key in settings if key not in SETTINGS]
    if not _is_endpoint(settings.get("endpoint")):
        problems.append("endpoint: must be the resource's address, such as https://mail.europe.communication.azure.com")
    if not isinstance(settings.get("subscription", ""), str):
        problems.append("subscription: must be text, the same in all routes of one Azure subscription")
    if not isinstance(settings.get("engagement_tracking", True), bool):
        problems.append("engagement_tracking: must be true or false")
    problems += limit_problems(settings, SETTABLE_LIMITS)
    problems += timeout_problems(settings.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS))
    return [*problems, *_key_problems(settings)]


def default_paces(settings: RouteSettings) -> tuple[Pace, ...]:
    """Return the rate limits of one subscription, shared by its resources, routes and instances."""
    resource = f"acs:{settings.get('subscription') or host_of(endpoint(settings))}"
    return tuple(Pace(count=count, seconds=seconds, resource=resource) for count, seconds in PACES)


def endpoint(settings: RouteSettings) -> str:
    """Return the resource's URL without a trailing slash."""
    return str(settings["endpoint"]).rstrip("/")


def host_of(url: str) -> str:
    """Return the Host header for this URL, without the scheme's default port."""
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}[parts.scheme]
    host = parts.hostname or ""
    return host if parts.port in (None, default) else f"{host}:{parts.port}"


def _is_endpoint(value: Any) -> bool:
    return is_address(value) and urlsplit(value).path in ("", "/")


def _key_problems(settings: RouteSettings) -> Sequence[str]:
    if "access_key" not in settings:
        return identity_problems(settings) if any(key in settings for key in KEYS) else [NO_CREDENTIALS]
    unused = [f"{key}: is not used together with access_key" for key in settings if key in KEYS]
    problem = reference_problem(settings["access_key"])
    return [*([f"access_key: {problem}"] if problem else []), *unused]
