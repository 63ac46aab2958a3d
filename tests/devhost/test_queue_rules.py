"""Queue rules: polling delays, settling, and what a function receives and returns."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from devhost.queue_rules import (
    Backoff,
    Completion,
    QueueMessage,
    completion,
    decode_body,
    encode_body,
    may_invoke,
    output_bodies,
    poison_queue_name,
    trigger_input,
    trigger_metadata,
)
from devhost.values import Datum
from tests.devhost.doubles import message

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def metadata_of(body: str | bytes) -> dict[str, str]:
    raw = body if isinstance(body, bytes) else body.encode()
    return {name: value.value for name, value in trigger_metadata(message(), raw, NOW).items()}


def delays(backoff: Backoff, *rounds: bool) -> list[float]:
    return [backoff.next_delay(found_messages=found) for found in rounds]


def test_delay_grows_exponentially_from_100_ms_to_the_maximum() -> None:
    assert delays(Backoff(2.0, lambda: 1.0), *[False] * 8) == pytest.approx([0.1, 0.2, 0.3, 0.5, 0.9, 1.7, 2.0, 2.0])


def test_first_delay_after_a_message_is_the_minimum() -> None:
    backoff = Backoff(2.0, lambda: 1.0)
    delays(backoff, *[False] * 8)
    assert delays(backoff, True, False, False) == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize(("factor", "expected"), [(0.8, [0.1, 0.18, 0.26, 0.42]), (1.2, [0.1, 0.22, 0.34, 0.58])])
def test_each_increment_has_jitter(factor: float, expected: list[float]) -> None:
    assert delays(Backoff(60.0, lambda: factor), *[False] * 4) == pytest.approx(expected)


def test_maximum_delay_has_no_jitter() -> None:
    assert delays(Backoff(1.0, lambda: 1.2), *[False] * 6)[-2:] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("succeeded", "count", "has_poison", "expected"),
    [
        (True, 1, True, Completion.DELETE),
        (True, 5, False, Completion.DELETE),
        (False, 4, True, Completion.RELEASE),
        (False, 5, True, Completion.POISON),
        (False, 6, True, Completion.POISON),
        (False, 1, False, Completion.LEAVE),
        (False, 5, False, Completion.LEAVE),
    ],
)
def test_completion_depends_on_success_dequeue_count_and_poison_queue(
    succeeded: bool, count: int, has_poison: bool, expected: Completion
) -> None:
    decided = completion(succeeded=succeeded, dequeue_count=count, max_dequeue_count=5, has_poison=has_poison)
    assert decided is expected


@pytest.mark.parametrize(("count", "always", "expected"), [(5, False, True), (6, False, False), (6, True, True)])
def test_message_above_the_dequeue_limit_does_not_run(count: int, always: bool, expected: bool) -> None:
    assert may_invoke(count, 5, always=always) is expected


@pytest.mark.parametrize(
    ("queue", "poison"),
    [("orders", "orders-poison"), ("orders-poison", None), ("x" * 57, None), ("x" * 56, f"{'x' * 56}-poison")],
)
def test_poison_queue_has_no_poison_queue(queue: str, poison: str | None) -> None:
    assert poison_queue_name(queue) == poison


def test_bodies_decode_from_base64_or_plain_text() -> None:
    assert decode_body("aGk=", is_base64=True) == b"hi"
    assert decode_body("aGk=", is_base64=False) == b"aGk="
    assert encode_body(b"hi", is_base64=True) == "aGk="
    assert encode_body(b"hi", is_base64=False) == "hi"


@pytest.mark.parametrize("text", ["{}", "aGk", "aG k=", "hé"])
def test_invalid_base64_has_no_body(text: str) -> None:
    assert decode_body(text, is_base64=True) is None


def test_input_is_text_by_default_and_bytes_on_request() -> None:
    text, raw = trigger_input(b"hi", is_binary=False), trigger_input(b"\xff", is_binary=True)
    assert text is not None
    assert raw is not None
    assert [(v.type, v.value) for v in (text, raw)] == [("string", "hi"), ("bytes", b"\xff")]
    assert trigger_input(b"\xff", is_binary=False) is None


def test_metadata_has_the_types_of_the_protocol() -> None:
    at = NOW - timedelta(hours=1)
    received = QueueMessage(
        id="m1", pop_receipt="r1", text="", dequeue_count=2, inserted_at=at, expires_at=at, next_visible_at=at
    )
    found = {name: (value.type, value.value) for name, value in trigger_metadata(received, b"hi", NOW).items()}
    time = ("json", '"2026-03-01T11:00:00+00:00"')
    assert found == {
        "DequeueCount": ("json", "2"),
        "ExpirationTime": time,
        "InsertionTime": time,
        "NextVisibleTime": time,
        "QueueTrigger": ("string", "hi"),
        "Id": ("string", "m1"),
        "PopReceipt": ("string", "r1"),
    }


def test_metadata_of_an_admin_invocation_has_no_id_or_receipt() -> None:
    made = QueueMessage(id="", pop_receipt="", text="", dequeue_count=0)
    found = {name: value.value for name, value in trigger_metadata(made, b"hi", NOW).items()}
    for_ever = '"9999-12-31T23:59:59.9999999+00:00"'
    assert found == {
        "DequeueCount": "0",
        "ExpirationTime": for_ever,
        "InsertionTime": '"2026-03-01T12:00:00+00:00"',
        "NextVisibleTime": for_ever,
        "QueueTrigger": "hi",
    }


def test_metadata_of_a_binary_body_has_no_queue_trigger() -> None:
    assert "QueueTrigger" not in metadata_of(b"\xff")


def test_json_body_fields_overwrite_metadata_ignoring_case() -> None:
    body = {"id": "mine", "DEQUEUECOUNT": 9, "popReceipt": True, "expirationTime": 1.5, "other": {"a": [1]}}
    found = metadata_of(json.dumps(body))
    assert (found["Id"], found["DequeueCount"], found["PopReceipt"]) == ("mine", "9", "True")
    assert (found["ExpirationTime"], found["other"]) == ("1.5", '{"a": [1]}')
    assert set(found) == {*metadata_of(""), "other"}


@pytest.mark.parametrize("body", ['{"id": ["mine"]}', '{"id": null}', '[{"id": "mine"}]', '"id"', '{"id": "mine"', ""])
def test_arrays_nulls_and_other_bodies_do_not_overwrite_metadata(body: str) -> None:
    assert metadata_of(body)["Id"] == "m1"


@pytest.mark.parametrize(
    ("value", "bodies"),
    [
        (Datum("bytes", b'{"a":1}'), [b'{"a":1}']),
        (Datum("string", "plain"), [b"plain"]),
        (Datum("string", '{"a":"\u00e9"}'), ['{\n  "a": "é"\n}'.encode()]),
        (Datum("string", '["a", {"b": 1}]'), [b"a", b'{\n  "b": 1\n}']),
        (Datum("string", "{broken"), [b"{broken"]),
        (Datum("json", '{"id": null, "body": "x"}'), [b'{\n  "id": null,\n  "body": "x"\n}']),
        (Datum("json", '["a", "b"]'), [b"a", b"b"]),
    ],
)
def test_output_keeps_bytes_and_rewrites_json(value: Datum, bodies: list[bytes]) -> None:
    assert output_bodies(value) == bodies
