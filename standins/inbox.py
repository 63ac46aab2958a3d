"""Store the mails that a stand-in accepted, in one format for all providers."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

RELAY_ID_NAMES = ("relay_id", "x-relay-id")
"""Names, in lower case, of custom arguments or headers that can carry the relay's message id."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A mailbox; `name` is the display name or empty."""

    address: str
    name: str = ""


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A file with its exact bytes."""

    name: str
    content: bytes
    content_type: str = "application/octet-stream"
    disposition: str = "attachment"
    content_id: str | None = None


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted message, as its recipients would receive it.

    `envelope` lists every transport recipient (including bcc); `headers` has the sender's own
    headers unchanged; `fields` has vendor-specific fields; `raw` has the RFC 5322
    bytes if the vendor received the message as MIME. `outcome` is what the vendor does next:
    `delivered`, `scheduled`, `cancelled`, `queued` (account suspended), `dropped` or `refused` (by a report).
    """

    id: str
    accepted_at: datetime
    sender: Address
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    envelope: tuple[str, ...] = ()
    envelope_sender: str | None = None
    subject: str = ""
    text: str | None = None
    html: str | None = None
    headers: dict[str, str] = {}
    attachments: tuple[Attachment, ...] = ()
    relay_id: str | None = None
    fields: dict[str, Any] = {}
    raw: bytes | None = None
    outcome: str = "delivered"


def relay_id_of(*sources: dict[str, Any]) -> str | None:
    """Return the relay's message id from custom arguments or headers; earlier sources take precedence."""
    for source in sources:
        for name, value in source.items():
            if name.lower() in RELAY_ID_NAMES:
                return str(value)
    return None


class Inbox:
    """Accepted mails in order of acceptance, and counters that include mails that were not stored."""

    def __init__(self) -> None:
        self.messages: list[Mail] = []
        self.requests = 0
        self.accepted = 0
        self.refused: Counter[int] = Counter()
        self.by_relay_id: Counter[str] = Counter()
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def __len__(self) -> int:
        return self.accepted

    def count_request(self) -> None:
        """Count a request, accepted or not."""
        self.requests += 1
        self._wake()

    def count(self, relay_id: str | None) -> None:
        """Count an acceptance without storing the mail."""
        self.accepted += 1
        if relay_id is not None:
            self.by_relay_id[relay_id] += 1
        self._wake()

    async def add(self, mail: Mail) -> None:
        self.messages.append(mail)
        self.count(mail.relay_id)

    def replace(self, mail: Mail) -> None:
        """Replace the mail that has the same id (to change its outcome)."""
        self.messages = [mail if kept.id == mail.id else kept for kept in self.messages]

    def of(self, relay_id: str) -> list[Mail]:
        return [mail for mail in self.messages if mail.relay_id == relay_id]

    async def wait_for(self, accepted: int) -> list[Mail]:
        """Wait until `accepted` mails are stored; the caller sets a timeout."""
        await self._until(lambda: len(self.messages) >= accepted)
        return list(self.messages)

    async def wait_for_requests(self, requests: int) -> None:
        """Wait until `requests` requests have arrived; the caller sets a timeout."""
        await self._until(lambda: self.requests >= requests)

    async def _until(self, condition: Callable[[], bool]) -> None:
        if condition():
            return
        entry = condition, asyncio.get_running_loop().create_future()
        self._waiting.append(entry)
        try:
            await entry[1]
        finally:
            self._waiting.remove(entry)

    def _wake(self) -> None:
        for condition, future in self._waiting:
            if not future.done() and condition():
                future.set_result(None)

    def max_within(self, seconds: float) -> int:
        """Return the maximum number of stored mails that were accepted within any span of `seconds`."""
        times = sorted(mail.accepted_at.timestamp() for mail in self.messages)
        busiest = first = 0
        for last, moment in enumerate(times):
            while moment - times[first] >= seconds:
                first += 1
            busiest = max(busiest, last - first + 1)
        return busiest

    @property
    def duplicates(self) -> dict[str, int]:
        """Return the number of acceptances of each relay id that was accepted more than once."""
        return {key: times for key, times in self.by_relay_id.items() if times > 1}

    def counters(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "accepted": self.accepted,
            "refused": {str(status): times for status, times in self.refused.items()},
            "by_relay_id": dict(self.by_relay_id),
        }

    def clear(self) -> None:
        self.messages.clear()
        self.requests = self.accepted = 0
        self.refused.clear()
        self.by_relay_id.clear()
