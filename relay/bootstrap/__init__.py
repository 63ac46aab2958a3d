"""The composition root: settings in, a wired application out. The only place that constructs adapters.

Each service is constructed once, when it is first used: a process that only accepts messages never loads the modules that
deliver them. Nothing here connects. The application is one class in layers, each built from those before it: `stores`,
`connections`, `use_cases`, `operations`, and the HTTP API.
"""

import gc
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from relay.bootstrap.configuration import load
from relay.bootstrap.operations import Operations
from relay.bootstrap.stores import utc_now

if TYPE_CHECKING:
    from relay.api.app import Api
    from relay.api.authentication import Authentication

__all__ = ["Relay", "start", "utc_now"]

GC_THRESHOLD = 10_000
"""New objects after which Python collects cycles. Each collection visits every message in progress: with Python's default of
2,000 this takes 5 % of the CPU of acceptance and a sixth of that of delivery, with 5,000 half as much, and with 20,000 no less
than with 10,000.
"""


def start(environment: Mapping[str, str]) -> "Relay":
    """Build the application for this environment. Raises `SettingsError` with every problem."""
    gc.set_threshold(GC_THRESHOLD)
    from relay.platform.storage.azure.account_storage import create_storage

    return Relay(load(environment), create_storage(environment))


class Relay(Operations):
    """The application. Belongs to one event loop."""

    @cached_property
    def authentication(self) -> "Authentication":
        """Authenticates callers."""
        from relay.api.authentication import Authentication
        from relay.api.login_throttle import LoginThrottle
        from relay.clients.keys import Role

        is_on = self.settings.application.get("WEBSITE_AUTH_ENABLED", "").lower() == "true"
        return Authentication(
            self.clients,
            LoginThrottle(self.clock),
            trusts_entra=is_on,
            tenants=self.settings.entra_tenants,
            roles={name: Role(role) for name, role in self.settings.entra_roles.items()},
        )

    @cached_property
    def api(self) -> "Api":
        """The HTTP API."""
        from relay.api.app import Api
        from relay.api.operations import OPERATIONS

        return Api(self, OPERATIONS)
