"""Responses of accepting a batch, and of checking messages with `dry_run`."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from relay.api.errors import ErrorBodyView, ErrorView
from relay.api.shapes.acceptance import SuppressedView
from relay.api.shapes.base import says
from relay.api.shapes.common import MessageName, Time
from relay.core.model import DeliveryGuarantee, State


class RoutingView(Struct, frozen=True, kw_only=True):
    """Recipients that would travel together, and the routes they may use."""

    recipients: Annotated[Sequence[str], says("The recipients' addresses.")]
    routes: Annotated[Sequence[str], says("The routes, in the order in which Relay would try them.")]


class ExplanationView(Struct, frozen=True, kw_only=True):
    """What would happen to a message that was checked with `dry_run` and not sent."""

    dry_run: Annotated[bool, says("Always true: nothing was accepted.")]
    lane: Annotated[str, says("The lane the message would use.")]
    size: Annotated[int, says("The message's size in bytes.")]
    delivery: Annotated[DeliveryGuarantee, says("What Relay does when an attempt's outcome is unknown.")]
    expires_at: Annotated[Time, says("When Relay would stop trying.")]
    routing: Annotated[Sequence[RoutingView], says("Recipients grouped by the routes they may use.")]
    suppressed: Annotated[Sequence[SuppressedView], says("Recipients that Relay would not send to.")]


class BatchItemView(Struct, frozen=True, kw_only=True):
    """The result of one message of a batch."""

    index: Annotated[int, says("The message's position in the batch, counted from 0.")]
    status: Annotated[
        int, says("The HTTP status that this message alone would get: 202 accepted, 200 checked, 4xx or 503 refused.")
    ]
    id: Annotated[MessageName, says("The message's id, when it was accepted.")] | UnsetType = UNSET
    state: Annotated[State, says("The message's state, when it was accepted.")] | UnsetType = UNSET
    suppressed: Annotated[Sequence[SuppressedView], says("Recipients that Relay does not send to.")] | UnsetType = UNSET
    error: Annotated[ErrorBodyView, says("Why the message was refused.")] | UnsetType = UNSET
    dry_run: Annotated[bool, says("True when the message was only checked.")] | UnsetType = UNSET
    lane: Annotated[str, says("With dry_run: the lane the message would use.")] | UnsetType = UNSET
    size: Annotated[int, says("With dry_run: the message's size in bytes.")] | UnsetType = UNSET
    delivery: (
        Annotated[DeliveryGuarantee, says("With dry_run: what Relay does when an attempt's outcome is unknown.")]
        | UnsetType
    ) = UNSET
    expires_at: Annotated[Time, says("With dry_run: when Relay would stop trying.")] | UnsetType = UNSET
    routing: Annotated[Sequence[RoutingView], says("With dry_run: recipients grouped by their routes.")] | UnsetType = (
        UNSET
    )


class BatchResultView(Struct, frozen=True, kw_only=True):
    """The results of a batch, in the order of its messages."""

    accepted: Annotated[int, says("The number of messages that were accepted.")]
    refused: Annotated[int, says("The number of messages that were refused.")]
    value: Annotated[Sequence[BatchItemView], says("The result of each message.")]


class BatchErrorView(ErrorView, frozen=True, kw_only=True):
    """A batch of which no message was accepted; without results when the batch itself is wrong."""

    accepted: Annotated[int, says("The number of messages that were accepted: 0.")] | UnsetType = UNSET
    refused: Annotated[int, says("The number of messages that were refused.")] | UnsetType = UNSET
    value: Annotated[Sequence[BatchItemView], says("The result of each message.")] | UnsetType = UNSET
