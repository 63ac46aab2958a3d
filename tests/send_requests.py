"""Send requests and a secret for tests of providers."""

from datetime import UTC, datetime

from relay.core.errors import SettingsError
from relay.core.model import Message
from relay.core.send_request import SendRequest

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def send_request_of(message: Message, *, attempt: int = 1, recipients: tuple[int, ...] | None = None) -> SendRequest:
    """Return a request to send a message to all of its recipients, or to those numbers."""
    return SendRequest(
        id="m1",
        message=message,
        recipients=tuple(range(len(message.recipients))) if recipients is None else recipients,
        message_id_header="m1@example.com",
        attempt=attempt,
        attempt_id=f"00000000-0000-4000-8000-{attempt:012d}",
        date=NOW,
    )


class Secret:
    """One secret for every reference. Empty: it cannot be read. `refresh` replaces it with `renewed`, as after a rotation."""

    def __init__(self, value: str, renewed: str | None = None) -> None:
        self.value = value
        self.renewed = renewed
        self.refreshed = 0

    async def get(self, reference: str) -> str:
        if not self.value:
            raise SettingsError([f"{reference}: missing"])
        return self.value

    async def refresh(self, reference: str) -> str:
        self.refreshed += 1
        if self.renewed is not None:
            self.value = self.renewed
        return await self.get(reference)
