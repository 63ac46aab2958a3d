"""Convert request shapes to OpenAPI 2.0, which has no choice between types, and add the texts that a designer shows."""

from collections.abc import Iterable, Mapping
from typing import Any

from relay.api.openapi.json_schema import schemas_of
from relay.api.operation import Parameter
from relay.api.shapes.base import Shape

IMPORTANT = frozenset({"from", "to", "subject", "text", "html", "template", "variables", "messages", "events"})
"""Fields that a designer shows at once; the others are under its advanced options."""

_WORDS = {"id": "ID", "url": "URL", "html": "HTML", "at": "At"}
_FORMATS = {"html": "html", "content": "byte"}
"""Formats that a designer handles specially: an editor for HTML, and files, which it converts to base64."""
_CARRIED = ("type", "format", "enum")
_COUNTS = ("maxLength", "minItems", "maxItems", "minimum", "maximum")


def title(name: str) -> str:
    """Return the title of a field in a designer: Reply To for `reply_to`."""
    words = name.replace("callbackUrl", "callback_url").replace("-", "_").split("_")
    return " ".join(_WORDS.get(word, word[:1].upper() + word[1:]) for word in words)


def sentence(text: str) -> str:
    """Return a description without the backticks of Markdown, which designers would show."""
    plain = text.replace("`", "")
    return plain[:1].upper() + plain[1:]


def parameter(known: Parameter) -> dict[str, Any]:
    """Convert a parameter of the query or a header."""
    shown = {
        "name": known.name,
        "in": known.place,
        "x-ms-summary": title(known.name),
        "description": sentence(known.description),
        "x-ms-visibility": "important" if known.is_required else "advanced",
    }
    return {**shown, **known.schema, "required": known.is_required}


def body(shape: type[Shape], *, fields: Iterable[str], required: Iterable[str] = ()) -> dict[str, Any]:
    """Return the schema of the chosen fields of a request. `required` are fields that are required besides those of the shape."""
    known = schemas_of(shape)
    whole = known[shape.__name__]
    needed = [name for name in fields if name in {*whole.get("required", ()), *required}]
    shown = {name: _described(name, whole["properties"][name], known, is_required=name in needed) for name in fields}
    return {"type": "object", "required": needed, "properties": shown}


def _described(
    name: str, schema: Mapping[str, Any], known: Mapping[str, Any], *, is_required: bool = False
) -> dict[str, Any]:
    """Return the schema of a property with its title, its description and its visibility in a designer."""
    shown: dict[str, Any] = {
        "x-ms-summary": title(name),
        "description": sentence(schema["description"]),
        "x-ms-visibility": "important" if is_required or name in IMPORTANT else "advanced",
    }
    shown |= _plain(schema, known)
    if name in _FORMATS and shown["type"] == "string":
        shown["format"] = _FORMATS[name]
    return shown


def _plain(schema: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of the first type of a value: the shapes name the type that people usually write first."""
    chosen = _first(schema, known)
    plain = {key: chosen[key] for key in _CARRIED if key in chosen}
    plain |= {key: value for key in _COUNTS if (value := schema.get(key, chosen.get(key))) is not None}
    if "items" in chosen:
        plain["items"] = _plain(chosen["items"], known)
    if "properties" in chosen:
        plain["properties"] = {name: _described(name, each, known) for name, each in chosen["properties"].items()}
        if needed := chosen.get("required"):
            plain["required"] = needed
    elif chosen.get("type") == "object":
        values = chosen.get("additionalProperties")
        plain["additionalProperties"] = _plain(values, known) if isinstance(values, Mapping) else True
    return plain


def _first(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    while True:
        if reference := schema.get("$ref"):
            schema = known[reference.rpartition("/")[2]]
        elif choices := schema.get("anyOf") or schema.get("oneOf"):
            schema = next(each for each in choices if each.get("type") != "null")
        else:
            return schema
