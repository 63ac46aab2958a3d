"""Dead letters, resending lost mail, erasing a recipient: requests and responses."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from relay.api.shapes.base import MessageName, NextLink, Shape, Time, says
from relay.core.model import State


class CauseView(Struct, frozen=True, kw_only=True):
    """A cause that an attempt or a dead letter can have."""

    code: Annotated[str, says("The cause.")]
    meaning: Annotated[str, says("What the cause means.")]
    fix: Annotated[str, says("What to do about it.")]


class CauseListView(Struct, frozen=True, kw_only=True):
    """All causes."""

    value: Annotated[Sequence[CauseView], says("The causes.")]


class DeadLetterView(Struct, frozen=True, kw_only=True):
    """The dead letters of a cause, counted; with `code` in the query, one dead letter."""

    code: Annotated[str, says("The cause.")]
    meaning: Annotated[str, says("What the cause means. In counts only.")] | UnsetType = UNSET
    count: Annotated[int, says("The number of dead letters. In counts only.")] | UnsetType = UNSET
    id: Annotated[MessageName, says("The message's id. Not in counts.")] | UnsetType = UNSET
    at: Annotated[Time, says("When the message ended. Not in counts.")] | UnsetType = UNSET
    client: Annotated[str, says("The message's client. Not in counts.")] | UnsetType = UNSET
    state: Annotated[State, says("The message's state. Not in counts.")] | UnsetType = UNSET


class DeadLetterPageView(Struct, frozen=True, kw_only=True):
    """Counts of dead letters by cause, or a page of one cause's dead letters."""

    value: Annotated[Sequence[DeadLetterView], says("The counts or dead letters.")]
    next_link: NextLink | UnsetType = UNSET


class RedrivenView(Struct, frozen=True, kw_only=True):
    """The result of redriving dead letters."""

    redriven: Annotated[int, says("The number of dead letters that were put back.")]
    is_more: Annotated[bool, says("Whether there are more: repeat the request.")]


class DiscardedView(Struct, frozen=True, kw_only=True):
    """The result of discarding dead letters."""

    discarded: Annotated[int, says("The number of dead letters that were discarded.")]
    is_more: Annotated[bool, says("Whether there are more: repeat the request.")]


class ResendLostRequest(Shape, frozen=True, kw_only=True):
    """A selection of sent messages that count as lost, and the route to resend them by."""

    route: Annotated[str, says("The route that sent them.", "sendgrid")]
    sent_since: Annotated[str, says("Start of the period (inclusive).", "2026-03-01T00:00:00Z")]
    sent_before: Annotated[str, says("End of the period (exclusive, in the past).", "2026-03-02T00:00:00Z")]
    without_delivered: Annotated[
        bool, says("Must be true: only messages without a delivery or bounce event are sent again.", True)
    ]
    to_route: Annotated[str | None, says("Another route for sending them again.", "exchange")] = None
    dry_run: Annotated[bool | None, says("Only count.", False)] = None
    cursor: Annotated[str | None, says("Where to continue: the `cursor` of the last response.")] = None


class LostResentView(Struct, frozen=True, kw_only=True):
    """The result of one step of resending lost mail."""

    found: Annotated[int, says("The number of lost messages that were found.")]
    redriven: Annotated[int, says("The number of messages that were put back.")]
    skipped: Annotated[int, says("The number of messages that may not be sent twice.")]
    unreadable: Annotated[int, says("The number of messages that cannot be read and were not searched.")]
    dry_run: Annotated[bool, says("Whether messages were only counted.")]
    is_more: Annotated[bool, says("Whether there are more: repeat the request with `cursor`.")]
    cursor: Annotated[str, says("Where the next step continues.")] | UnsetType = UNSET


class EraseRequest(Shape, frozen=True, kw_only=True):
    """The recipient whose messages to erase."""

    recipient: Annotated[
        str, says("The address. Each message that has it in to, cc or bcc is erased as a whole.", "ada@example.com")
    ]
    dry_run: Annotated[bool | None, says("Only count.", False)] = None
    cursor: Annotated[str | None, says("Where to continue: the `cursor` of the last response.")] = None


class ErasedView(Struct, frozen=True, kw_only=True):
    """The result of one step of erasing a recipient's messages."""

    erased: Annotated[int, says("The number of messages that were erased.")]
    cancelled: Annotated[int, says("The number of them that were cancelled first.")]
    in_progress: Annotated[int, says("The number of messages that are being sent: repeat later.")]
    shared_files: Annotated[int, says("The number of files that other messages still use.")]
    unreadable: Annotated[int, says("The number of messages that cannot be read and were not searched.")]
    dry_run: Annotated[bool, says("Whether messages were only counted.")]
    is_more: Annotated[bool, says("Whether there are more: repeat the request with `cursor`.")]
    cursor: Annotated[str, says("Where the next step continues.")] | UnsetType = UNSET
