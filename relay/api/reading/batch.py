"""Read a batch request: merge the shared fields into each message, and collect the problems of each message."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from relay.acceptance.draft import MAX_HTTP_BODY, Draft, Limits
from relay.api.problems import MAX_PROBLEMS, WHOLE, Problems, member
from relay.api.reading import json_text
from relay.api.reading.addresses import count_mailboxes
from relay.api.reading.body import check_shape
from relay.api.reading.defaults import MERGED, Defaults
from relay.api.reading.message import read_message
from relay.api.shapes.requests import BatchEnvelope, MessageFields
from relay.core.errors import Problem, Refusal

_MAX_PROBLEMS_EACH = 100


def open_batch(body: bytes, *, content_type: str, limits: Limits) -> "Batch":
    """Decode a batch without reading its messages. Raises `Refusal` if the request as a whole is wrong."""
    json_text.check_content_type(content_type)
    problems = Problems()
    value = json_text.read_json(body, MAX_HTTP_BODY, problems)
    check_shape(value, BatchEnvelope, problems)
    if not isinstance(value, dict):
        raise problems.refusal()
    fields, messages = value.get("defaults") or {}, value.get("messages")
    if isinstance(fields, dict):
        shared = Problems(place=lambda target: _under("defaults", target))
        check_shape(fields, MessageFields, shared)
        problems.found += shared.found
    if isinstance(messages, list):
        _check_number(messages, problems, limits)
    problems.raise_any()
    defaults = Defaults(fields)
    defaults.check(messages or (), problems, limits)
    problems.raise_any()
    return Batch(messages or (), defaults, limits)


class Batch:
    """The messages of a request, as JSON."""

    def __init__(self, messages: Sequence[Any], defaults: Defaults, limits: Limits) -> None:
        self.messages = messages
        self._defaults = defaults
        self._limits = limits
        self._size = self._recipients = self._problems = 0

    def read(self, now: datetime) -> Sequence[Draft | Refusal]:
        """Return a draft or a refusal for each message. Raises `Refusal` if they are too large or have too many recipients."""
        return [self._read(number, message, now) for number, message in enumerate(self.messages)]

    def _read(self, number: int, message: Any, now: datetime) -> Draft | Refusal:
        problems = Problems(
            limit=min(_MAX_PROBLEMS_EACH, max(1, MAX_PROBLEMS - self._problems)),
            place=_place(f"messages[{number}]", message, self._defaults.fields),
        )
        if not isinstance(message, dict):
            check_shape(message, MessageFields, problems)
            return problems.refusal()
        fields = self._defaults.merged(message)
        self._count_recipients(fields)
        draft = read_message(fields, now, problems, self._limits, defaults=self._defaults)
        self._problems += len(problems.found)
        if problems:
            return problems.refusal()
        self._size += draft.size or 0
        if self._size > self._limits.max_batch_bytes:
            raise too_large_together(self._limits)
        return draft

    def _count_recipients(self, fields: Mapping[str, Any]) -> None:
        each = self._limits.max_recipients
        self._recipients += sum(count_mailboxes(fields.get(name), each) for name in ("to", "cc", "bcc"))
        if self._recipients > self._limits.max_batch_recipients:
            raise _too_many_recipients(self._limits)


def too_large_together(limits: Limits) -> Refusal:
    """Refuse messages that are too large together (413)."""
    text = f"The messages are too large together: more than {limits.max_batch_bytes} bytes. Send several batches."
    return Refusal(413, "message_too_large", text, target="messages")


def _too_many_recipients(limits: Limits) -> Refusal:
    text = f"Too many recipients in all messages together (limit {limits.max_batch_recipients}). Send several batches."
    problem = Problem(code="too_many_recipients", target="messages", message=text)
    return Refusal(400, "invalid_request", text, target="messages", problems=[problem])


def _check_number(messages: Sequence[Any], problems: Problems, limits: Limits) -> None:
    if not messages:
        problems.add("required", "messages", "A batch needs at least one message.")
    elif len(messages) > limits.max_batch_messages:
        text = f"Too many messages: {len(messages)} (limit {limits.max_batch_messages}). Send several batches."
        problems.add("too_many", "messages", text)


def _place(here: str, message: Any, defaults: Mapping[str, Any]) -> Callable[[str], str]:
    """Place a problem in the request: in the message itself, or in the defaults that the value came from."""
    if not isinstance(message, dict):
        return lambda _: here

    def place(target: str) -> str:
        name = target.partition(".")[0].partition("[")[0]
        if name not in defaults:
            return _under(here, target)
        if name not in message:
            return _under("defaults", target)
        own = message[name]
        if name in MERGED and isinstance(own, dict) and target != name:
            is_own = any(target == member(name, key) or target.startswith(f"{member(name, key)}.") for key in own)
            return _under(here if is_own else "defaults", target)
        return _under(here, target)

    return place


def _under(whole: str, target: str) -> str:
    if target == WHOLE:
        return whole
    return f"{whole}{target}" if target.startswith("[") else f"{whole}.{target}"
