"""The services that the doctor needs."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from relay.clients.registry import Clients
from relay.core.settings import Settings
from relay.platform.secrets import Secrets
from relay.platform.storage.ports import Storage
from relay.providers.contract import Provider
from relay.routes.holds import Holds


class DoctorServices(Protocol):
    """The parts of the application that the doctor examines."""

    @property
    def settings(self) -> Settings:
        """The settings of this process."""

    @property
    def storage(self) -> Storage:
        """The queues, tables and blobs."""

    @property
    def clock(self) -> Callable[[], datetime]:
        """Return the current time, with its time zone."""

    @property
    def secrets(self) -> Secrets:
        """Secrets by reference."""

    @property
    def clients(self) -> Clients:
        """The registered clients."""

    @property
    def holds(self) -> Holds:
        """The held routes."""

    def provider(self, route: str) -> Provider:
        """Return the provider of a route."""
