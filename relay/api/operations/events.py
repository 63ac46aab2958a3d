"""Operations that providers call to report events."""

from relay.api.operation import Body, Operation, Tag, Unaudited
from relay.api.operations import parameters as given

_EVENTS = Body(schema={"oneOf": [{"type": "array", "items": {"type": "object"}}, {"type": "object"}]})

# fmt: off
TAG = Tag(
    name="Events",
    description="Take the events that providers post, and delivery reports that mail systems send.",
    operations=(
        Operation(name="TakeSendGridEvents", endpoint="POST /v1/events/sendgrid",
            handler="resources.vendor_events:from_sendgrid", roles=None,
            audit=Unaudited.REPORTS,
            summary="Receive SendGrid's events",
            description="Returns 200 once the events are stored durably. SendGrid's signature replaces a key.",
            parameters=given.SENDGRID_SIGNATURE, body=_EVENTS, responses={200: "shapes.system:EventsAcceptedView"},
            errors=(400, 403, 404, 413)),
        Operation(name="TakeAcsEvents", endpoint="POST /v1/events/acs",
            handler="resources.vendor_events:from_event_grid", roles=None,
            audit=Unaudited.REPORTS,
            summary="Receive Event Grid's events about Azure Communication Services",
            description="Returns 200 once the events are stored durably, and answers the handshake of Event Grid's own "
                "schema. The subscription's secret replaces a key.",
            parameters=given.ACS_SECRET, body=_EVENTS, responses={200: "shapes.system:EventsAcceptedView"},
            errors=(400, 403, 404, 413)),
        Operation(name="AllowAcsEvents", endpoint="OPTIONS /v1/events/acs",
            handler="resources.vendor_events:allow_event_grid", roles=None,
            audit=Unaudited.READS,
            summary="Allow Event Grid to post",
            description="Answers the handshake of CloudEvents (its webhook specification, section 4).",
            parameters=(*given.ACS_SECRET, given.ORIGIN), responses={200: ""}, errors=(400, 403, 404)),
        Operation(name="TakeBounce", endpoint="POST /v1/events/bounce", handler="resources.vendor_events:from_mailbox",
            audit=Unaudited.REPORTS,
            summary="Report a bounce",
            description="Accepts a delivery report (RFC 3464) as it was received, about messages of the caller. Returns "
                "202 once its events are stored durably.",
            body=Body(others=("message/rfc822",)), responses={202: "shapes.system:EventsAcceptedView"},
            errors=(400, 413)),
    ),
)
# fmt: on
