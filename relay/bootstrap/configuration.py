"""Load the configuration: the settings from the environment, checked with the code of providers and events."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from relay.core.errors import SettingsError
from relay.core.settings import Pace, Route, Settings
from relay.platform.environment import read_settings

_EVENT_SETTINGS = (
    "RELAY_SENDGRID_EVENT_KEYS",
    "RELAY_EVENT_GRID_SECRET",
    "RELAY_BOUNCE_MAILBOXES",
    "RELAY_MESSAGE_TRACE",
    "RELAY_SUPPRESSIONS",
)


def load(environment: Mapping[str, str]) -> Settings:
    """Read and check every setting. Raises `SettingsError` with every problem."""
    problems: list[str] = []
    settings = read_settings(environment, _Providers(), problems)
    if any(environment.get(name, "").strip() for name in _EVENT_SETTINGS):
        # Checking the keys loads cryptography, which is slow to import.
        from relay.bootstrap.config_checks import event_problems

        problems += event_problems(settings)
    if problems:
        raise SettingsError(problems)
    return settings


class _Providers:
    """Checks and defaults of routes, from the provider modules."""

    def problems(self, route: Route) -> Sequence[str]:
        from relay.providers.registry import MODULES, provider_module

        if route.provider not in MODULES:
            return [f"provider: must be one of {', '.join(MODULES)}"]
        return list(provider_module(route.provider).check_settings(route.settings))

    def default_paces(self, route: Route) -> tuple[Pace, ...]:
        from relay.providers.registry import provider_module

        known: Callable[[Mapping[str, Any]], tuple[Pace, ...]] | None
        known = getattr(provider_module(route.provider), "default_paces", None)
        return known(route.settings) if known is not None else ()
