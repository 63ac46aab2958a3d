"""Decide for the queue trigger, without I/O: when to poll, how to settle a message, what a function receives.

Source: azure-sdk-for-net Storage.Queues extension 5.3.7 (QueueListener, QueueProcessor, QueueTriggerBinding,
RandomizedExponentialBackoffStrategy) and azure-functions-host (WorkerFunctionInvoker, FunctionBinding).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum

import msgspec

from devhost.settings import is_queue_name
from devhost.values import Datum

MIN_DELAY_SECONDS = 0.1
FOREVER = "9999-12-31T23:59:59.9999999+00:00"


class QueueMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A received message. `text` is as stored on the queue (base64 or not); times are aware UTC or None."""

    id: str
    pop_receipt: str
    text: str
    dequeue_count: int
    inserted_at: datetime | None = None
    expires_at: datetime | None = None
    next_visible_at: datetime | None = None


class Backoff:
    """Randomized exponential delay between polls of an empty queue, in seconds.

    `jitter` returns a factor from 0.8 to 1.2. The delay is 100 ms after a message was found, then 100 ms plus 100 ms,
    200 ms, 400 ms and so on, each increment jittered. A delay that reaches the maximum stays exactly there.
    """

    def __init__(self, max_seconds: float, jitter: Callable[[], float]) -> None:
        self._max = max_seconds
        self._jitter = jitter
        self._current = MIN_DELAY_SECONDS
        self._exponent = 0

    def next_delay(self, *, found_messages: bool) -> float:
        """Return the delay after an empty poll; `found_messages`: whether any arrived since the last delay."""
        if found_messages:
            self._current, self._exponent = MIN_DELAY_SECONDS, 1
        elif self._current != self._max:
            delay = MIN_DELAY_SECONDS
            if self._exponent > 0:
                delay += self._jitter() * 2 ** (self._exponent - 1) * MIN_DELAY_SECONDS
            if delay < self._max:
                self._current, self._exponent = delay, self._exponent + 1
            else:
                self._current = self._max
        return self._current


class Completion(Enum):
    """How to settle a message after its invocation."""

    DELETE = "delete"
    RELEASE = "release"  # visible again after host.json visibilityTimeout
    POISON = "poison"  # copy to the poison queue, then delete
    LEAVE = "leave"  # do nothing: it stays invisible until its lease ends


def poison_queue_name(queue: str) -> str | None:
    """Return `<queue>-poison`; None for a poison queue itself, or if the result is not a valid name."""
    name = f"{queue}-poison"
    return None if queue.endswith("-poison") or not is_queue_name(name) else name


def may_invoke(dequeue_count: int, max_dequeue_count: int, *, always: bool) -> bool:
    """Return whether to run the function. A message above the maximum may have crashed the process: do not run it.

    `always` is the 5.3.8 extension on a poison queue's trigger; 5.3.7 applies the rule there as well.
    """
    return always or dequeue_count <= max_dequeue_count


def completion(*, succeeded: bool, dequeue_count: int, max_dequeue_count: int, has_poison: bool) -> Completion:
    """Decide how to settle a message."""
    if succeeded:
        return Completion.DELETE
    if not has_poison:
        return Completion.LEAVE
    return Completion.RELEASE if dequeue_count < max_dequeue_count else Completion.POISON


def decode_body(text: str, *, is_base64: bool) -> bytes | None:
    """Return the body, or None if it should be base64 and is not."""
    if not is_base64:
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def encode_body(body: bytes, *, is_base64: bool) -> str:
    """Return the text to put on a queue."""
    return base64.b64encode(body).decode() if is_base64 else body.decode()


def trigger_input(body: bytes, *, is_binary: bool) -> Datum | None:
    """Return the function's argument; None if it takes text and the body is not UTF-8 (a failed attempt)."""
    if is_binary:
        return Datum("bytes", body)
    text = utf8(body)
    return None if text is None else Datum("string", text)


def utf8(body: bytes) -> str | None:
    """Return the text, or None if the body is not UTF-8."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def trigger_metadata(message: QueueMessage, body: bytes, now: datetime) -> dict[str, Datum]:
    """Return the trigger metadata. Fields of a JSON object in the body overwrite it, ignoring case."""
    metadata = {
        "DequeueCount": Datum("json", str(message.dequeue_count)),
        "ExpirationTime": _time(message.expires_at),
        "InsertionTime": _time(message.inserted_at or now),
        "NextVisibleTime": _time(message.next_visible_at),
    }
    text = utf8(body)
    if text is not None:
        metadata["QueueTrigger"] = Datum("string", text)
    # Both are absent when the admin page invokes the function.
    if message.id:
        metadata["Id"] = Datum("string", message.id)
    if message.pop_receipt:
        metadata["PopReceipt"] = Datum("string", message.pop_receipt)
    _overwrite(metadata, text or "")
    return metadata


def _time(moment: datetime | None) -> Datum:
    text = FOREVER if moment is None or moment.year == 9999 else moment.astimezone(UTC).isoformat()
    return Datum("json", f'"{text}"')


def _overwrite(metadata: dict[str, Datum], text: str) -> None:
    if not text.lstrip().startswith("{"):
        return
    try:
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return
    names = {name.lower(): name for name in metadata}
    for field, raw in fields.items():
        value = _field_value(bytes(raw).decode())
        if value is not None:
            metadata[names.setdefault(field.lower(), field)] = value


def _field_value(raw: str) -> Datum | None:
    """Convert a top-level field to binding data: objects as JSON, scalars as .NET writes them, no arrays or null."""
    if raw.startswith("[") or raw == "null":
        return None
    if raw.startswith("{"):
        return Datum("json", raw)
    if raw.startswith('"'):
        return Datum("string", json.loads(raw))
    return Datum("string", {"true": "True", "false": "False"}.get(raw, raw))


def output_bodies(value: Datum) -> list[bytes]:
    """Return the messages of a `queue` output: bytes unchanged, JSON text rewritten, one message per array item."""
    if value.type == "bytes":
        return [bytes(value.value)]
    text = str(value.value)
    if not text.lstrip().startswith(("{", "[")):
        return [text.encode()]
    try:
        content = json.loads(text)
    except ValueError:
        return [text.encode()]
    items = content if isinstance(content, list) else [content]
    return [_rewritten(item) for item in items]


def _rewritten(item: object) -> bytes:
    # JToken.ToString() writes objects with an indent of two.
    return (item if isinstance(item, str) else json.dumps(item, indent=2, ensure_ascii=False)).encode()
