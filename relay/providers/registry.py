"""Find a provider's module by name. A new provider is a folder here and a line in `MODULES` (docs/how-to/add-a-provider.md)."""

from functools import cache
from importlib import import_module
from typing import cast

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
