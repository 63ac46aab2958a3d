"""Responses of operators' work on stored messages: dead letters, resending, erasing."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from relay.api.shapes.common import MessageName, NextLink, Time
from relay.core.model import State


class CauseView(Struct, frozen=True, kw_only=True):
    """A cause that an attempt or a dead letter can have."""

    code: Annotated[str, Meta(description="The cause.")]
    meaning: Annotated[str, Meta(description="What the cause means.")]


class CauseListView(Struct, frozen=True, kw_only=True):
    """All causes."""

    value: Annotated[Sequence[CauseView], Meta(description="The causes.")]


class DeadLetterView(Struct, frozen=True, kw_only=True):
    """The dead letters of a cause, counted; with `code` in the query, one dead letter."""

    code: Annotated[str, Meta(description="The cause.")]
    meaning: Annotated[str, Meta(description="What the cause means. In counts only.")] | UnsetType = UNSET
    count: Annotated[int, Meta(description="The number of dead letters. In counts only.")] | UnsetType = UNSET
    id: Annotated[MessageName, Meta(description="The message's id. Not in counts.")] | UnsetType = UNSET
    at: Annotated[Time, Meta(description="When the message ended. Not in counts.")] | UnsetType = UNSET
    client: Annotated[str, Meta(description="The message's client. Not in counts.")] | UnsetType = UNSET
    state: Annotated[State, Meta(description="The message's state. Not in counts.")] | UnsetType = UNSET


class DeadLetterPageView(Struct, frozen=True, kw_only=True):
    """Counts of dead letters by cause, or a page of one cause's dead letters."""

    value: Annotated[Sequence[DeadLetterView], Meta(description="The counts or dead letters.")]
    next_link: NextLink | UnsetType = UNSET


class RedrivenView(Struct, frozen=True, kw_only=True):
    """The result of redriving dead letters."""

    redriven: Annotated[int, Meta(description="The number of dead letters that were put back.")]
    is_more: Annotated[bool, Meta(description="Whether there are more: repeat the request.")]


class DiscardedView(Struct, frozen=True, kw_only=True):
    """The result of discarding dead letters."""

    discarded: Annotated[int, Meta(description="The number of dead letters that were discarded.")]
    is_more: Annotated[bool, Meta(description="Whether there are more: repeat the request.")]


class LostResentView(Struct, frozen=True, kw_only=True):
    """The result of one step of resending lost mail."""

    found: Annotated[int, Meta(description="The number of lost messages that were found.")]
    redriven: Annotated[int, Meta(description="The number of messages that were put back.")]
    skipped: Annotated[int, Meta(description="The number of messages that may not be sent twice.")]
    dry_run: Annotated[bool, Meta(description="Whether messages were only counted.")]
    is_more: Annotated[bool, Meta(description="Whether there are more: repeat the request with `cursor`.")]
    cursor: Annotated[str, Meta(description="Where the next step continues.")] | UnsetType = UNSET


class ErasedView(Struct, frozen=True, kw_only=True):
    """The result of one step of erasing a recipient's messages."""

    erased: Annotated[int, Meta(description="The number of messages that were erased.")]
    cancelled: Annotated[int, Meta(description="The number of them that were cancelled first.")]
    in_progress: Annotated[int, Meta(description="The number of messages that are being sent: repeat later.")]
    shared_files: Annotated[int, Meta(description="The number of files that other messages still use.")]
    dry_run: Annotated[bool, Meta(description="Whether messages were only counted.")]
    is_more: Annotated[bool, Meta(description="Whether there are more: repeat the request with `cursor`.")]
    cursor: Annotated[str, Meta(description="Where the next step continues.")] | UnsetType = UNSET
