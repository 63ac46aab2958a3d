"""Responses of the SendGrid-compatible operations, as SendGrid's own API documents them."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Struct

from relay.api.shapes.base import says
from relay.delivery.send_groups import Stop


class SendGridErrorView(Struct, frozen=True, kw_only=True):
    """One problem."""

    message: Annotated[str, says("What is wrong and how to fix it.")]
    field: Annotated[str | None, says("The field it is about; null for the whole request.")]
    help: Annotated[str, says("Where the error is explained.")]


class SendGridErrorsView(Struct, frozen=True, kw_only=True):
    """A refused request."""

    errors: Annotated[Sequence[SendGridErrorView], says("Every problem.")]
    id: Annotated[str, says("The request's id, for the log.")]


class SendGridBatchView(Struct, frozen=True, kw_only=True):
    """A batch id."""

    batch_id: Annotated[str, says("The batch id.")]


class SendGridScheduledSendView(Struct, frozen=True, kw_only=True):
    """A batch that is cancelled or paused."""

    batch_id: Annotated[str, says("The batch id.")]
    status: Annotated[Stop, says("Whether the batch is cancelled or paused.")]


class SendGridStoppedView(SendGridScheduledSendView, frozen=True, kw_only=True):
    """A batch that was just cancelled or paused."""

    already_sent: Annotated[int, says("The number of messages that can no longer be stopped.")]


class SendGridScopesView(Struct, frozen=True, kw_only=True):
    """The scopes of a key."""

    scopes: Annotated[Sequence[str], says("The scopes.")]
