"""Responses about the process, and to providers that post events."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Struct, UnsetType, field

from relay.api.shapes.base import says
from relay.routes.holds import RouteState


class Availability(StrEnum):
    """Whether Relay can work."""

    OK = "ok"
    UNAVAILABLE = "unavailable"


class LivenessView(Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: Annotated[Availability, says("Always ok.")]


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
