"""Load the configuration: the settings from the environment, checked with the code of providers and events."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from relay.core.errors import SettingsError
from relay.core.settings import Pace, RecipientBudget, Route, Settings
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
    # A budget that routes share can be compared only when the settings of each route are right.
    problems += [] if problems else _budget_problems(settings)
    if problems:
        raise SettingsError(problems)
    return settings


def _budget_problems(settings: Settings) -> Iterator[str]:
    """Yield routes that share a budget of external recipients and disagree about it."""
    known: dict[str, tuple[str, RecipientBudget]] = {}
    for name, route in settings.routes.items():
        if not route.settings.get("external_recipients"):
            continue
        from relay.providers.registry import recipient_budget

        budget = recipient_budget(route)
        if budget is None:
            continue
        first, other = known.setdefault(budget.tenant, (name, budget))
        for key in ("per_tenant", "internal_domains"):
            if getattr(budget, key) != getattr(other, key):
                yield (
                    f"RELAY_ROUTES.{name}.external_recipients: {key} differs from that of route {first}, which shares the "
                    "budget; use the same, or another `tenant`"
                )


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
