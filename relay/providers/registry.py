"""Find a provider's module by name. A new provider is a folder here and a line in `MODULES` (docs/how-to/add-a-provider.md)."""

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import Any, cast

from relay.core.settings import RecipientBudget, Route
from relay.providers.contract import ProviderModule

MODULES = {
    "sendgrid": "relay.providers.sendgrid.provider",
    "graph": "relay.providers.graph.provider",
    "acs": "relay.providers.acs.provider",
    "smtp": "relay.providers.smtp.provider",
    "capture": "relay.providers.capture.provider",
}


@cache
def provider_module(provider: str) -> ProviderModule:
    """Return a provider's module, imported on first use. Raises `KeyError` for an unknown name."""
    return cast(ProviderModule, import_module(MODULES[provider]))


def recipient_budget(route: Route) -> RecipientBudget | None:
    """Return the limits of external recipients in a route's settings; None if there are none."""
    read: Callable[[Any], RecipientBudget | None]
    read = getattr(provider_module(route.provider), "recipient_budget", lambda _: None)
    return read(route.settings)


def option_problems(provider: str, options: Any) -> Sequence[str]:
    """Return all problems of a message's `options.<provider>`, each as `path: sentence`; empty if there are none."""
    check: Callable[[Any], Sequence[str]] | None = getattr(provider_module(provider), "check_options", None)
    if check is None:
        return [f"options.{provider}.{key}: is not an option of {provider}, which has none" for key in options]
    return check(options)


def demanded_options(provider: str, options: Any) -> Sequence[str]:
    """Name the options in a message's `options.<provider>` that only this provider can carry.

    Relay refuses them on routes of other providers. Options that change nothing are left out.
    """
    demands: Callable[[Any], Sequence[str]] = getattr(provider_module(provider), "demands", list)
    return demands(options)


def optional_options(provider: str, options: Any) -> Sequence[str]:
    """Name the options in a message's `options.<provider>` that routes of other providers ignore."""
    optional: Callable[[Any], Sequence[str]] = getattr(provider_module(provider), "optional", lambda _: ())
    return optional(options)
