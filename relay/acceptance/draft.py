"""A valid request before policy, and the limits it was held to."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from relay.core.model import Delivery, Message

MAX_HTTP_BODY = 104_857_600
"""Bytes of a request body that the Functions host hands on at most."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks for, complete and well-formed, before anybody decided whether it may be.

    `message` has the content of its attachments in memory, except those given by id: they have `blob` (that id) and,
    unless the caller named them anew, an empty `name`. Domains of addresses are lower-case A-labels everywhere.
    `send_at` is in the future (aware UTC) or None. With `template`, text and html are not there yet.
    `file_names` are those of the files within a raw message.
    """

    message: Message
    size: int | None = None
    """What `relay.mime.size` estimates of the message, where its reader had to know: it is a tenth of the work of acceptance."""
    lane: str | None = None
    expires_in_seconds: int | None = None
    delivery: Delivery | None = None
    send_at: datetime | None = None
    route: str | None = None
    dry_run: bool = False
    template: str | None = None
    variables: Mapping[str, Any] = {}
    file_names: tuple[str, ...] = ()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Every limit on what a request may hold. Without another unit: characters of a text, elements of a list."""

    max_message_bytes: int = 31_457_280
    """Of the message on the wire (`relay.mime.size`)."""
    max_recipients: int = 1000
    """In to, cc and bcc together; SendGrid's limit, and the highest that Exchange Online can be set to."""
    max_reply_to: int = 100
    max_address: int = 600
    """A text with display name and address; the address alone has 254 bytes at most (RFC 5321 4.5.3.1.3)."""
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
    max_options_bytes: int = 65_536
    max_variables_bytes: int = 262_144
    max_depth: int = 16
    """Objects and lists within each other, in options and variables."""
    min_expires_in_seconds: int = 60
    max_expires_in_seconds: int = 2_592_000
    max_send_ahead_seconds: int = 90 * 86_400
    max_send_behind_seconds: int = 3_600
    """A `send_at` not longer past than this means now: clocks differ and requests are repeated."""
    max_batch_messages: int = 1000
    max_batch_bytes: int = MAX_HTTP_BODY
    """Of all messages of a batch on the wire: defaults with an attachment multiply."""
    max_problems: int = 1000
    """Problems told in one answer."""

    @property
    def max_body_bytes(self) -> int:
        """Bytes of a request body with one message: escapes in JSON may double a text."""
        return min(MAX_HTTP_BODY, 2 * self.max_message_bytes + 1_048_576)
