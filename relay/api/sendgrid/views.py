"""Responses of the SendGrid-compatible operations, as SendGrid's own API documents them."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from relay.delivery.send_groups import Stop


class SendGridErrorView(Struct, frozen=True, kw_only=True):
    """One problem."""

    message: Annotated[str, Meta(description="What is wrong and how to fix it.")]
    field: Annotated[str | None, Meta(description="The field it is about; null for the whole request.")]
    help: Annotated[str, Meta(description="Where the error is explained.")]


class SendGridErrorsView(Struct, frozen=True, kw_only=True):
    """A refused request."""

    errors: Annotated[Sequence[SendGridErrorView], Meta(description="Every problem.")]
    id: Annotated[str, Meta(description="The request's id, for the log.")]


class SendGridBatchView(Struct, frozen=True, kw_only=True):
    """A batch id."""

    batch_id: Annotated[str, Meta(description="The batch id.")]


class SendGridScheduledSendView(Struct, frozen=True, kw_only=True):
    """A batch that is cancelled or paused."""

    batch_id: Annotated[str, Meta(description="The batch id.")]
    status: Annotated[Stop, Meta(description="Whether the batch is cancelled or paused.")]


class SendGridStoppedView(SendGridScheduledSendView, frozen=True, kw_only=True):
    """A batch that was just cancelled or paused."""

    already_sent: Annotated[int, Meta(description="The number of messages for which it comes too late.")]


class SendGridScopesView(Struct, frozen=True, kw_only=True):
    """The scopes of a key."""

    scopes: Annotated[Sequence[str], Meta(description="The scopes.")]
