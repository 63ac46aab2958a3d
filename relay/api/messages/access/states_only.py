"""Leave content out of the messages that a viewer sees.

The members that stay are listed, so a new member of a message counts as content until it is added here.
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
    """Return a message without its content, its recipients and the replies of providers."""
    kept = _kept(view, _WHOLE_MESSAGE)
    if view.recipients is not UNSET:
        kept["recipient_count"] = len(view.recipients) or view.recipient_count
    if view.attempts is not UNSET:
        kept["attempts"] = [AttemptView(**_kept(each, _ATTEMPT)) for each in view.attempts]
    if view.events is not UNSET:
        kept["events"] = [EventView(**_kept(each, _EVENT)) for each in view.events]
    return MessageView(**kept)


def summary_states(view: MessageSummaryView) -> MessageSummaryView:
    """Return a message of a list without its content and its recipient."""
    return MessageSummaryView(**_kept(view, _MESSAGE))


def _kept(view: object, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(view, name) for name in names}
