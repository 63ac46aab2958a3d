"""The request that an attempt hands to a provider."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from relay.core.model import Address, Message


class SendRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A message, and the recipients and ids of one attempt, as a provider gets them.

    `id` is the message's public name (goes into custom_args or `X-Relay-Id`), `message_id_header` the RFC 5322 Message-ID
    without brackets, the same in every attempt. `recipients` is the envelope of this attempt, as indices into
    `message.recipients`. Attachments have their `content` in memory. `attempt_id` is a UUID that is always the same for this
    attempt (for provider-side idempotency and verification). `date` is when the message was accepted. `has_link`: Relay added
    the header fields of an unsubscribe link.
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
        """Return the addresses of `kind` in this attempt's envelope. `kind` begins at `offset` in `message.recipients`."""
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
