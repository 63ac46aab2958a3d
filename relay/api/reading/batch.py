"""Read a batch request: merge the shared fields into each message, and collect the problems of each message."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from relay.acceptance.draft import MAX_HTTP_BODY, Draft, Limits
from relay.api.problems import WHOLE, Problems, member
from relay.api.reading import json_text
from relay.api.reading.message import read_message
from relay.api.reading.shape import check_shape
from relay.api.shapes.requests import BatchEnvelope, MessageFields
from relay.core.errors import Refusal

_MERGED = ("headers", "metadata", "variables")
"""Fields that are merged key by key; a message replaces any other field as a whole."""
_MAX_PROBLEMS_EACH = 100


def parse_batch(body: bytes, *, content_type: str, now: datetime, limits: Limits) -> Sequence[Draft | Refusal]:
    """Return a draft or a refusal for each message. Raises `Refusal` if the request itself is wrong."""
    json_text.check_content_type(content_type)
    problems = Problems(limits.max_problems)
    value = json_text.read_json(body, MAX_HTTP_BODY, problems)
    check_shape(value, BatchEnvelope, problems)
    if not isinstance(value, dict):
        raise problems.refusal()
    defaults, messages = value.get("defaults") or {}, value.get("messages")
    if isinstance(defaults, dict):
        shared = Problems(limits.max_problems, lambda target: _under("defaults", target))
        check_shape(defaults, MessageFields, shared)
        problems.found += shared.found
    if isinstance(messages, list):
        _check_number(messages, problems, limits)
    problems.raise_any()
    return [_read(message, number, defaults, now, limits) for number, message in enumerate(messages or ())]


def _check_number(messages: Sequence[Any], problems: Problems, limits: Limits) -> None:
    if not messages:
        problems.add("required", "messages", "A batch needs at least one message.")
    elif len(messages) > limits.max_batch_messages:
        text = f"Too many messages: {len(messages)} (limit {limits.max_batch_messages}). Send several batches."
        problems.add("too_many", "messages", text)


def _read(message: Any, number: int, defaults: Mapping[str, Any], now: datetime, limits: Limits) -> Draft | Refusal:
    here = f"messages[{number}]"
    if not isinstance(message, dict):
        problems = Problems(1, lambda _: here)
        check_shape(message, MessageFields, problems)
        return problems.refusal()
    problems = Problems(_MAX_PROBLEMS_EACH, _place(here, message, defaults))
    draft = read_message(_merged(defaults, message), now, problems, limits)
    return problems.refusal() if problems else draft


def _merged(defaults: Mapping[str, Any], message: Mapping[str, Any]) -> dict[str, Any]:
    whole = {**defaults, **message}
    for name in _MERGED:
        shared, own = defaults.get(name), message.get(name)
        if isinstance(shared, dict) and isinstance(own, dict):
            whole[name] = {**shared, **own}
    return whole


def _place(here: str, message: Mapping[str, Any], defaults: Mapping[str, Any]) -> Callable[[str], str]:
    """Place a problem in the request: in the message itself, or in the defaults that the value came from."""

    def place(target: str) -> str:
        name = target.partition(".")[0].partition("[")[0]
        if name not in defaults:
            return _under(here, target)
        if name not in message:
            return _under("defaults", target)
        own = message[name]
        if name in _MERGED and isinstance(own, dict) and target != name:
            is_own = any(target == member(name, key) or target.startswith(f"{member(name, key)}.") for key in own)
            return _under(here if is_own else "defaults", target)
        return _under(here, target)

    return place


def _under(whole: str, target: str) -> str:
    if target == WHOLE:
        return whole
    return f"{whole}{target}" if target.startswith("[") else f"{whole}.{target}"
