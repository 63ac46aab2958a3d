"""What a request asks for, once it is known to be well formed and before policy has seen it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from relay.model import Delivery, Message


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A valid request. `send_at` is aware UTC; with `template` the content is still to be rendered from `variables`.

    Attachments hold their content in memory, or in `blob` the id of an uploaded one.
    """

    message: Message
    lane: str | None = None
    expires_in_seconds: int | None = None
    delivery: Delivery | None = None
    send_at: datetime | None = None
    route: str | None = None
    dry_run: bool = False
    template: str | None = None
    variables: Mapping[str, Any] = {}
