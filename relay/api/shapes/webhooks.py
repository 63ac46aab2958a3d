"""Webhooks: requests and responses."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import UNSET, Struct, UnsetType, field

from relay.api.shapes.base import MessageName, NextLink, Shape, Time, says
from relay.events.webhooks.subscriptions import Format

_CALLBACK = "https://prod-1.westeurope.logic.azure.com/workflows/x/triggers/y/paths/invoke?sig=z"
EventKind = Literal[
    "processed", "deferred", "delivered", "bounced", "complained", "opened", "clicked", "unsubscribed", "replied",
    "auto_replied", "resubscribed", "failed", "expired", "unknown", "cancelled", "client.held", "client.released",
]  # fmt: skip


class WebhookChange(Shape, frozen=True, kw_only=True):
    """Changes to a webhook subscription. An absent field stays as it is."""

    url: Annotated[
        str | None, says("Where to post events: an https address on the public Internet.", "https://example.com/mail")
    ] = None
    events: Annotated[
        list[EventKind] | None, says("Kinds of events. An empty list means all.", ["delivered", "bounced"])
    ] = None
    format: Annotated[Literal["standard", "cloudevents"] | None, says("The format of the posted body.", "standard")] = (
        None
    )
    note: Annotated[str | None, says("A note for people.", "order system")] = None
    is_enabled: Annotated[
        bool | None, says("False pauses the subscription. True resumes it, also after Relay disabled it.", True)
    ] = None
    rotate_secret: Annotated[
        bool | None, says("Create a new signing secret. For one day posts are signed with the old secret too.", True)
    ] = None


class WebhookRequest(Shape, frozen=True, kw_only=True):
    """A new webhook subscription. Give `url`, or `callbackUrl` as Logic Apps does."""

    url: Annotated[
        str | None, says("Where to post events: an https address on the public Internet.", "https://example.com/mail")
    ] = None
    callback_url: Annotated[
        str | None,
        says("The same, under the name that Logic Apps uses. Subscribing it again changes nothing.", _CALLBACK),
    ] = field(name="callbackUrl", default=None)
    events: Annotated[
        list[EventKind] | None, says("Kinds of events. The default is all.", ["delivered", "bounced"])
    ] = None
    format: Annotated[
        Literal["standard", "cloudevents"] | None,
        says("The format of the posted body. The default is `standard`.", "standard"),
    ] = None
    note: Annotated[str | None, says("A note for people.", "order system")] = None


class CallbackRemoval(Shape, frozen=True, kw_only=True):
    """A subscription made with a `callbackUrl`, to be deleted."""

    callback_url: Annotated[str, says("The subscribed URL.", _CALLBACK)] = field(name="callbackUrl")


class WebhookView(Struct, frozen=True, kw_only=True):
    """A webhook."""

    id: Annotated[str, says("The webhook's id.")]
    url: Annotated[str, says("The URL that events are posted to.")]
    events: Annotated[Sequence[str], says("The kinds of events that are posted; empty means all.")]
    format: Annotated[Format, says("The format of an event's body.")]
    note: Annotated[str, says("A note for people.")] | UnsetType = UNSET
    created_at: Annotated[Time, says("When the webhook was created.")]
    is_enabled: Annotated[bool, says("Whether events are posted.")]
    disabled_reason: Annotated[str, says("Why the webhook was disabled.")] | UnsetType = UNSET
    disabled_at: Annotated[Time, says("When the webhook was disabled.")] | UnsetType = UNSET
    failing_since: Annotated[Time, says("Since when every post has failed.")] | UnsetType = UNSET
    old_secret_until: (
        Annotated[Time, says("Until when posts are also signed with the previous secret.")] | UnsetType
    ) = UNSET
    secret: Annotated[str, says("The signing secret. Shown only when it was made.")] | UnsetType = UNSET


class WebhookListView(Struct, frozen=True, kw_only=True):
    """All webhooks of the caller."""

    value: Annotated[Sequence[WebhookView], says("The webhooks.")]


class WebhookDeliveryView(Struct, frozen=True, kw_only=True):
    """One attempt to post an event."""

    id: Annotated[str, says("The event's id.")]
    at: Annotated[Time, says("When the event was posted.")]
    attempt: Annotated[int, says("The number of the attempt.")]
    outcome: Annotated[
        str, says("The outcome: succeeded, failed (Relay retries), exhausted (last retry failed) or gone (410).")
    ]
    status: Annotated[int, says("The HTTP status of the receiver.")] | UnsetType = UNSET
    error: Annotated[str, says("Why no response arrived.")] | UnsetType = UNSET
    seconds: Annotated[float, says("How long the receiver took, in seconds.")]
    message: Annotated[MessageName, says("The id of the message.")] | UnsetType = UNSET


class WebhookDeliveryPageView(Struct, frozen=True, kw_only=True):
    """A page of attempts to post events, newest first."""

    value: Annotated[Sequence[WebhookDeliveryView], says("The attempts.")]
    next_link: NextLink | UnsetType = UNSET
