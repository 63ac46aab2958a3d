"""The shape of a request to erase a recipient's messages."""

from pydantic import Field

from relay.api.shapes.requests import Shape


class EraseRequest(Shape):
    """Whose messages are erased."""

    recipient: str = Field(
        description="The address: each message that has it in to, cc or bcc is erased as a whole.",
        examples=["ada@example.com"],
    )
    dry_run: bool | None = Field(default=None, description="Count only.", examples=[False])
    cursor: str | None = Field(default=None, description="Where the last answer said to go on.")
