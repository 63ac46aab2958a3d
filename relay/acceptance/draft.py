"""A valid request before the policy check, and the limits of requests."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from relay.core.model import Address, DeliveryGuarantee, Message, Rebuilt

MAX_HTTP_BODY = 104_857_600
"""Largest request body, in bytes, that the Functions host accepts."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A complete and well-formed request, before the policy decides.

    `message` has the content of its attachments in memory, except those given by id: they have `blob` (that id) and, unless
    the caller renamed them, an empty `name`. Domains of addresses are lower-case A-labels. `send_at` is in the future
    (aware UTC) or None. With `template`, text and html are still missing. `file_names` are those of the files within a raw
    message or an attached one, `opaque_parts` what those of its parts are whose files cannot be seen. `other_senders` are a raw
    message's senders beside From, by the target of their field; `rebuilt` is what routes would send of it that take no finished
    message. A message with a `topic` has one recipient.
    """

    message: Message
    size: int | None = None
    """The estimate of `relay.mime.size`, if the reader computed it: a tenth of the cost of acceptance."""
    lane: str | None = None
    expires_in_seconds: int | None = None
    delivery: DeliveryGuarantee | None = None
    send_at: datetime | None = None
    route: str | None = None
    dry_run: bool = False
    template: str | None = None
    variables: Mapping[str, Any] = {}
    locale: str = ""
    file_names: tuple[str, ...] = ()
    opaque_parts: tuple[str, ...] = ()
    other_senders: Mapping[str, Sequence[Address]] = {}
    rebuilt: Rebuilt | None = None
    topic: str | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a request. Without another unit: characters of a text, elements of a list."""

    max_message_bytes: int = 31_457_280
    """Size of the message on the wire (`relay.mime.size`)."""
    max_recipients: int = 1000
    """In to, cc and bcc together: SendGrid's limit, and the highest setting of Exchange Online."""
    max_reply_to: int = 100
    max_address: int = 600
    """Display name and address together; the limit of the address is 254 bytes (RFC 5321 4.5.3.1.3)."""
    max_display_name: int = 200
    max_subject: int = 998
    max_headers: int = 100
    max_header_name: int = 70
    max_header_bytes: int = 8_192
    """One header's value, in UTF-8."""
    max_headers_bytes: int = 65_536
    """All names and values together, in UTF-8."""
    max_attachments: int = 100
    max_attachment_name: int = 255
    max_content_id: int = 200
    max_tags: int = 10
    max_tag: int = 100
    max_metadata: int = 20
    max_metadata_key: int = 40
    max_metadata_value: int = 500
    max_metadata_bytes: int = 8_000
    """All keys and values together, in UTF-8: SendGrid takes 10,000 in custom_args, and Relay adds its own."""
    max_template_name: int = 100
    max_locale: int = 35
    """The longest tag that software must support (RFC 5646 section 4.4.1)."""
    max_options_bytes: int = 65_536
    max_variables_bytes: int = 262_144
    max_depth: int = 16
    """Nesting of objects and lists, in options and variables."""
    min_expires_in_seconds: int = 60
    max_expires_in_seconds: int = 2_592_000
    max_send_ahead_seconds: int = 90 * 86_400
    max_send_behind_seconds: int = 3_600
    """A `send_at` in the past within this time means now: clocks differ and requests are retried."""
    max_batch_messages: int = 1000
    max_batch_bytes: int = MAX_HTTP_BODY
    """Size of all messages of a batch on the wire: an attachment in the defaults counts for each."""
    max_batch_recipients: int = 10_000
    """Recipients of all messages of a batch: those in the defaults count for each message that has no others."""
    max_default_values: int = 2_000_000
    """JSON values in the headers, metadata and variables of a batch's defaults, times the messages that add their own."""

    @property
    def max_body_bytes(self) -> int:
        """Largest request body with one message, in bytes: JSON escapes may double a text."""
        return min(MAX_HTTP_BODY, 2 * self.max_message_bytes + 1_048_576)
