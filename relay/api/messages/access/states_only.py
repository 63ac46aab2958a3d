"""Leave the content out of a message that a viewer is shown.

The members that stay are named: one that is added to a message is content until it is named here.
"""

from typing import Any

from msgspec import UNSET

from relay.api.shapes.messages import AttemptView, EventView, MessageSummaryView, MessageView

_MESSAGE = (
    "id",
    "state",
    "arrival",
    "bounce_type",
    "created_at",
    "erased_at",
    "recipient_count",
    "lane",
    "client",
    "size",
    "send_at",
    "next_attempt_at",
    "tags",
)
_WHOLE_MESSAGE = (*_MESSAGE, "delivery", "expires_at", "topic")
_ATTEMPT = ("number", "route", "provider", "at", "outcome", "code", "seconds", "verified", "recipients")
_EVENT = ("kind", "at", "code", "bounce_class", "provider", "attempt", "likely", "topic")


def message_states(view: MessageView) -> MessageView:
    """Return a message without what its sender wrote, its recipients, and what providers replied."""
    kept = _kept(view, _WHOLE_MESSAGE)
    if view.recipients is not UNSET:
        kept["recipient_count"] = len(view.recipients) or view.recipient_count
    if view.attempts is not UNSET:
        kept["attempts"] = [AttemptView(**_kept(each, _ATTEMPT)) for each in view.attempts]
    if view.events is not UNSET:
        kept["events"] = [EventView(**_kept(each, _EVENT)) for each in view.events]
    return MessageView(**kept)


def summary_states(view: MessageSummaryView) -> MessageSummaryView:
    """Return a message of a list without what its sender wrote, and its recipient."""
    return MessageSummaryView(**_kept(view, _MESSAGE))


def _kept(view: object, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(view, name) for name in names}
