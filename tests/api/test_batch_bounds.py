"""What the defaults of a batch are multiplied to has a limit. Measured are instructions and bytes, not time."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from relay.acceptance.draft import Draft, Limits
from relay.api.reading.batch import Batch, open_batch
from relay.api.reading.message import parse_message
from relay.core.errors import Refusal
from tests.api.harness import Harness, file, message
from tests.work import allocated, counted

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MEGABYTE = 1_000_000
DEFAULTS = {"from": "Shop <orders@example.com>", "subject": "Hello", "text": "Hi."}


def to(number: int, **fields: Any) -> dict[str, Any]:
    return {"to": f"r{number}@example.org", **fields}


def opened(body: Any, **limits: int) -> Batch:
    return open_batch(json.dumps(body).encode(), content_type="application/json", limits=Limits(**limits))


def parsed(body: Any, **limits: int) -> Sequence[Draft | Refusal]:
    return opened(body, **limits).read(NOW)


def refused(body: Any, **limits: int) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parsed(body, **limits)
    return caught.value


async def test_large_file_in_the_defaults_of_many_messages_is_refused_before_it_is_decoded(relay: Harness) -> None:
    defaults = {**DEFAULTS, "dry_run": True, "attachments": [file(bytes(2 * MEGABYTE))]}
    body = json.dumps({"defaults": defaults, "messages": [to(number) for number in range(1000)]}).encode()
    with allocated() as memory:
        response = await relay.call("POST", "/v1/messages/batch", body=body)
    assert (response.status, response.error["code"], response.error["target"]) == (413, "message_too_large", "defaults")
    assert memory.peak < 20 * MEGABYTE


def test_file_in_the_defaults_is_decoded_once_and_shared() -> None:
    content = base64.b64encode(bytes(MEGABYTE)).decode()
    defaults = {**DEFAULTS, "attachments": [{"name": "a.bin", "content": content}]}
    with allocated() as memory:
        drafts = parsed({"defaults": defaults, "messages": [to(number) for number in range(60)]})
    files = {id(draft.message.attachments[0].content) for draft in drafts if isinstance(draft, Draft)}
    assert (len(drafts), len(files)) == (60, 1)
    assert memory.peak < 10 * MEGABYTE


def test_headers_in_the_defaults_are_read_once() -> None:
    def work(messages: int) -> int:
        headers = {f"X-Header-{number}": "value" for number in range(100)}
        with counted() as work:
            parsed({"defaults": {**DEFAULTS, "headers": headers}, "messages": [to(n) for n in range(messages)]})
        return work.instructions

    def plain(messages: int) -> int:
        with counted() as work:
            parsed({"defaults": DEFAULTS, "messages": [to(number) for number in range(messages)]})
        return work.instructions

    work(2), plain(2)
    more, without = work(102) - work(2), plain(102) - plain(2)
    # Their size is estimated for each message, which is a fifth of what reading them takes.
    assert more - without < 100 * 100 * 60


def test_problem_in_the_defaults_is_reported_for_each_message_that_uses_it() -> None:
    defaults = {**DEFAULTS, "headers": {"Bcc": "x"}}
    first, second, third = parsed({"defaults": defaults, "messages": [to(0), to(1), to(2, headers=None)]})
    assert isinstance(third, Draft)
    for draft in (first, second):
        assert isinstance(draft, Refusal)
        assert [(each.code, each.target) for each in draft.problems] == [("forbidden_header", "defaults.headers.Bcc")]


def test_field_that_messages_replace_does_not_count() -> None:
    body = {"defaults": {**DEFAULTS, "text": "x" * 9_000}, "messages": [to(n, text="y") for n in range(100)]}
    assert len(parsed(body, max_batch_bytes=200_000)) == 100
    body["messages"] = [to(number) for number in range(100)]
    assert refused(body, max_batch_bytes=200_000).target == "defaults"


def test_many_values_that_many_messages_merge_are_refused() -> None:
    defaults = {"from": "a@example.com", "template": "t", "variables": {"rows": [0] * 3_000}}
    assert len(parsed({"defaults": defaults, "messages": [to(number) for number in range(1000)]})) == 1000
    refusal = refused({"defaults": defaults, "messages": [to(number, variables={"a": 1}) for number in range(1000)]})
    assert (refusal.status, refusal.problems[0].code, refusal.target) == (400, "too_many", "defaults")


def test_recipients_of_all_messages_are_limited_before_they_are_read() -> None:
    many = ",".join(f"a{number}@example.org" for number in range(1000))
    body = {"defaults": {**DEFAULTS, "cc": many}, "messages": [to(number) for number in range(1000)]}
    refusal = refused(body)
    assert (refusal.status, refusal.problems[0].code, refusal.target) == (400, "too_many_recipients", "messages")
    assert "10000" in refusal.message


def test_messages_are_read_until_they_are_too_large_together() -> None:
    body = {"defaults": DEFAULTS, "messages": [to(number, text="x" * 50_000) for number in range(200)]}
    # The first refusal loads modules, which is no work of a request.
    refusal = refused(body, max_batch_bytes=100_000)
    assert (refusal.status, refusal.code) == (413, "message_too_large")
    few, all_of_them = opened(body, max_batch_bytes=100_000), opened(body)
    with counted() as short, pytest.raises(Refusal):
        few.read(NOW)
    with counted() as long:
        all_of_them.read(NOW)
    assert short.instructions < long.instructions / 20


def test_problems_of_all_messages_have_one_limit() -> None:
    wrong = [to(number, tags=[f"é{tag}" for tag in range(10)]) for number in range(1000)]
    refusals = parsed({"defaults": DEFAULTS, "messages": wrong})
    problems = [len(refusal.problems) for refusal in refusals if isinstance(refusal, Refusal)]
    assert (len(problems), problems[0]) == (1000, 10)
    # Beyond the limit, each message has one problem and the number of the others.
    assert sum(problems) <= 1000 + 2 * 1000


@pytest.mark.parametrize("place", ["options", "variables"])
def test_long_names_are_not_copied_for_each_value_below_them(place: str) -> None:
    body = json.dumps(message(**{place: {"k" * 100_000: [0] * 50_000}})).encode()
    with allocated() as memory, pytest.raises(Refusal):
        parse_message(body, content_type="application/json", now=NOW, limits=Limits())
    assert memory.peak < 10 * MEGABYTE


def test_place_of_a_repeated_name_or_half_a_character_costs_only_where_it_is() -> None:
    deep: Any = [0] * 20_000
    for number in range(200):
        deep = {f"{'k' * 100}{number}": deep}
    text = json.dumps(message(variables=deep))
    for body in (text[:-1] + ', "text": "twice"}', text[:-1] + ', "html": "\\ud800"}'):
        with allocated() as memory, pytest.raises(Refusal):
            parse_message(body.encode(), content_type="application/json", now=NOW, limits=Limits())
        assert memory.peak < 20 * MEGABYTE


def test_name_in_a_target_is_shortened() -> None:
    body = json.dumps(message(**{"k" * 1000: 1})).encode()
    with pytest.raises(Refusal) as caught:
        parse_message(body, content_type="application/json", now=NOW, limits=Limits())
    assert len(caught.value.target or "") < 100
