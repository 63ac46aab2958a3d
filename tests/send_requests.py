"""Send requests and a secret for tests of providers."""

from datetime import UTC, datetime

from relay.core.errors import SettingsError
from relay.core.model import Message
from relay.core.send_request import SendRequest

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


FINISHED = (
    "From: App <app@example.com>\r\nTo: Ada <ada@example.org>\r\nBcc: eve@example.org\r\nMessage-ID: <own@example.com>\r\n"
    "Subject: =?utf-8?B?5Lu25ZCN?=\r\nDate: Fri, 2 Jan 2026 03:04:05 +0000\r\nX-Order: 4711\r\nReply-To: r@example.com\r\n"
    "Received: by host (Postfix, from userid 0); Fri, 2 Jan 2026 03:04:05 +0000\r\nMIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed; boundary=m\r\n\r\n"
    "--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n"
    "--a\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n本文\r\n"
    "--a\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<p>本文</p>\r\n--a--\r\n"
    "--m\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
    "Content-Disposition: attachment; filename*=utf-8''%E8%AB%8B.pdf\r\n\r\nJVBERg==\r\n--m--\r\n"
).encode()
"""A finished message that loses nothing as its text, HTML and files."""
SIGNED = b"From: app@example.com\r\nDKIM-Signature: v=1\r\nX-A: 1\r\nX-A: 2\r\n\r\nhi\r\n"
"""One that would lose its signature and a field."""


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
