"""Files that are uploaded once and attached to many messages."""

from typing import Any

import pytest

from relay.clients.uploads import MAX_PART_BYTES
from relay.platform.resources import ATTACHMENTS_CONTAINER
from tests.api.harness import BASE, ApiResponse, Harness, file, message

DAY = 86_400
PDF = {"Content-Type": "application/pdf"}


async def upload(
    relay: Harness, body: bytes = b"%PDF-1.7", query: str = "?name=invoice.pdf", **more: Any
) -> ApiResponse:
    return await relay.call("POST", f"/v1/attachments{query}", body=body, headers=more.pop("headers", PDF), **more)


async def files(relay: Harness) -> list[tuple[str, str, str]]:
    """Return name, type and content of each attachment in the newest mail."""
    [newest, *_] = (await relay.call("GET", "/v1/inbox")).json["value"]
    shown = (await relay.call("GET", f"/v1/inbox/{newest['name']}")).json
    return [(each["name"], each["type"], each["content"]) for each in shown["attachments"]]


async def blobs(relay: Harness) -> list[str]:
    return [blob.name for blob in (await relay.memory.blobs.list(ATTACHMENTS_CONTAINER))[0]]


async def test_uploaded_file_is_attached_to_each_message_that_names_it(relay: Harness) -> None:
    content = bytes(range(256)) * 100
    response = await upload(relay, content)
    assert response.status == 201
    assert response.headers["location"] == f"{BASE}/v1/attachments/{response.json['id']}"
    expected = {"name": "invoice.pdf", "type": "application/pdf", "size": 25_600, "is_complete": True}
    assert response.json == {**response.json, **expected, "expires_at": "2026-03-02T12:00:00Z"}
    for attachment, name in [({}, "invoice.pdf"), ({"name": "Rechnung.pdf"}, "Rechnung.pdf")]:
        relay.clock.move(1)  # so that it is the newest
        await relay.send(attachments=[{"id": response.json["id"], **attachment}])
        await relay.deliver()
        assert await files(relay) == [(name, "application/pdf", file(content)["content"])]


async def test_uploaded_file_counts_toward_the_message_size(relay: Harness) -> None:
    name = (await upload(relay, b"x" * 100_000)).json["id"]
    sent = await relay.send(attachments=[{"id": name}, file()])
    await relay.deliver()
    assert (await relay.status(sent))["size"] > 130_000
    small = await Harness({"RELAY_MAX_MESSAGE_BYTES": "10000"}).start()
    large = (await upload(small, b"x" * 10_000)).json["id"]
    refused = await small.call("POST", "/v1/messages", json=message(attachments=[{"id": large}]))
    assert (refused.status, refused.error["code"]) == (413, "message_too_large")


@pytest.mark.parametrize(
    ("query", "headers", "kind"),
    [
        ("?name=a.png", {"Content-Type": "application/x-www-form-urlencoded"}, "image/png"),
        ("?name=a.png&type=text/plain", PDF, "text/plain"),
        ("?name=a.bin", PDF, "application/pdf"),
    ],
)
async def test_upload_type_comes_from_query_header_or_name(
    relay: Harness, query: str, headers: dict[str, str], kind: str
) -> None:
    response = await upload(relay, query=query, headers=headers)
    assert response.json["type"] == kind
    assert (await relay.call("GET", f"/v1/attachments/{response.json['id']}")).json == response.json


@pytest.mark.parametrize(
    ("query", "body", "problems"),
    [
        ("", b"x", [("required", "name")]),
        ("?name=a/b&type=pdf&parts=yes", b"x", ["invalid_file_name", "invalid_media_type", "invalid_choice"]),
        ("?name=a%0Ab", b"x", [("invalid_text", "name")]),
        ("?name=a&parts=true", b"x", [("not_applicable", "parts")]),
        ("?name=a", b"", ["empty_body"]),
    ],
)
async def test_invalid_upload_is_refused(relay: Harness, query: str, body: bytes, problems: list[Any]) -> None:
    response = await upload(relay, body, query)
    assert response.status == 400
    codes = [code for code, _ in response.problems] or [response.error["code"]]
    assert problems in (response.problems, codes)
    assert await blobs(relay) == []


async def begin(relay: Harness) -> str:
    response = await upload(relay, b"", "?name=big.bin&parts=true")
    assert response.status == 201
    assert response.json["is_complete"] is False
    assert response.json["max_part_bytes"] == MAX_PART_BYTES
    return str(response.json["id"])


async def part(relay: Harness, name: str, number: object, body: bytes) -> ApiResponse:
    return await relay.call("PUT", f"/v1/attachments/{name}/parts/{number}", body=body)


async def complete(relay: Harness, name: str) -> ApiResponse:
    return await relay.call("POST", f"/v1/attachments/{name}/complete")


async def test_parts_can_arrive_in_any_order_and_repeatedly(relay: Harness) -> None:
    name = await begin(relay)
    for number, body in [(2, b"two"), (3, b"3"), (1, b"wrong"), (1, b"one")]:
        assert (await part(relay, name, number, body)).status == 204
    for _ in range(2):
        whole = await complete(relay, name)
        assert (whole.status, whole.json["size"], whole.json["is_complete"]) == (200, 7, True)
    assert await blobs(relay) == [f"uploads/{name}"]
    await relay.send(attachments=[{"id": name}])
    await relay.deliver()
    assert await files(relay) == [("big.bin", "application/pdf", file(b"onetwo3")["content"])]
    assert (await part(relay, name, 4, b"late")).error["code"] == "attachment_complete"


async def test_incomplete_upload_cannot_be_attached(relay: Harness) -> None:
    name = await begin(relay)
    assert (await complete(relay, name)).error["code"] == "attachment_incomplete"
    await part(relay, name, 1, b"a")
    await part(relay, name, 3, b"c")
    response = await complete(relay, name)
    assert response.error["code"] == "attachment_incomplete"
    assert "part 2" in response.error["message"]
    refused = await relay.call("POST", "/v1/messages", json=message(attachments=[{"id": name}]))
    assert refused.problems == [("unknown_attachment", "attachments[0].id")]
    assert relay.waiting == 0


@pytest.mark.parametrize(
    ("number", "body", "problem"),
    [
        ("0", b"x", ("out_of_range", "number")),
        ("1001", b"x", ("out_of_range", "number")),
        ("x", b"x", ("out_of_range", "number")),
        ("1", b"", ("required", "$")),
        ("1", b"x" * (MAX_PART_BYTES + 1), ("too_large", "$")),
    ],
)
async def test_invalid_upload_part_is_refused(
    relay: Harness, number: str, body: bytes, problem: tuple[str, str]
) -> None:
    response = await part(relay, await begin(relay), number, body)
    assert response.problems == [problem]


async def test_oversized_upload_is_refused(relay: Harness) -> None:
    name = await begin(relay)
    for number in range(1, 11):
        await part(relay, name, number, b"x" * MAX_PART_BYTES)
    assert (await complete(relay, name)).status == 413


async def test_upload_belongs_to_its_client(relay: Harness) -> None:
    await relay.add_client("other")
    name = (await upload(relay)).json["id"]
    assert (await relay.call("GET", f"/v1/attachments/{name}", client="other")).error["code"] == "attachment_not_found"
    refused = await relay.call("POST", "/v1/messages", json=message(attachments=[{"id": name}]), client="other")
    assert refused.problems == [("unknown_attachment", "attachments[0].id")]
    assert (await relay.call("DELETE", f"/v1/attachments/{name}", client="other")).status == 204
    assert (await relay.call("GET", f"/v1/attachments/{name}")).status == 200


async def test_every_unknown_file_is_reported(relay: Harness) -> None:
    attachments = [{"id": "att_1"}, file(), {"id": "att_2"}]
    response = await relay.call("POST", "/v1/messages", json=message(attachments=attachments))
    assert response.problems == [
        ("unknown_attachment", "attachments[0].id"),
        ("unknown_attachment", "attachments[2].id"),
    ]
    body = {"defaults": {"attachments": attachments}, "messages": [message()]}
    [result] = (await relay.call("POST", "/v1/messages/batch", json=body)).json["value"]
    assert [each["target"] for each in result["error"]["details"]] == [
        "messages[0].attachments[0].id",
        "messages[0].attachments[2].id",
    ]


async def test_file_of_a_batch_is_read_once(relay: Harness) -> None:
    name = (await upload(relay)).json["id"]
    before = relay.tables.calls["get"] + relay.tables.calls["merge"]
    body = {"defaults": {"attachments": [{"id": name}]}, "messages": [message() for _ in range(20)]}
    response = await relay.call("POST", "/v1/messages/batch", json=body)
    assert response.json["accepted"] == 20
    assert relay.tables.calls["get"] + relay.tables.calls["merge"] - before == 2
    await relay.deliver()
    assert len(await files(relay)) == 1


async def test_forbidden_file_type_is_refused_by_the_upload_name(relay: Harness) -> None:
    name = (await upload(relay, query="?name=setup.exe")).json["id"]
    response = await relay.call("POST", "/v1/messages", json=message(attachments=[{"id": name}]))
    assert response.problems == [("attachment_not_allowed", "attachments[0].name")]


async def test_unused_upload_expires_after_a_day(relay: Harness) -> None:
    name, in_parts = (await upload(relay)).json["id"], await begin(relay)
    await part(relay, in_parts, 1, b"a")
    relay.clock.move(DAY - 1)
    await relay.relay.purge.run()
    assert len(await blobs(relay)) == 2
    relay.clock.move(1)
    await relay.relay.purge.run()
    assert await blobs(relay) == []
    assert (await relay.call("GET", f"/v1/attachments/{name}")).status == 404


async def test_used_upload_is_kept(relay: Harness) -> None:
    name = (await upload(relay)).json["id"]
    await relay.send(attachments=[{"id": name}], send_at="2026-05-20T12:00:00Z")
    await relay.deliver()
    assert (await relay.call("DELETE", f"/v1/attachments/{name}")).error["code"] == "attachment_in_use"
    relay.clock.move(79 * DAY)
    await relay.relay.purge.run()
    await relay.pass_time(DAY + 60)
    assert await files(relay) == [("invoice.pdf", "application/pdf", file(b"%PDF-1.7")["content"])]
    relay.clock.move(200 * DAY)
    await relay.relay.purge.run()
    assert await blobs(relay) == []


async def test_dry_run_and_refused_message_leave_the_upload_deletable(relay: Harness) -> None:
    name = (await upload(relay)).json["id"]
    for more in ({"dry_run": True}, {"lane": "none"}):
        await relay.call("POST", "/v1/messages", json=message(attachments=[{"id": name}], **more))
    assert (await relay.call("DELETE", f"/v1/attachments/{name}")).status == 204
    assert (await relay.call("DELETE", f"/v1/attachments/{name}")).status == 204
    assert await blobs(relay) == []


async def test_missing_last_part_is_detected_by_the_size(relay: Harness) -> None:
    name = await begin(relay)
    await part(relay, name, 1, b"one")
    for size, status, code in [("6", 409, "attachment_incomplete"), ("six", 400, "invalid_request")]:
        response = await relay.call("POST", f"/v1/attachments/{name}/complete?size={size}")
        assert (response.status, response.error["code"]) == (status, code)
    await part(relay, name, 2, b"two")
    assert (await relay.call("POST", f"/v1/attachments/{name}/complete?size=6")).json["size"] == 6


async def test_uploaded_message_is_refused_if_its_files_are_to_be_checked(relay: Harness) -> None:
    response = await upload(relay, b"Subject: x\n\nHi\n", "?name=a.eml", headers={"Content-Type": "message/rfc822"})
    sent = await relay.call("POST", "/v1/messages", json=message(attachments=[{"id": response.json["id"]}]))
    assert (sent.status, sent.problems) == (403, [("attachment_not_allowed", "attachments[0].type")])
