"""Translate Event Grid's events of Azure Communication Services Email, in its own schema or CloudEvents; answer handshakes.

Event Grid does not sign. A subscription carries a secret that it sends with every request: as a delivery property (header
`x-relay-events-key`) or in the URL (`?key=`).

Sources: learn.microsoft.com/azure/event-grid/communication-services-email-events, /event-schema, /cloud-event-schema,
/end-point-validation-event-grid-events-schema, /delivery-properties; github.com/cloudevents/spec (http-webhook.md).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from relay.core import ids
from relay.core.events import ENGAGEMENTS, BounceClass, EventKind, EventSource, classify, enhanced_status
from relay.events.engagement import likely_actor
from relay.events.provider_events import MAX_RAW, ProviderEvent, key_of, recipient_of, text_of, translated

DELIVERY = "Microsoft.Communication.EmailDeliveryReportReceived"
ENGAGEMENT = "Microsoft.Communication.EmailEngagementTrackingReportReceived"
VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
KEY_HEADER = "x-relay-events-key"

_STATUSES: Mapping[str, tuple[EventKind, BounceClass | None]] = {
    "delivered": (EventKind.DELIVERED, None),
    "expanded": (EventKind.PROCESSED, None),  # a distribution group was expanded; its members are not reported
    "bounced": (EventKind.BOUNCED, BounceClass.ADDRESS),  # "a hard bounce … the email address or domain does not exist"
    "suppressed": (EventKind.BOUNCED, BounceClass.SUPPRESSED),
    "filteredspam": (EventKind.BOUNCED, BounceClass.CONTENT),
    "quarantined": (EventKind.BOUNCED, BounceClass.CONTENT),
    "failed": (EventKind.BOUNCED, BounceClass.UNKNOWN),
}
"""The event kind of each delivery status. The class applies where the details contain no enhanced status code."""
_ENGAGEMENTS: Mapping[str, EventKind] = {"view": EventKind.OPENED, "click": EventKind.CLICKED}


def validation_code(items: Sequence[Any]) -> str | None:
    """Return the code that Event Grid's validation handshake expects back; None for any other request."""
    for item in items:
        if isinstance(item, dict) and _type(item) == VALIDATION and isinstance(item.get("data"), dict):
            code = item["data"].get("validationCode")
            return code if isinstance(code, str) else None
    return None


def translate(items: Sequence[Any], now: datetime) -> Iterator[ProviderEvent]:
    """Translate the events of either schema that concern Relay's messages; skip all others."""
    return translated(items, lambda item: _translated(item, now))


def _translated(item: Any, now: datetime) -> ProviderEvent | None:
    report = item.get("data") if isinstance(item, dict) else None
    return _provider_event(item, report, now) if isinstance(report, dict) else None


def _type(item: Mapping[str, Any]) -> str:
    return str(item.get("eventType") or item.get("type"))


def _provider_event(item: Mapping[str, Any], report: Mapping[str, Any], now: datetime) -> ProviderEvent | None:
    # Relay's Message-ID contains the message's id, and the service keeps it (concepts/email/email-headers).
    named = ids.IN_TEXT.search(text_of(report.get("internetMessageId")))
    if named is None:
        return None
    reply = ""
    bounce_class: BounceClass | None = None
    if _type(item) == DELIVERY:
        found = _STATUSES.get(str(report.get("status")).lower())
        if found is None:
            return None
        kind, bounce_class = found
        details = report.get("deliveryStatusDetails")
        reply = text_of(details.get("statusMessage")) if isinstance(details, dict) else ""
    elif _type(item) == ENGAGEMENT and str(report.get("engagementType")).lower() in _ENGAGEMENTS:
        kind = _ENGAGEMENTS[str(report.get("engagementType")).lower()]
    else:
        return None
    code = enhanced_status(reply)
    if bounce_class in (BounceClass.ADDRESS, BounceClass.UNKNOWN) and (code or bounce_class is BounceClass.UNKNOWN):
        bounce_class = classify(code, reply)
    recipient = recipient_of(report.get("recipient"))
    at = report.get("deliveryAttemptTimeStamp") or report.get("userActionTimeStamp") or item.get("eventTime")
    return ProviderEvent(
        kind=str(kind),
        at=_time(at or item.get("time"), now),
        key=key_of("acs", item.get("id")) if item.get("id") else key_of("acs", kind, recipient, at, report),
        provider="acs",
        source=EventSource.PROVIDER,
        message=named[0],
        recipient=recipient,
        code=code,
        bounce_class=str(bounce_class) if bounce_class else "",
        reply=reply,
        likely=likely_actor(report.get("userAgent")) if kind in ENGAGEMENTS else "",
        raw=text_of(msgspec.json.encode(item).decode(), MAX_RAW),
    )


def _time(text: Any, now: datetime) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):  # OverflowError: an offset beyond the calendar
        return now
