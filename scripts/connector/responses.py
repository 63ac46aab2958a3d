"""Generate the schemas of responses and of a trigger's events, in OpenAPI 2.0, from the API's structs."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from relay.api.errors import ErrorView
from relay.api.openapi.json_schema import name_of, schemas_of
from relay.api.shapes.acceptance import AcceptedView
from relay.api.shapes.base import Time
from relay.api.shapes.messages import AnswerView, BatchResultView, MessagePageView, MessageStateView, MessageView
from relay.api.shapes.templates import TemplateListView
from relay.api.shapes.webhooks import WebhookView
from relay.core.events import BounceClass, EndKind, EventKind, NoticeKind
from scripts.connector.shapes import sentence, title

_TYPES = [*(f"message.{kind}" for kind in (*EventKind, *EndKind)), *NoticeKind]


class MailEventDataView(Struct, frozen=True, kw_only=True):
    """The message and recipient of an event."""

    message: Annotated[str, Meta(description="The message's id.")]
    recipient: Annotated[str, Meta(description="The recipient's address.")]
    recipients: Annotated[Sequence[str], Meta(description="The recipients of a message that Relay ended, up to 100.")]
    at: Annotated[Time, Meta(description="When it happened.")]
    code: Annotated[str, Meta(description="The enhanced status code (RFC 3463), or the cause of a failed message.")]
    bounce_class: Annotated[BounceClass, Meta(description="What a bounce is about.")]
    reply: Annotated[str, Meta(description="The reply of the recipient's server.")]
    provider: Annotated[str, Meta(description="The provider that reported it.")]
    route: Annotated[str, Meta(description="The route of the last attempt of a message that Relay ended.")]
    attempt: Annotated[int, Meta(description="The number of the attempt it is about.")]
    likely: Annotated[str, Meta(description="Who is likely to have opened or clicked, where the vendor says enough.")]
    answer: Annotated[AnswerView, Meta(description="The mail of a reply.")]
    tags: Annotated[Sequence[str], Meta(description="The message's tags.")]
    metadata: Annotated[Mapping[str, str], Meta(description="The caller's own keys and values.")]


class MailEventView(Struct, frozen=True, kw_only=True):
    """The body that a webhook of format `standard` gets (`relay.events.webhooks.payload`)."""

    type: Annotated[str, Meta(description="What happened.", extra_json_schema={"enum": _TYPES})]
    timestamp: Annotated[Time, Meta(description="When it happened.")]
    data: Annotated[MailEventDataView, Meta(description="The message and recipient.")]


SHAPES = (
    ErrorView,
    AcceptedView,
    BatchResultView,
    MessageView,
    MessagePageView,
    MessageStateView,
    TemplateListView,
    WebhookView,
    MailEventView,
)
"""The bodies that the connector's actions and its trigger name."""


def definitions() -> dict[str, Any]:
    """Return the schema of each body, by name."""
    known = schemas_of(*SHAPES)
    return {name: _plain(known[name], known) for name in (name_of(shape.__name__) for shape in SHAPES)}


def _plain(schema: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema without references and without the difference between null and absent, which workflows ignore."""
    if reference := schema.get("$ref"):
        return _plain(known[reference.rpartition("/")[2]], known)
    plain: dict[str, Any] = {key: schema[key] for key in ("type", "format", "enum") if key in schema}
    if "items" in schema:
        plain["items"] = _plain(schema["items"], known)
    if isinstance(others := schema.get("additionalProperties"), Mapping):
        plain["additionalProperties"] = dict(others)
    if "properties" in schema:
        plain["properties"] = {
            name: {"x-ms-summary": title(name), "description": sentence(each["description"]), **_plain(each, known)}
            for name, each in schema["properties"].items()
        }
    return plain
