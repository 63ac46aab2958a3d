"""POST /v1/messages/batch: a result for each message, with few storage operations."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from relay.clients.policy import Policy
from tests.api.harness import ApiResponse, Harness, message

DEFAULTS = {"from": "Shop <orders@example.com>", "subject": "Hello", "text": "Hi."}


async def batch(relay: Harness, messages: list[Any], headers: dict[str, str] | None = None, **more: Any) -> ApiResponse:
    body = {"defaults": DEFAULTS, "messages": messages, **more}
    return await relay.call("POST", "/v1/messages/batch", json=body, headers=headers)


def to(number: int, **fields: Any) -> dict[str, Any]:
    return {"to": f"r{number}@example.org", **fields}


async def test_results_are_in_the_order_of_messages(relay: Harness) -> None:
    response = await batch(relay, [to(0), {"to": "nobody"}, to(2, subject="Another", send_at="2026-03-02T12:00:00Z")])
    assert response.status == 202
    assert (response.json["accepted"], response.json["refused"]) == (2, 1)
    first, second, third = response.json["value"]
    assert (first["index"], first["status"], first["state"]) == (0, 202, "queued")
    assert (second["index"], second["status"], second["error"]["code"]) == (1, 400, "invalid_request")
    assert second["error"]["details"][0]["target"] == "messages[1].to"
    assert (third["status"], third["state"]) == (202, "scheduled")
    await relay.deliver()
    assert (await relay.status(first["id"]))["state"] == "sent"
    assert (await relay.status(third["id"]))["subject"] == "Another"


async def test_thousand_small_messages_cost_few_operations(relay: Harness) -> None:
    before = relay.queues.calls["put"], sum(relay.blobs.calls.values()), sum(relay.tables.calls.values())
    response = await batch(relay, [to(number) for number in range(1000)])
    accepted_with = relay.queues.calls["put"] + sum(relay.blobs.calls.values()) - before[0] - before[1]
    assert accepted_with <= 2
    assert sum(relay.tables.calls.values()) - before[2] <= 4  # once in a while: clients, the key's use, two lists
    names = [each["id"] for each in response.json["value"]]
    assert len(set(names)) == 1000
    await relay.deliver()
    puts = relay.queues.calls["put"] - before[0]
    assert puts <= 40  # the entry that names them all, and those it becomes
    inbox = [mail async for mail in relay.relay.inbox.all()]
    assert sorted(mail.recipients[0] for mail in inbox) == sorted(f"r{number}@example.org" for number in range(1000))
    assert {mail.message for mail in inbox} == set(names)


async def test_headers_metadata_and_variables_are_merged_key_by_key(relay: Harness) -> None:
    response = await relay.call(
        "POST",
        "/v1/messages/batch",
        json={
            "defaults": {**DEFAULTS, "metadata": {"run": "7", "kind": "a"}, "tags": ["one"]},
            "messages": [to(0, metadata={"kind": "b"}, tags=["two"]), to(1)],
        },
    )
    await relay.deliver()
    first, second = [await relay.status(each["id"]) for each in response.json["value"]]
    assert (first["metadata"], first["tags"]) == ({"run": "7", "kind": "b"}, ["two"])
    assert (second["metadata"], second["tags"]) == ({"run": "7", "kind": "a"}, ["one"])


async def test_problem_is_placed_in_the_message_or_the_defaults(relay: Harness) -> None:
    defaults = {**DEFAULTS, "subject": "a\nb", "headers": {"Bcc": "x@example.com", "X-A": "1"}}
    response = await relay.call(
        "POST",
        "/v1/messages/batch",
        json={"defaults": defaults, "messages": [to(0, headers={"To": "y@example.com"}), to(1, subject="fine"), 7]},
    )
    assert response.status == 400
    assert response.error["code"] == "no_message_accepted"
    assert [[detail["target"] for detail in each["error"]["details"]] for each in response.json["value"]] == [
        ["defaults.subject", "defaults.headers.Bcc", "messages[0].headers.To"],
        ["defaults.headers.Bcc"],
        ["messages[2]"],
    ]


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, [("required", "messages")]),
        ({"messages": []}, [("required", "messages")]),
        ({"messages": {}}, [("wrong_type", "messages")]),
        ({"messages": [{}] * 1001}, [("too_many", "messages")]),
        ({"messages": [{}], "default": {}}, [("unknown_field", "default")]),
        (
            {"messages": [{}], "defaults": {"subjet": "x", "cc": 7}},
            [("wrong_type", "defaults.cc"), ("unknown_field", "defaults.subjet")],
        ),
    ],
)
async def test_wrong_batch_request_is_refused(relay: Harness, body: Any, problems: list[tuple[str, str]]) -> None:
    response = await relay.call("POST", "/v1/messages/batch", json=body)
    assert response.status == 400
    assert sorted(response.problems) == sorted(problems)
    assert relay.waiting == 0


async def test_policy_is_applied_to_each_message(relay: Harness) -> None:
    await relay.add_client("limited", policy=Policy(recipients=("*@example.org",)))
    body = {"defaults": DEFAULTS, "messages": [to(0), {"to": "eve@elsewhere.example"}]}
    response = await relay.call("POST", "/v1/messages/batch", json=body, client="limited")
    assert [each["status"] for each in response.json["value"]] == [202, 403]
    assert response.json["value"][1]["error"]["details"][0]["target"] == "messages[1].to[0]"


async def test_messages_of_one_batch_may_use_different_lanes(relay: Harness) -> None:
    response = await batch(relay, [to(0), to(1, lane="bulk"), to(2)])
    assert [each["status"] for each in response.json["value"]] == [202, 202, 202]
    await relay.deliver()
    lanes = [(await relay.status(each["id"]))["lane"] for each in response.json["value"]]
    assert lanes == ["transactional", "bulk", "transactional"]


async def test_dry_run_of_a_batch_accepts_nothing(relay: Harness) -> None:
    response = await batch(relay, [to(0, dry_run=True), to(1, dry_run=True, subject="")])
    assert response.status == 200
    assert [each["status"] for each in response.json["value"]] == [200, 400]
    assert relay.waiting == 0


async def test_same_idempotency_key_gives_the_same_messages(relay: Harness) -> None:
    headers = {"Idempotency-Key": "batch-1"}
    messages = [to(number) for number in range(100)] + [{"to": "nobody"}]
    first, second = [await batch(relay, messages, headers) for _ in range(2)]
    assert (first.status, first.body) == (second.status, second.body)
    assert second.headers["idempotency-replayed"] == "true"
    other = await batch(relay, messages[:1], headers)
    assert other.error["code"] == "idempotency_key_reused"


# ── a repetition after something changed ──

LONG = {"from": "Shop <orders@example.com>", "subject": "Hello", "text": "x" * 1_750}
KEY = {"Idempotency-Key": "batch-1"}


async def send_sixty(relay: Harness, headers: dict[str, str] | None = None) -> ApiResponse:
    """Send 60 messages of 1,750 bytes, due four seconds after the start."""
    messages = [to(number, send_at="2026-03-01T12:00:04Z") for number in range(60)]
    return await batch(relay, messages, {**KEY, **(headers or {})}, defaults=LONG)


async def send_times(relay: Harness) -> Counter[str]:
    """Count the sent mails by message id."""
    return Counter([mail.message async for mail in relay.relay.inbox.all()])


async def interrupted(relay: Harness, port: str, method: str) -> None:
    """Send once, and lose the response of one storage call after it took effect."""
    getattr(relay, port).losing = frozenset({method})
    assert (await send_sixty(relay)).status == 503
    getattr(relay, port).losing = frozenset()


async def finish_sixty(relay: Harness, headers: dict[str, str] | None = None) -> None:
    """Repeat the request, and check that each recipient got one mail."""
    again = await send_sixty(relay, headers)
    assert (again.status, again.headers["idempotency-replayed"]) == (202, "true")
    assert (again.json["accepted"], again.json["refused"]) == (60, 0)
    await relay.pass_time(30)
    assert set((await send_times(relay)).values()) == {1}
    assert len(await send_times(relay)) == 60
    states = {(await relay.status(each["id"]))["state"] for each in again.json["value"]}
    assert states == {"sent"}


@pytest.mark.parametrize(("port", "method"), [("queues", "put"), ("tables", "insert")])
async def test_interrupted_batch_repeated_after_its_due_time_sends_each_message_once(
    relay: Harness, port: str, method: str
) -> None:
    await interrupted(relay, port, method)
    await relay.pass_time(40)
    await finish_sixty(relay)


async def test_trace_header_on_one_try_only_changes_nothing(relay: Harness) -> None:
    await interrupted(relay, "queues", "put")
    relay.clock.move(31)
    await finish_sixty(relay, {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})


async def test_policy_change_between_tries_does_not_refuse_messages_of_the_first(relay: Harness) -> None:
    await interrupted(relay, "queues", "put")
    relay.clock.move(31)
    policy = Policy(recipients=("r1@example.org",))
    await relay.relay.clients.change("app", lambda client: msgspec.structs.replace(client, policy=policy))
    relay.clock.move(120)
    await finish_sixty(relay)


async def test_suppression_between_tries_does_not_drop_recipients_of_the_first(relay: Harness) -> None:
    await interrupted(relay, "queues", "put")
    relay.clock.move(31)
    added = await relay.call("POST", "/v1/suppressions", json={"email": "r5@example.org"})
    assert added.status in (200, 201)
    again = await send_sixty(relay)
    assert again.json["accepted"] == 60
    assert all("suppressed" not in each for each in again.json["value"])


async def test_retry_after_a_released_key_finishes_immediately(relay: Harness) -> None:
    relay.queues.failing = frozenset({"put"})
    assert (await send_sixty(relay)).status == 503
    relay.queues.failing = frozenset()
    await finish_sixty(relay)


async def test_lanes_of_one_batch_become_durable_together_or_not_at_all(relay: Harness) -> None:
    relay.queues.most["put"] = 0
    first = await batch(relay, [to(0, lane="bulk"), to(1)])
    assert (first.status, relay.waiting) == (503, 0)
    relay.queues.most.clear()
    assert (await batch(relay, [to(0, lane="bulk"), to(1)])).status == 202
    assert relay.waiting == 1
    await relay.deliver()
    assert set((await send_times(relay)).values()) == {1}


async def test_unavailable_storage_refuses_the_batch(relay: Harness) -> None:
    relay.queues.is_away = True
    response = await batch(relay, [to(0), to(1)])
    assert response.status == 503
    assert response.headers["retry-after"] == "7"


async def test_oversized_batch_is_refused(relay: Harness) -> None:
    file = {"name": "a.bin", "content": "QUFB" * 200_000}
    response = await batch(relay, [to(n) for n in range(200)], defaults={**DEFAULTS, "attachments": [file]})
    assert (response.status, response.error["code"]) == (413, "message_too_large")
    assert relay.waiting == 0


async def test_invalid_message_does_not_affect_the_others(relay: Harness) -> None:
    response = await batch(relay, [message(to="ada@example.org"), message(form="x"), to(2)])
    assert [each["status"] for each in response.json["value"]] == [202, 400, 202]
