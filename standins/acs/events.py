"""Post delivery reports as Event Grid does, in its own schema and as CloudEvents.

Sources: learn.microsoft.com/azure/event-grid/communication-services-email-events, /event-schema,
/cloud-event-schema, /end-point-validation-event-grid-events-schema, and the handshake of
github.com/cloudevents/spec (http-webhook.md).
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import aiohttp
import msgspec

from standins.http import Clock
from standins.inbox import Mail

type Schema = Literal["event_grid", "cloud_events"]

DELIVERY = "Microsoft.Communication.EmailDeliveryReportReceived"
VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
TOPIC = (
    "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/standin/providers/"
    "microsoft.communication/communicationservices/standin"
)
STATUSES = ("Delivered", "Expanded", "Bounced", "Suppressed", "FilteredSpam", "Quarantined", "Failed")
_ORIGIN = "eventgrid.azure.net"


class EventGrid:
    """Builds and posts events. Every event is first built in Event Grid's schema."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def delivery_reports(self, mails: Sequence[Mail], status: str, detail: str = "") -> list[dict[str, Any]]:
        """Build a report for each recipient of each mail. `status` is one of `STATUSES`."""
        if status not in STATUSES:
            raise ValueError(f"delivery reports have no status {status!r}; use one of {STATUSES}")
        return [self._delivery(mail, address, status, detail) for mail in mails for address in mail.envelope]

    def _delivery(self, mail: Mail, address: str, status: str, detail: str) -> dict[str, Any]:
        data = {
            "sender": mail.sender.address,
            "recipient": address,
            "messageId": mail.id,
            "internetMessageId": mail.fields.get("internetMessageId"),
            "status": status,
            "deliveryStatusDetails": {"statusMessage": detail or f"The message was {status.lower()}."},
            "deliveryAttemptTimeStamp": self._now(),
        }
        return self._event(mail, DELIVERY, data)

    def _event(self, mail: Mail, kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "id": str(uuid.uuid4()),
            "topic": TOPIC,
            "subject": f"sender/{mail.sender.address}/message/{mail.id}",
            "data": data,
            "eventType": kind,
            "dataVersion": "1.0",
            "metadataVersion": "1",
            "eventTime": self._now(),
        }

    def _now(self) -> str:
        return self._clock().strftime("%Y-%m-%dT%H:%M:%S.%f0Z")

    async def post(self, url: str, events: Sequence[Mapping[str, Any]], schema: Schema = "event_grid") -> int:
        """Post a batch to a subscription's endpoint and return the response's status."""
        headers = {"aeg-event-type": "Notification", "aeg-delivery-count": "0", "aeg-subscription-name": "RELAY"}
        if schema == "cloud_events":
            headers["Content-Type"] = "application/cloudevents-batch+json; charset=utf-8"
            body = msgspec.json.encode([as_cloud_event(event) for event in events])
        else:
            headers["Content-Type"] = "application/json; charset=utf-8"
            body = msgspec.json.encode(events)
        async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as reply:
            return reply.status

    async def validate(self, url: str, schema: Schema = "event_grid", validation_url: str = "") -> bool:
        """Perform the handshake of a new subscription. Return whether the endpoint passes it."""
        if schema == "cloud_events":
            return await self._allows(url)
        code = str(uuid.uuid4())
        event = {
            "id": str(uuid.uuid4()),
            "topic": TOPIC,
            "subject": "",
            "data": {"validationCode": code, "validationUrl": validation_url},
            "eventType": VALIDATION,
            "eventTime": self._now(),
            "metadataVersion": "1",
            "dataVersion": "2",
        }
        headers = {"aeg-event-type": "SubscriptionValidation", "aeg-subscription-name": "RELAY"}
        async with aiohttp.ClientSession() as session, session.post(url, json=[event], headers=headers) as reply:
            if reply.status != 200:
                return False
            answer = await reply.json(content_type=None)
            return isinstance(answer, dict) and answer.get("validationResponse") == code

    @staticmethod
    async def _allows(url: str) -> bool:
        headers = {"WebHook-Request-Origin": _ORIGIN, "WebHook-Request-Rate": "120"}
        async with aiohttp.ClientSession() as session, session.options(url, headers=headers) as reply:
            return reply.status == 200 and reply.headers.get("WebHook-Allowed-Origin") in ("*", _ORIGIN)


def as_cloud_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """Convert an event from Event Grid's schema to CloudEvents 1.0."""
    return {
        "id": event["id"],
        "source": event["topic"],
        "subject": event["subject"],
        "data": event["data"],
        "type": event["eventType"],
        "time": event["eventTime"],
        "specversion": "1.0",
    }
