"""Names and types of a request's fields, checked by pydantic and told in our words."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from relay.api.problems import Problems, path, printable
from relay.api.shapes import requests

_MAX_ELEMENTS = 2_000
"""Elements of a list or members of an object that are looked at: more than any field may have."""
_BOUNDED_DEPTH = 5
"""How deep a shape goes: a field, its elements, their members."""
_MAX_SUGGESTIONS = 20
"""Unknown names that are compared with the known ones; the comparison is slow."""
_KINDS: dict[type[object], str] = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a text",
}
_KINDS |= {list: "a list", dict: "an object"}
_WANTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "dict_type": "an object",
    "list_type": "a list",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
_ELSEWHERE = {
    "sender": "from",
    "recipient": "to",
    "recipients": "to",
    "replyto": "reply_to",
    "body": "text` or `html",
    "content": "text` or `html",
    "message": "text` or `html",
    "plaintext": "text",
    "textbody": "text",
    "htmlbody": "html",
    "categories": "tags",
    "tag": "tags",
    "customargs": "metadata",
    "files": "attachments",
    "scheduledat": "send_at",
    "sendat": "send_at",
    "ttl": "expires_in_seconds",
    "queue": "lane",
    "provider": "route",
    "bounceaddress": "return_path",
    "templateid": "template",
    "dynamictemplatedata": "variables",
    "substitutions": "variables",
}
"""What other mail APIs call a field of a message, without `_` and case: ours."""
_ELSEWHERE_IN_FILES = {
    "filename": "name",
    "contentbytes": "content",
    "contentinbase64": "content",
    "data": "content",
    "contenttype": "type",
    "mimetype": "type",
    "contentid": "content_id",
    "cid": "content_id",
}
_ELSEWHERE_IN_ADDRESSES = {"address": "email", "emailaddress": "email", "displayname": "name"}
_ELSEWHERE_OF: Mapping[type[BaseModel], Mapping[str, str]] = {
    requests.MessageFields: _ELSEWHERE,
    requests.AttachmentObject: _ELSEWHERE_IN_FILES,
    requests.AddressObject: _ELSEWHERE_IN_ADDRESSES,
}


def check_shape(value: object, model: type[BaseModel], faults: Problems) -> None:
    """Note everything that `model` does not admit: unknown, missing and wrongly typed fields."""
    try:
        model.__pydantic_validator__.validate_python(_bounded(value))
    except ValidationError as error:
        unknown = 0
        for detail in error.errors(include_url=False):
            unknown += detail["type"] == "extra_forbidden"
            _note(detail, model, faults, suggest=unknown <= _MAX_SUGGESTIONS)


def kind(value: object) -> str:
    """What a JSON value is, in words."""
    return _KINDS.get(type(value), "another type")


def _bounded(value: object, depth: int = _BOUNDED_DEPTH) -> object:
    """The value without what no field has room for, so that a million wrong elements are not a million errors."""
    if depth and isinstance(value, dict):
        members = itertools.islice(value.items(), _MAX_ELEMENTS)
        return {name: _bounded(each, depth - 1) for name, each in members}
    if depth and isinstance(value, list):
        return [_bounded(each, depth - 1) for each in value[:_MAX_ELEMENTS]]
    return value


def _note(detail: ErrorDetails, model: type[BaseModel], faults: Problems, *, suggest: bool) -> None:
    steps = [step for step in detail["loc"] if step not in requests.TAGS]
    target = path(steps)
    value = detail["input"]
    match detail["type"]:
        case "missing":
            faults.add("required", target, f"This field is required. {_description(steps, model)}".rstrip())
        case "expected" if value is None:
            faults.add("required", target, f"This field is required: {detail['msg']}.")
        case "expected":
            faults.add("wrong_type", target, f"This is {kind(value)}; it must be {detail['msg']}.")
        case "extra_forbidden":
            faults.add("unknown_field", target, _unknown(steps, model, suggest=suggest))
        case "greater_than_equal" | "less_than_equal":
            faults.add("out_of_range", target, f"{detail['msg'].replace('Input', 'The number')}.")
        case "literal_error":
            faults.add("invalid_choice", target, f"The value must be {detail['ctx']['expected']}.")
        case wanted if wanted in _WANTED:
            faults.add(
                "wrong_type", target, f"This is {kind(value)}; it must be {_WANTED[wanted]}.{_quotes(wanted, value)}"
            )
        case _:
            faults.add("invalid_value", target, f"{detail['msg']}.")


def _quotes(wanted: str, value: object) -> str:
    is_scalar = isinstance(value, int | float) and not isinstance(value, bool)
    return " Put it in quotes." if wanted == "string_type" and is_scalar else ""


def _unknown(steps: Sequence[str | int], model: type[BaseModel], *, suggest: bool) -> str:
    name = str(steps[-1])
    shown = printable(name[:80])
    if not suggest:
        return f"There is no field `{shown}`."
    fields, elsewhere = _fields(steps, model)
    close = elsewhere.get(name.replace("_", "").replace("-", "").lower(), "")
    if not close and len(name) <= 64:
        close = next(iter(get_close_matches(name.lower(), fields, n=1, cutoff=0.6)), "")
    if close:
        return f"There is no field `{shown}`. Did you mean `{close}`?"
    return f"There is no field `{shown}`. There are: {', '.join(fields)}."


def _fields(steps: Sequence[str | int], model: type[BaseModel]) -> tuple[Sequence[str], Mapping[str, str]]:
    """The names there are where `steps` leads, and what others call them."""
    place = _model_at(steps, model)
    elsewhere = next((names for kind, names in _ELSEWHERE_OF.items() if issubclass(place, kind)), {})
    return _names(place), elsewhere


def _model_at(steps: Sequence[str | int], model: type[BaseModel]) -> type[BaseModel]:
    """The model of the object that has, or should have, the member that `steps` leads to."""
    for step in steps[:-1]:
        field = next((field for name, field in model.model_fields.items() if (field.alias or name) == step), None)
        model = next(_models_in(field.annotation), model) if field is not None else model
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _names(model: type[BaseModel]) -> Sequence[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _description(steps: Sequence[str | int], model: type[BaseModel]) -> str:
    for name, field in _model_at(steps, model).model_fields.items():
        if (field.alias or name) == steps[-1]:
            return str(field.description or "")
    return ""
