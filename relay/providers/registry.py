"""Which providers there are. A new one is a module here and a line in `MODULES` (docs/how-to/add-a-provider.md)."""

from functools import cache
from importlib import import_module
from typing import cast

from relay.providers.contract import ProviderModule

MODULES = {
    "sendgrid": "relay.providers.sendgrid",
    "graph": "relay.providers.graph",
    "acs": "relay.providers.acs",
    "smtp": "relay.providers.smtp",
    "capture": "relay.providers.capture",
}


@cache
def provider_module(provider: str) -> ProviderModule:
    """The module of a provider, imported when first asked for. Raises `KeyError` for an unknown name."""
    return cast(ProviderModule, import_module(MODULES[provider]))
