"""The shapes of requests about templates."""

from typing import Any

from pydantic import Field

from relay.api.shapes.requests import Shape
from relay.clients.templates import MAX_BYTES


class VariableFields(Shape):
    """A variable that the template reads."""

    required: bool | None = Field(
        default=None, description="Whether every message must bring it; by default unless there is a `default`."
    )
    default: Any = Field(
        default=None, description="What is filled in where a message does not bring it.", examples=["friend"]
    )
    description: str | None = Field(default=None, description="For people.", json_schema_extra={"maxLength": 500})


class TemplateRequest(Shape):
    """A template's next version: Jinja2, filled in for each message."""

    description: str | None = Field(
        default=None,
        description="For people.",
        examples=["What new customers get."],
        json_schema_extra={"maxLength": 500},
    )
    subject: str | None = Field(
        default=None, description="The subject; a message's own replaces it.", examples=["Welcome, {{ name }}"]
    )
    text: str | None = Field(
        default=None, description="The plain text. One of text and html is needed.", examples=["Hello {{ name }}."]
    )
    html: str | None = Field(
        default=None,
        description=f"The html; values are escaped. All of a template has at most {MAX_BYTES} bytes.",
        examples=["<p>Hello {{ name }}.</p>"],
    )
    variables: dict[str, VariableFields] | None = Field(
        default=None,
        description="The variables by name. What the template reads and this does not name is required.",
        examples=[{"name": {"default": "friend"}}],
    )


class PreviewRequest(Shape):
    """What a template is filled in with, to look at the result."""

    variables: dict[str, Any] | None = Field(default=None, description="The variables.", examples=[{"name": "Ada"}])
    version: int | None = Field(default=None, description="Which version; by default the newest.", ge=1, le=99_999_998)
