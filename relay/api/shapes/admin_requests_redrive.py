"""The shape of a request to send lost mail again."""

from pydantic import Field

from relay.api.shapes.requests import Shape


class LostMailRedrive(Shape):
    """Which sent messages count as lost, and how they are sent again."""

    route: str = Field(description="The route that sent them.", examples=["sendgrid"])
    sent_since: str = Field(description="From when on they were sent.", examples=["2026-03-01T00:00:00Z"])
    sent_before: str = Field(description="Before when they were sent; in the past.", examples=["2026-03-02T00:00:00Z"])
    without_delivered: bool = Field(
        description="True: those of which nobody reported a delivery, nor a refusal by the recipient's server.",
        examples=[True],
    )
    to_route: str | None = Field(default=None, description="Another route to send them by.", examples=["exchange"])
    dry_run: bool | None = Field(default=None, description="Count only.", examples=[False])
    cursor: str | None = Field(default=None, description="Where the last answer said to go on.")
