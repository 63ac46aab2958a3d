"""Read the fields that the messages of a batch share, each once, and limit the size of a batch that has them in each message."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from relay.acceptance.draft import Limits
from relay.api.problems import Problems
from relay.api.reading.json_text import count_values
from relay.core.errors import Problem

MERGED = ("headers", "metadata", "variables")
"""Fields that are merged key by key; a message replaces any other field as a whole."""

type Reader[T] = Callable[[Any, Problems, Limits], T]


class Defaults:
    """The shared fields of a batch."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields
        self._read: dict[str, tuple[Any, Sequence[Problem]]] = {}

    def check(self, messages: Sequence[Any], problems: Problems, limits: Limits) -> None:
        """Note a problem if the batch would be too large with the shared fields in each message."""
        size = values = 0
        for name, field in self.fields.items():
            users = sum(1 for message in messages if isinstance(message, dict) and self._is_used(name, message))
            size += users * len(msgspec.json.encode(field))
            # Only a message that merges a field reads its values again.
            values += sum(1 for message in messages if self._is_merged(name, message)) * count_values(field)
        if size > limits.max_batch_bytes:
            text = f"The messages are too large together: their defaults alone have {size} bytes"
            problems.add(
                "message_too_large", "defaults", f"{text} (limit {limits.max_batch_bytes}). Send smaller batches."
            )
        if values > limits.max_default_values:
            text = f"Too many values to merge into {len(messages)} messages: {values} together"
            problems.add("too_many", "defaults", f"{text} (limit {limits.max_default_values}). Send smaller batches.")

    def merged(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a message, completed by the shared ones."""
        whole = {**self.fields, **message}
        for name in MERGED:
            shared, own = self.fields.get(name), message.get(name)
            if isinstance(shared, dict) and isinstance(own, dict):
                whole[name] = {**shared, **own}
        return whole

    def without_shared(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a message with only its own fields and From, for the check of its shape, which costs time for each value."""
        if not self.fields:
            return value
        shared = self.fields
        return {name: own for name, own in value.items() if name == "from" or own is not shared.get(name)}

    def read[T](self, name: str, read: Reader[T], problems: Problems, limits: Limits) -> T:
        """Read a shared field. All messages that use it get the same result and the same problems."""
        if name not in self._read:
            noted = Problems()
            self._read[name] = read(self.fields[name], noted, limits), noted.found
        result, found = self._read[name]
        for problem in found:
            problems.add(problem.code, problem.target, problem.message)
        known: T = result
        return known

    def _is_used(self, name: str, message: Mapping[str, Any]) -> bool:
        return name not in message or self._is_merged(name, message)

    def _is_merged(self, name: str, message: Any) -> bool:
        return name in MERGED and isinstance(message, dict) and isinstance(message.get(name), dict)


class MessageFields:
    """Reads the fields of one message: its own and the shared ones."""

    def __init__(self, value: Mapping[str, Any], defaults: Defaults, problems: Problems, limits: Limits) -> None:
        self._value = value
        self._defaults = defaults
        self._problems = problems
        self._limits = limits

    def read[T](self, name: str, read: Reader[T]) -> T:
        """Read a field."""
        own = self._value.get(name)
        if own is None or own is not self._defaults.fields.get(name):
            return read(own, self._problems, self._limits)
        return self._defaults.read(name, read, self._problems, self._limits)

    def read_present(self, readers: Mapping[str, Reader[Any]]) -> dict[str, Any]:
        """Read the fields of `readers` that the message has, by name. Most messages have none of them."""
        if readers.keys().isdisjoint(self._value):
            return {}
        return {name: self.read(name, read) for name, read in readers.items() if self._value.get(name) is not None}


NO_DEFAULTS = Defaults({})
