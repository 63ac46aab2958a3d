"""Translate rows of the message trace to events. Rows of mail that is not Relay's are skipped.

Meanings: learn.microsoft.com/powershell/module/exchange/get-messagetracev2 (Status) and graph/api/resources/
exchangemessagetrace, which has the same values.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from relay.core import ids
from relay.core.events import BounceClass, EventKind, EventSource, classify, enhanced_status
from relay.events.provider_events import ProviderEvent, key_of, recipient_of, text_of
from relay.providers.graph.message_trace import TraceRow

FAILED = "failed"
_STATUSES: Mapping[str, tuple[EventKind, BounceClass | None]] = {
    "delivered": (EventKind.DELIVERED, None),
    FAILED: (EventKind.BOUNCED, BounceClass.UNKNOWN),
    # As ACS reports the same: the recipient does not see the mail, unless an administrator or the recipient releases it.
    "quarantined": (EventKind.BOUNCED, BounceClass.CONTENT),
    "filteredasspam": (EventKind.BOUNCED, BounceClass.CONTENT),
    "expanded": (EventKind.PROCESSED, None),  # a distribution list; its members have rows of their own
    "gettingstatus": (EventKind.PROCESSED, None),
    "pending": (EventKind.DEFERRED, None),
}
_UNDERWAY = timedelta(minutes=10)
"""Until this time `pending` means that delivery is under way; later, that Exchange retries it."""


def message_of(row: TraceRow) -> str:
    """Return Relay's id of a row's message; empty if the mail is not Relay's."""
    # Relay's Message-ID contains the message's id.
    named = ids.IN_TEXT.search(row.message_id or "")
    return named[0] if named is not None else ""


def is_failed(row: TraceRow) -> bool:
    """Return whether the trace can say why this recipient did not get the mail."""
    return row.status.lower() == FAILED


def key_of_row(row: TraceRow, kind: EventKind) -> str:
    """Compute the key of a row's event: a row that is read again with the same status is the same event."""
    return key_of("trace", row.id, recipient_of(row.recipient_address).lower(), kind)


def event_of(row: TraceRow, now: datetime, reason: str = "") -> ProviderEvent | None:
    """Translate a row of a message of Relay's. None for a status that is not known. `reason` is why it failed."""
    known = _STATUSES.get(row.status.lower())
    if known is None:
        return None
    kind, bounce_class = known
    if kind is EventKind.DEFERRED and now - row.received_date_time < _UNDERWAY:
        kind = EventKind.PROCESSED
    code = enhanced_status(reason)
    if bounce_class is BounceClass.UNKNOWN:
        bounce_class = classify(code, reason)
    return ProviderEvent(
        kind=str(kind),
        at=row.received_date_time,
        key=key_of_row(row, kind),
        unnamed_key=key_of("trace", row.id),
        provider="graph",
        # Anyone who knows the message's id can send a mail with its Message-ID into the tenant.
        source=EventSource.MAIL,
        message=message_of(row),
        recipient=recipient_of(row.recipient_address),
        code=code,
        bounce_class=str(bounce_class) if bounce_class is not None else "",
        reply=text_of(reason or row.status),
    )
