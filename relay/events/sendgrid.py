"""Verify the signature of SendGrid's Event Webhook and translate its events.

Sources: twilio.com/docs/sendgrid/for-developers/tracking-events/ (event; getting-started-event-webhook-security-features),
the vendor's OpenAPI file tsg_webhooks_v3.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec

from relay.core.events import ENGAGEMENTS, BounceClass, EventKind, EventSource, classify, enhanced_status
from relay.events.engagement import likely_actor
from relay.events.provider_events import MAX_RAW, ProviderEvent, key_of, recipient_of, text_of, translated
from relay.providers.account_refusals import account_refusal

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
OLDEST = timedelta(hours=25)
"""SendGrid retries a request for 24 hours and does not document whether it signs it again. A replay within this time is
harmless: an event is stored once."""
AHEAD = timedelta(minutes=5)
"""Allowed clock skew of SendGrid's clock ahead of ours."""

_KINDS: Mapping[str, EventKind] = {
    "processed": EventKind.PROCESSED,
    "deferred": EventKind.DEFERRED,
    "delivered": EventKind.DELIVERED,
    "bounce": EventKind.BOUNCED,
    "dropped": EventKind.BOUNCED,
    "spamreport": EventKind.COMPLAINED,
    "open": EventKind.OPENED,
    "click": EventKind.CLICKED,
    "unsubscribe": EventKind.UNSUBSCRIBED,
    "group_unsubscribe": EventKind.UNSUBSCRIBED,
    "group_resubscribe": EventKind.RESUBSCRIBED,
}
"""The event kind of each SendGrid event. Account events are ignored."""
_OF_GROUPS = frozenset(("group_unsubscribe", "group_resubscribe"))
"""Events about an unsubscribe group, `asm_group_id`. All other events of mail with a group name it too."""
_DROPPED: tuple[tuple[str, BounceClass], ...] = (
    ("bounced address", BounceClass.SUPPRESSED),
    ("spam reporting address", BounceClass.SUPPRESSED),
    ("unsubscribed address", BounceClass.SUPPRESSED),
    ("invalid smtpapi", BounceClass.CONTENT),
    ("invalid", BounceClass.ADDRESS),
    ("spam content", BounceClass.CONTENT),
)
"""Prefixes of the reasons of `dropped` (event, "Dropped")."""
_CLASSIFIED: Mapping[str, BounceClass] = {
    "invalid address": BounceClass.ADDRESS,
    "mailbox unavailable": BounceClass.MAILBOX,
    "technical": BounceClass.NETWORK,
    "content": BounceClass.CONTENT,
    "reputation": BounceClass.POLICY,
    "frequency/volume": BounceClass.POLICY,
}
"""SendGrid's own `bounce_classification` (bounce and block classifications); `unclassified` is ignored."""


def is_signed(keys: Sequence[str], *, body: bytes, signature: str | None, timestamp: str | None, now: datetime) -> bool:
    """Return whether one of these public keys (base64 of DER, as SendGrid shows them) signed this body recently.

    The signature is base64 of ECDSA over P-256 with SHA-256, over the timestamp (seconds since 1970) and the raw body.
    """
    # Twelve digits may be a year beyond 9999, which no datetime holds.
    if not signature or not timestamp or not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 11:
        return False
    age = now - datetime.fromtimestamp(int(timestamp), UTC)
    if not -AHEAD <= age <= OLDEST:
        return False
    try:
        given = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    return any(_verifies(key, given, timestamp.encode() + body) for key in keys)


def key_fault(key: str) -> str:
    """Return why this cannot be a verification key, as a sentence; empty if it can."""
    return "" if _public_key(key) is not None else "must be the verification key that SendGrid shows (base64)"


@cache
def _public_key(key: str) -> Any:
    """Load the key; None if it is not of the kind that SendGrid signs with."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        found = load_der_public_key(base64.b64decode(key, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return None
    return found if isinstance(found, ec.EllipticCurvePublicKey) else None


def _verifies(key: str, signature: bytes, signed: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    public = _public_key(key)
    if public is None:
        return False
    try:
        public.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def translate(items: Sequence[Any], now: datetime) -> Iterator[ProviderEvent]:
    """Translate the events that concern Relay's messages; skip all others."""
    return translated(items, lambda item: _translated(item, now))


def _translated(item: Any, now: datetime) -> ProviderEvent | None:
    kind = _KINDS.get(str(item.get("event"))) if isinstance(item, dict) else None
    return _provider_event(item, kind, now) if kind is not None and isinstance(item.get("relay_id"), str) else None


def _provider_event(item: Mapping[str, Any], kind: EventKind, now: datetime) -> ProviderEvent:
    message, email = text_of(item["relay_id"], 64), recipient_of(item.get("email"))
    reply = text_of(item.get("reason") or item.get("response"))
    code = enhanced_status(text_of(item.get("status")), reply)
    named = item.get("sg_event_id")
    own = (named,) if named else (kind, email, item.get("timestamp"), message, item.get("url"))
    attempt = text_of(item.get("relay_attempt"), 6)
    return ProviderEvent(
        kind=str(kind),
        at=_time(item.get("timestamp"), now),
        key=key_of("sendgrid", *own),
        provider="sendgrid",
        source=EventSource.PROVIDER,
        message=message,
        recipient=email,
        attempt=int(attempt) if attempt.isascii() and attempt.isdigit() else 0,
        code=code,
        bounce_class=str(_bounce_class(item, code, reply)) if kind is EventKind.BOUNCED else "",
        reply=reply,
        likely=likely_actor(item.get("useragent"), is_machine=item.get("sg_machine_open"))
        if kind in ENGAGEMENTS
        else "",
        group=_group_of(item),
        raw=text_of(msgspec.json.encode(item).decode(), MAX_RAW),
    )


def _group_of(item: Mapping[str, Any]) -> int:
    group = item.get("asm_group_id")
    is_valid = isinstance(group, int) and not isinstance(group, bool) and 0 < group < 2**31
    return int(group or 0) if is_valid and item.get("event") in _OF_GROUPS else 0


def _time(seconds: Any, now: datetime) -> datetime:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    return datetime.fromtimestamp(seconds, UTC) if is_number and 0 < seconds < 4_102_444_800 else now


def _bounce_class(item: Mapping[str, Any], code: str, reply: str) -> BounceClass:
    if item.get("event") == "dropped":
        if account_refusal("sendgrid", "", reply) is not None:
            return BounceClass.ACCOUNT
        reason = reply.lower()
        return next((found for begin, found in _DROPPED if reason.startswith(begin)), BounceClass.UNKNOWN)
    named = _CLASSIFIED.get(str(item.get("bounce_classification")).lower())
    found = named or classify(code, reply)
    if item.get("type") == "blocked":
        # A block is temporary, whatever its code: SendGrid continues to send to the address.
        return BounceClass.POLICY if found in (BounceClass.ADDRESS, BounceClass.UNKNOWN) else found
    return BounceClass.ADDRESS if found is BounceClass.UNKNOWN else found
