"""The shapes of requests about suppressions."""

from typing import Literal

from pydantic import Field

from relay.api.shapes.requests import Shape

Reason = Literal["bounced", "complained", "unsubscribed", "manual", "provider"]


class SuppressionFields(Shape):
    """An address that is not to be sent to."""

    email: str = Field(description="The address.", examples=["ada@example.org"])
    reason: Reason | None = Field(default=None, description="Why; by default `manual`.", examples=["unsubscribed"])
    expires_in_seconds: int | None = Field(
        default=None,
        description="How long; by default as the reason's rule says.",
        examples=[2_592_000],
        ge=60,
        le=315_360_000,
    )
    note: str | None = Field(
        default=None,
        description="For people: who asked for it, where.",
        examples=["asked by telephone"],
        json_schema_extra={"maxLength": 500},
    )


class SuppressionRequest(SuppressionFields):
    """One address for a list: the caller's own, or as an operator says."""

    client: str | None = Field(default=None, description="Operators: whose list.", examples=["shop"])
    for_all: bool | None = Field(default=None, description="Operators: the list that concerns everybody.")


class SuppressionImport(Shape):
    """Many addresses for one list."""

    value: list[SuppressionFields] = Field(
        description="The addresses.",
        examples=[[{"email": "ada@example.org", "reason": "unsubscribed"}]],
        json_schema_extra={"minItems": 1, "maxItems": 10_000},
    )
    client: str | None = Field(default=None, description="Operators: whose list.", examples=["shop"])
    for_all: bool | None = Field(default=None, description="Operators: the list that concerns everybody.")


class SyncRequest(Shape):
    """Which provider's lists are read."""

    route: str = Field(description="A route whose provider keeps lists: SendGrid.", examples=["sendgrid"])
