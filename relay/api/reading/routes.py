"""Check that a request names a route of the settings."""

from collections.abc import Collection

from relay.api.problems import Problems
from relay.core.errors import Refusal


def check_route(name: str | None, field: str, routes: Collection[str], problems: Problems) -> None:
    """Note an unknown route. An absent field names no route."""
    if name is not None and name not in routes:
        problems.add("unknown_route", field, _advice(routes))


def known_route(name: str, routes: Collection[str]) -> str:
    """Return the route that a call is about. Raises `Refusal` (404)."""
    if name not in routes:
        raise Refusal(404, "unknown_route", _advice(routes))
    return name


def _advice(routes: Collection[str]) -> str:
    return f"Unknown route. Use one of: {', '.join(routes)}."
