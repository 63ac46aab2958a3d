"""The shapes of requests about web hooks."""

from typing import Literal

from pydantic import Field

from relay.api.shapes.requests import Shape

EventKind = Literal["processed", "deferred", "delivered", "bounced", "complained", "opened", "clicked", "unsubscribed"]


class WebhookChange(Shape):
    """What to change of a subscription; what is left out stays."""

    url: str | None = Field(
        default=None, description="Where to post: https, on the public Internet.", examples=["https://example.com/mail"]
    )
    events: list[EventKind] | None = Field(
        default=None, description="Kinds of events; an empty list means all.", examples=[["delivered", "bounced"]]
    )
    format: Literal["standard", "cloudevents"] | None = Field(
        default=None, description="How a body looks.", examples=["standard"]
    )
    note: str | None = Field(default=None, description="For people.", examples=["order system"])
    is_enabled: bool | None = Field(
        default=None, description="False pauses it; true lets one go on that was disabled.", examples=[True]
    )
    rotate_secret: bool | None = Field(
        default=None,
        description="Make a new signing secret. For a day posts carry a signature by the old one too.",
        examples=[True],
    )


class WebhookRequest(Shape):
    """A new subscription. Give `url`, or as Logic Apps do `callbackUrl`."""

    url: str | None = Field(
        default=None, description="Where to post: https, on the public Internet.", examples=["https://example.com/mail"]
    )
    callback_url: str | None = Field(
        default=None,
        alias="callbackUrl",
        description="The same, in the words of Logic Apps. Subscribing it twice is once.",
        examples=["https://prod-1.westeurope.logic.azure.com/workflows/x/triggers/y/paths/invoke?sig=z"],
    )
    events: list[EventKind] | None = Field(
        default=None, description="Kinds of events; none named means all.", examples=[["delivered", "bounced"]]
    )
    format: Literal["standard", "cloudevents"] | None = Field(
        default=None, description="How a body looks; by default `standard`.", examples=["standard"]
    )
    note: str | None = Field(default=None, description="For people.", examples=["order system"])


class CallbackRemoval(Shape):
    """A subscription that a `callbackUrl` made, to be ended."""

    callback_url: str = Field(
        alias="callbackUrl",
        description="The URL that was subscribed.",
        examples=["https://prod-1.westeurope.logic.azure.com/workflows/x/triggers/y/paths/invoke?sig=z"],
    )
