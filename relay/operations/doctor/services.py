"""The services that the doctor needs."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from relay.clients.registry import Clients
from relay.core.settings import Settings
from relay.events.message_trace.reader import MessageTraces
from relay.operations.doctor.secret_expiry import SecretExpiry
from relay.platform.secrets import Secrets
from relay.platform.storage.ports import Storage
from relay.providers.contract import Provider
from relay.routes.holds import Holds


class DoctorServices(Protocol):
    """The parts of the application that the doctor examines."""

    @property
    def settings(self) -> Settings: ...
    @property
    def storage(self) -> Storage: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...
    @property
    def secrets(self) -> Secrets: ...
    @property
    def clients(self) -> Clients: ...
    @property
    def holds(self) -> Holds: ...
    @property
    def secret_expiry(self) -> SecretExpiry: ...
    @property
    def message_traces(self) -> MessageTraces: ...

    def provider(self, route: str) -> Provider:
        """Return the provider of a route."""
