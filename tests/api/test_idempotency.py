"""Idempotency keys over HTTP, also after a crash between the requests."""

import asyncio
import gzip
import json

from tests.api.harness import ApiResponse, Harness, message

KEY = {"Idempotency-Key": "9c5d2c9e"}


async def send(relay: Harness, **fields: object) -> ApiResponse:
    client = str(fields.pop("client", "app"))
    return await relay.call("POST", "/v1/messages", json=message(**fields), headers=KEY, client=client)


async def test_repeated_request_gets_the_first_response(relay: Harness) -> None:
    first, second = await send(relay), await send(relay)
    assert (first.status, first.body) == (second.status, second.body)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["operation-location"] == first.headers["operation-location"]
    assert relay.waiting == 1


async def test_field_order_does_not_change_the_payload(relay: Harness) -> None:
    first = await relay.call("POST", "/v1/messages", json=message(), headers=KEY)
    turned = dict(reversed(message().items()))
    second = await relay.call("POST", "/v1/messages", json=turned, headers={"Idempotency-Key": '"9c5d2c9e"'})
    assert second.json == first.json


async def test_idempotency_key_belongs_to_its_client(relay: Harness) -> None:
    await relay.add_client("other")
    assert (await send(relay)).json["id"] != (await send(relay, client="other", subject="another")).json["id"]


async def test_same_key_with_another_payload_is_refused(relay: Harness) -> None:
    await send(relay)
    assert (await send(relay, subject="Another")).status == 422
    assert relay.waiting == 1


async def test_key_expires_after_a_day(relay: Harness) -> None:
    first = await send(relay)
    relay.clock.move(24 * 3600 + 1)
    assert (await send(relay)).json["id"] != first.json["id"]


async def test_concurrent_requests_with_one_key_accept_one(relay: Harness) -> None:
    relay.queues.gate = asyncio.Event()
    first, *others = [asyncio.create_task(send(relay)) for _ in range(5)]
    assert [response.status for response in await asyncio.gather(*others)] == [409, 409, 409, 409]
    relay.queues.gate.set()
    assert (await first).status == 202
    assert relay.waiting == 1


async def test_request_can_be_retried_immediately_after_a_failed_put(relay: Harness) -> None:
    relay.queues.is_away = True
    assert (await send(relay)).status == 503
    relay.queues.is_away = False
    assert (await send(relay)).status == 202


async def test_retry_after_an_unrecorded_finish_changes_nothing(relay: Harness) -> None:
    relay.tables.failing = frozenset(("merge",))
    first = await send(relay)
    assert first.status == 202  # the message is durable
    relay.tables.failing = frozenset()
    relay.clock.move(31)
    again = await send(relay)
    assert (again.status, again.json) == (202, first.json)
    assert relay.waiting == 2
    await relay.deliver()
    assert len((await relay.call("GET", "/v1/inbox")).json["value"]) == 1
    assert (await relay.status(again.json["id"]))["state"] == "sent"


WORKFLOW = {
    "x-ms-workflow-run-id": "08584000000000000000000000000CU01",
    "x-ms-workflow-operation-name": "Send_mail",
    "x-ms-action-tracking-id": "7a1e7d2c-0000-4000-8000-000000000001",
}


async def act(relay: Harness, path: str = "/v1/messages", json: object = None, **headers: str) -> ApiResponse:
    """What an action of a workflow posts, without a key."""
    changed = WORKFLOW | {f"x-ms-{name.replace('_', '-')}": value for name, value in headers.items()}
    sent = {name: value for name, value in changed.items() if value}
    return await relay.call("POST", path, json=json or message(), headers=sent)


async def test_workflow_retry_of_a_post_sends_once(relay: Harness) -> None:
    first, second = await act(relay), await act(relay)
    assert second.json == first.json
    assert second.headers["idempotency-replayed"] == "true"
    assert relay.waiting == 1


async def test_workflow_retry_of_a_batch_sends_once(relay: Harness) -> None:
    batch = {"messages": [message(), message(subject="Another")]}
    first, second = [await act(relay, "/v1/messages/batch", batch) for _ in range(2)]
    assert second.json == first.json
    assert relay.waiting == 1


async def test_other_run_action_iteration_or_body_is_another_message(relay: Harness) -> None:
    responses = [
        await act(relay),
        await act(relay, json=message(subject="Another")),
        await act(relay, workflow_run_id="another"),
        await act(relay, workflow_operation_name="Another"),
        await act(relay, action_tracking_id="another"),
    ]
    assert len({response.json["id"] for response in responses}) == 5


async def test_incomplete_workflow_headers_derive_no_key(relay: Harness) -> None:
    first, second = [await act(relay, action_tracking_id="") for _ in range(2)]
    assert first.json["id"] != second.json["id"]


async def test_given_key_overrides_the_derived_key(relay: Harness) -> None:
    responses = [
        await relay.call("POST", "/v1/messages", json=message(), headers={**WORKFLOW, "Idempotency-Key": key})
        for key in ("one", "two")
    ]
    assert responses[0].json["id"] != responses[1].json["id"]


async def test_workflow_retry_during_its_first_post_gets_retry_after(relay: Harness) -> None:
    relay.queues.gate = asyncio.Event()
    first, second = [asyncio.create_task(act(relay)) for _ in range(2)]
    refused = await second
    assert (refused.status, refused.error["code"]) == (503, "idempotency_key_in_use")
    assert int(refused.headers["retry-after"]) >= 1
    relay.queues.gate.set()
    accepted = await first
    assert (await act(relay)).json == accepted.json


async def test_body_that_is_compressed_again_is_the_same_payload(relay: Harness) -> None:
    body = json.dumps(
        {
            "personalizations": [{"to": [{"email": "ada@example.org"}]}],
            "from": {"email": "orders@example.com"},
            "subject": "Order 4711",
            "content": [{"type": "text/plain", "value": "Thank you."}],
        }
    ).encode()
    first, second, other = [
        await relay.call(
            "POST", "/v3/mail/send", body=gzip.compress(sent, mtime=at), headers={**KEY, "Content-Encoding": "gzip"}
        )
        for at, sent in ((1, body), (2, body), (3, body.replace(b"4711", b"4712")))
    ]
    assert (first.status, second.status, other.status) == (202, 202, 400)
    assert second.headers["x-message-id"] == first.headers["x-message-id"]
    assert relay.waiting == 1


async def test_empty_idempotency_key_is_refused(relay: Harness) -> None:
    """A caller that sends one wants protection against duplicates, and would not have it."""
    answer = await relay.call("POST", "/v1/messages", json=message(), headers={"Idempotency-Key": ""})
    assert (answer.status, answer.error["code"]) == (400, "invalid_idempotency_key")
    assert relay.waiting == 0
