"""The response of accepting one message, in a module of its own: the first message of a process loads no other shapes."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from relay.api.shapes.base import MessageName, says
from relay.core.model import Address, State


class SuppressedView(Struct, frozen=True, kw_only=True):
    """A recipient that Relay does not send to."""

    email: Annotated[str, says("The recipient's address.")]
    reason: Annotated[str, says("Why the address is suppressed, such as bounced.")]

    @staticmethod
    def of(suppressed: Mapping[int, str], recipients: Sequence[Address]) -> "list[SuppressedView]":
        """Show suppressed recipients, given their reasons by their numbers."""
        return [SuppressedView(email=recipients[number].email, reason=reason) for number, reason in suppressed.items()]


class AcceptedView(Struct, frozen=True, kw_only=True):
    """A message that was stored durably."""

    id: Annotated[MessageName, says("The message's id.")]
    state: Annotated[State, says("The message's state.")]
    suppressed: (
        Annotated[Sequence[SuppressedView], says("Recipients that Relay does not send to. Absent when there are none.")]
        | UnsetType
    ) = UNSET
