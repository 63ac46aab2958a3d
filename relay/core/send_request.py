"""Define what an attempt hands to a provider."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from relay.core.model import Address, Message


class SendRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt hands to a provider.

    `id` is the message's public name (goes into custom_args or `X-Relay-Id`), `message_id_header` the RFC 5322 Message-ID
    without brackets, the same in every attempt. `recipients` are the numbers (indices into `message.recipients`) this
    attempt is for; the envelope. Attachments have their `content` in memory. `attempt_id` is a UUID that is the same
    whenever this very attempt is looked at again (for provider-side idempotency and verification).
    `date` is when the message was accepted. `has_link`: Relay gave the message the header fields of its unsubscribe link.
    """

    id: str
    message: Message
    recipients: tuple[int, ...]
    message_id_header: str
    attempt: int
    attempt_id: str
    date: datetime
    has_link: bool = False

    def of(self, kind: Sequence[Address], offset: int) -> tuple[Address, ...]:
        """Those of `kind`, a run of `message.recipients` that begins at `offset`, that are in this attempt's envelope."""
        chosen = set(self.recipients)
        return tuple(address for number, address in enumerate(kind, offset) if number in chosen)

    @property
    def to(self) -> tuple[Address, ...]:
        """The `to` recipients of this attempt."""
        return self.of(self.message.to, 0)

    @property
    def cc(self) -> tuple[Address, ...]:
        """The `cc` recipients of this attempt."""
        return self.of(self.message.cc, len(self.message.to))

    @property
    def bcc(self) -> tuple[Address, ...]:
        """The `bcc` recipients of this attempt."""
        return self.of(self.message.bcc, len(self.message.to) + len(self.message.cc))
