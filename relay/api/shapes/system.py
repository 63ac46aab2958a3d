"""Responses about the process, and to providers that post events."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Struct, UnsetType, field

from relay.api.shapes.base import says
from relay.api.shapes.common import Time
from relay.routes.hold_rows import RouteState


class Availability(StrEnum):
    """Whether Relay can work."""

    OK = "ok"
    UNAVAILABLE = "unavailable"


class LivenessView(Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: Annotated[Availability, says("Always ok.")]


class LandingView(Struct, frozen=True, kw_only=True):
    """Where to go from the address of a relay."""

    console: Annotated[str, says("The console, for operators.")]
    inbox: Annotated[str, says("The inbox of caught mail.")]
    docs: Annotated[str, says("The reference of the API.")]
    openapi: Annotated[str, says("The API as an OpenAPI document.")]
    health: Annotated[str, says("The address for a liveness probe.")]


class ReadinessView(Struct, frozen=True, kw_only=True):
    """Whether Relay can work."""

    status: Annotated[Availability, says("Whether storage answers.")]
    storage: Annotated[str, says("The value ok, or the kind of failure.")]
    routes: (
        Annotated[Mapping[str, RouteState], says("The state of each route, by name; for operators.")] | UnsetType
    ) = UNSET


class EventsAcceptedView(Struct, frozen=True, kw_only=True):
    """The result of a post of events."""

    accepted: Annotated[int, says("The number of events that Relay will process.")] | UnsetType = UNSET
    skipped: Annotated[int, says("The number of events that Relay does not process.")] | UnsetType = UNSET
    validation_response: Annotated[str, says("The code of Event Grid's handshake, sent back.")] | UnsetType = field(
        name="validationResponse", default=UNSET
    )


class ArrivalCountsView(Struct, frozen=True, kw_only=True):
    """Recipients by what became of their copies."""

    sent: Annotated[int, says("Copies that a provider took, without those that it suppressed.")]
    delivered: Annotated[int, says("Copies that the recipient's server accepted, as far as that was reported.")]
    hard_bounced: Annotated[int, says("Copies that bounced for good.")]
    soft_bounced: Annotated[int, says("Copies that bounced for a reason that passes.")]
    complained: Annotated[int, says("Copies that the recipient reported as spam.")]
    suppressed: Annotated[int, says("Recipients on a suppression list, of Relay or of the provider.")]
    bounce_rate: Annotated[float, says("Bounces as a share of `sent`, from 0 to 1.")]
    complaint_rate: Annotated[float, says("Complaints as a share of `sent`, from 0 to 1.")]


class ArrivalRowView(ArrivalCountsView, frozen=True, kw_only=True):
    """The arrivals of one client, tag, route or domain, or of one hour or day."""

    name: Annotated[str | None, says("The client, tag, route or domain; null for all others together, and for times.")]
    at: Annotated[Time | None, says("The start of the hour or day (UTC); null for names.")]


class ArrivalListView(Struct, frozen=True, kw_only=True):
    """The arrivals of the mail that was accepted in a span of time."""

    by: Annotated[str, says("What the rows are: client, tag, route, domain, hour or day.")]
    since: Annotated[Time, says("The start of the span. Hours that begin in it are counted.")]
    before: Annotated[Time, says("The end of the span.")]
    counted_at: Annotated[Time | None, says("When an hour of the span was counted last; null for none.")]
    share: Annotated[float, says("The share of messages that were counted; below 1 the numbers are estimates.")]
    total: Annotated[ArrivalCountsView, says("The arrivals of all rows together.")]
    value: Annotated[Sequence[ArrivalRowView], says("The rows: times, oldest first; or names, the worst first.")]
