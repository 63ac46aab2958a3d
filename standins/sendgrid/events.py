"""SendGrid's Event Webhook: post signed events about accepted mails.

The signature is ECDSA over P-256 with SHA-256 of the timestamp followed by the raw body, DER, in
base64; the verification key is the base64 DER SubjectPublicKeyInfo (twilio.com/docs/sendgrid/
for-developers/tracking-events/getting-started-event-webhook-security-features).
"""

import base64
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from standins.http import Clock
from standins.inbox import Mail

SIGNATURE_HEADER = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP_HEADER = "X-Twilio-Email-Event-Webhook-Timestamp"


def _particulars(kind: str, reason: str) -> Mapping[str, Any]:
    """Return the fields that only this kind of event has."""
    match kind:
        case "delivered":
            return {"response": reason or "250 OK"}
        case "deferred":
            return {"response": reason or "400 try again later", "attempt": "1"}
        case "bounce":
            return {"type": "bounce", "status": "5.1.1", "reason": reason or "550 5.1.1 user unknown"}
        case "blocked":
            return {"event": "bounce", "type": "blocked", "status": "5.7.1", "reason": reason or "550 5.7.1"}
        case "dropped":
            return {"reason": reason or "Bounced Address"}
        case "open":
            return {"useragent": "Mozilla/5.0", "ip": "192.0.2.1", "sg_machine_open": False}
        case "click":
            return {"url": reason or "https://example.com/", "useragent": "Mozilla/5.0", "ip": "192.0.2.1"}
        case _:
            return {}


class EventWebhook:
    """Builds, signs and posts events; receivers configure `public_key`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public_key(self) -> str:
        der = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(der).decode()

    def events(self, mails: Sequence[Mail], kind: str, reason: str = "") -> list[dict[str, Any]]:
        """Build one event per recipient of each mail, with the custom arguments as top-level fields."""
        return [self._event(mail, address, kind, reason) for mail in mails for address in mail.envelope]

    def _event(self, mail: Mail, address: str, kind: str, reason: str) -> dict[str, Any]:
        return {
            **mail.fields.get("custom_args", {}),
            "email": address,
            "timestamp": int(self._clock().timestamp()),
            "smtp-id": f"<{mail.id}@geopod-ismtpd-standin>",
            "event": kind,
            "category": mail.fields.get("categories", []),
            "sg_event_id": uuid.uuid4().hex,
            "sg_message_id": f"{mail.id.rpartition('.')[0]}.recvd-standin-1-{mail.id.rpartition('.')[2]}",
            **_particulars(kind, reason),
        }

    def sign(self, body: bytes) -> dict[str, str]:
        """Return the headers for a body."""
        timestamp = str(int(self._clock().timestamp()))
        signature = self._key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return {SIGNATURE_HEADER: base64.b64encode(signature).decode(), TIMESTAMP_HEADER: timestamp}

    async def post(self, url: str, events: Sequence[Mapping[str, Any]]) -> int:
        """Post events to a receiver and return its status."""
        body = msgspec.json.encode(events)
        headers = {"Content-Type": "application/json", **self.sign(body)}
        async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as reply:
            return reply.status
