"""What the tests of the SendGrid provider share: a parcel, keys that change, and a route to the stand-in."""

from datetime import UTC, datetime
from typing import Any

import aiohttp

from relay.errors import SettingsError
from relay.model import Address, Message
from relay.providers import sendgrid
from relay.providers.contract import Parcel, Provider, Surroundings
from standins.sendgrid import DEFAULT_KEY

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def parcel(message: Message | None = None, *, attempt: int = 1, recipients: tuple[int, ...] | None = None) -> Parcel:
    """A parcel for everybody in the message."""
    message = message or mail()
    return Parcel(
        id="m1",
        message=message,
        recipients=tuple(range(len(message.recipients))) if recipients is None else recipients,
        message_id_header="m1@example.com",
        attempt=attempt,
        attempt_id=f"00000000-0000-4000-8000-{attempt:012d}",
        date=NOW,
    )


def mail(**changes: Any) -> Message:
    """A small message; `changes` are fields of `Message`."""
    fields: dict[str, Any] = {
        "sender": Address(email="app@example.com", name="App"),
        "to": (Address(email="ada@example.org", name="Ada"),),
        "subject": "Hello",
        "text": "A text",
    }
    return Message(**{**fields, **changes})


class Keys:
    """A key that is replaced when `refresh` is asked for, as after a rotation."""

    def __init__(self, key: str = DEFAULT_KEY, renewed: str | None = None) -> None:
        self.key = key
        self.renewed = renewed
        self.refreshed = 0

    async def get(self, reference: str) -> str:
        if not self.key:
            raise SettingsError([f"{reference}: missing"])
        return self.key

    async def refresh(self, reference: str) -> str:
        self.refreshed += 1
        if self.renewed is not None:
            self.key = self.renewed
        return await self.get(reference)


def route(url: str, session: aiohttp.ClientSession, keys: Keys | None = None, **settings: Any) -> Provider:
    """A SendGrid route to `url`."""
    surroundings = Surroundings(
        http=lambda: session, blobs=None, secrets=keys or Keys(), clock=lambda: NOW, credential=None
    )
    return sendgrid.create("mail", {"base_url": url, **settings}, surroundings)
