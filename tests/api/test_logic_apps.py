"""Requests of Logic Apps: files of its connectors, and the sample workflows."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.harness import BASE, ApiResponse, Harness, file, message

FOLDER = Path(__file__).parents[2] / "docs/logic-apps"
PDF = b"%PDF-1.7"


def handed_on(content: bytes, kind: str | None = "application/pdf") -> dict[str, Any]:
    """A file as `body('Get_file_content')` is."""
    named = {} if kind is None else {"$content-type": kind}
    return {**named, "$content": base64.b64encode(content).decode()}


def filled_in(part: Any, values: dict[str, Any]) -> Any:
    """A part of a workflow with each expression replaced by its value."""
    if isinstance(part, str) and "@" in part:
        return values[part]
    if isinstance(part, dict):
        return {name: filled_in(each, values) for name, each in part.items()}
    return [filled_in(each, values) for each in part] if isinstance(part, list) else part


def action(workflow: str, name: str) -> Any:
    """The inputs of an action of a sample."""
    whole = json.loads((FOLDER / f"{workflow}.json").read_text(encoding="utf-8"))
    return whole["definition"]["actions"][name]["inputs"]


async def arrived(relay: Harness) -> Any:
    """The one mail that was caught."""
    await relay.deliver()
    [mail] = (await relay.call("GET", "/v1/inbox", client="boss")).json["value"]
    return (await relay.call("GET", f"/v1/inbox/{mail['name']}", client="boss")).json


@pytest.mark.parametrize(
    ("own", "kind", "name", "expected"),
    [
        ({}, "application/pdf", "a.pdf", "application/pdf"),
        ({}, "text/csv; charset=utf-8", "a.bin", "text/csv"),
        ({"type": "image/png"}, "application/octet-stream", "a.bin", "image/png"),
        ({}, None, "a.pdf", "application/pdf"),
    ],
)
async def test_file_content_type_is_the_default_type(
    relay: Harness, own: dict[str, str], kind: str | None, name: str, expected: str
) -> None:
    await relay.send(attachments=[{"name": name, "content": handed_on(PDF, kind), **own}])
    [found] = (await arrived(relay))["attachments"]
    assert (found["name"], found["type"], found["content"]) == (name, expected, file(PDF)["content"])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"$content-type": "text/plain", "$content": "a-b_"}, ("invalid_base64", "attachments[0].content['$content']")),
        (
            {"$content-type": "text", "$content": "YQ=="},
            ("invalid_media_type", "attachments[0].content['$content-type']"),
        ),
        ({"$content-type": "text/plain"}, ("required", "attachments[0].content['$content']")),
        ({"$content": "YQ==", "name": "a"}, ("unknown_field", "attachments[0].content.name")),
    ],
)
async def test_invalid_file_is_reported_with_its_field(
    relay: Harness, content: dict[str, str], problem: tuple[str, str]
) -> None:
    body = message(attachments=[{"name": "a.txt", "content": content}])
    response = await relay.call("POST", "/v1/messages", json=body)
    assert (response.status, response.problems) == (400, [problem])


async def run(relay: Harness, inputs: Any, values: dict[str, Any]) -> ApiResponse:
    """Do what the HTTP action does: post, and poll `Location` while the status is 202."""
    known = {"@parameters('sender')": "workflow@example.com", "@parameters('office')": "office@example.com", **values}
    headers = {name: text for name, text in inputs["headers"].items() if "@" not in text}
    response = await relay.call("POST", "/v1/messages", json=filled_in(inputs["body"], known), headers=headers)
    while response.status == 202 and "location" in response.headers:
        await relay.pass_time(int(response.headers["retry-after"]))
        response = await relay.call("GET", response.headers["location"].removeprefix(BASE), client=None)
    return response


def trigger_body(to: str, **more: Any) -> dict[str, Any]:
    """What starts a sample."""
    given = {"to": to, "subject": "Invoice", "html": "<p>Attached.</p>", **more}
    return {f"@triggerBody()?['{name}']": value for name, value in given.items()}


async def test_sample_send_does_not_wait(relay: Harness) -> None:
    response = await run(relay, action("send", "Send_mail"), trigger_body("ada@example.org", file=handed_on(PDF)))
    assert response.status == 202
    mail = await arrived(relay)
    assert (mail["subject"], mail["html"].strip()) == ("Invoice", "<p>Attached.</p>")
    assert mail["attachments"][0]["content"] == file(PDF)["content"]


async def test_sample_send_and_wait_succeeds_when_sent(relay: Harness) -> None:
    response = await run(relay, action("send-and-wait", "Send_and_wait"), trigger_body("ada@example.org"))
    assert (response.status, response.json["state"]) == (200, "sent")


async def test_sample_send_and_wait_reports_a_failure(relay: Harness) -> None:
    response = await run(relay, action("send-and-wait", "Send_and_wait"), trigger_body("rejected@relay.test"))
    assert (response.status, response.error["code"]) == (422, "not_sent")


async def test_sample_send_and_wait_waits_for_retries(relay: Harness) -> None:
    response = await run(relay, action("send-and-wait", "Send_and_wait"), trigger_body("deferred@relay.test"))
    assert (response.status, response.json["state"]) == (200, "sent")
    assert len(response.json["attempts"]) > 1


async def test_sample_for_bounces_sends_a_notice(relay: Harness) -> None:
    inputs = action("on-bounce", "Send_a_notice")
    response = await run(relay, inputs, {inputs["body"]["text"]: "message.bounced of ada@example.org"})
    assert response.status == 202
    assert (await arrived(relay))["to"] == ["office@example.com"]
