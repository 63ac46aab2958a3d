"""The OpenAPI document says what the table of operations has, and its examples work when pasted."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from relay.api.app import Operation
from relay.api.http import Request, Response
from relay.api.openapi.operations import FACTS
from relay.api.openapi.responses import SCHEMAS
from relay.api.operations import OPERATIONS
from tests.api.harness import Harness
from tests.api.responses import check_response


def has_example(name: str) -> bool:
    """Whether the document shows a body of this operation."""
    body = FACTS[name].body
    return body is not None and body.example is not None


async def test_every_operation_is_described(relay: Harness) -> None:
    answer = await relay.call("GET", "/openapi.json", client=None)
    assert answer.status == 200
    assert answer.json["openapi"].startswith("3.1.")
    described = {
        (method.upper(), path): operation["operationId"]
        for path, methods in answer.json["paths"].items()
        for method, operation in methods.items()
    }
    assert described == {(each.method, each.path.replace("{*", "{")): each.name for each in OPERATIONS}


async def test_each_has_a_summary_its_path_parameters_and_its_refusals(relay: Harness) -> None:
    paths = (await relay.call("GET", "/openapi.json", client=None)).json["paths"]
    for path, methods in paths.items():
        for operation in methods.values():
            assert operation["summary"] != operation["operationId"], path
            names = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"]
            assert names == re.findall(r"\{(\w+)\}", path)
            assert any(status.startswith("2") for status in operation["responses"]), path
            assert {"500", "503"} <= set(operation["responses"])
            assert bool(operation["security"]) == ("401" in operation["responses"])


def test_every_operation_has_its_facts_and_nothing_else_has() -> None:
    assert FACTS.keys() == {operation.name for operation in OPERATIONS}
    for facts in FACTS.values():
        kinds = {*facts.answers.values(), *({facts.body.model} if facts.body else ())}
        assert {kind for kind in kinds if kind and "/" not in kind and "." not in kind} <= SCHEMAS.keys()


async def test_every_reference_leads_somewhere(relay: Harness) -> None:
    found = (await relay.call("GET", "/openapi.json", client=None)).json
    wanted = set(references(found))
    assert wanted
    assert wanted <= {f"#/components/schemas/{name}" for name in found["components"]["schemas"]}


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if has_example(each.name)], ids=lambda operation: operation.name
)
async def test_an_example_works_when_pasted(relay: Harness, operation: Operation) -> None:
    found = (await relay.call("GET", "/openapi.json", client=None)).json
    body = found["paths"][operation.path][operation.method.lower()]["requestBody"]["content"]["application/json"]
    hook = await relay.call("POST", "/v1/webhooks", json={"url": "https://example.com/mail"}, client="boss")
    template = {"text": "Hello, {{ name }}."}
    assert (await relay.call("PUT", "/v1/templates/hello", json=template, client="boss")).status == 201
    batch = (await relay.call("POST", "/v3/mail/batch", client="boss")).json["batch_id"]
    stop = {"batch_id": batch, "status": "cancel"}
    assert (await relay.call("POST", "/v3/user/scheduled_sends", json=stop, client="boss")).status == 201
    name = "app" if operation.path.startswith("/v1/clients/") else "hello"
    path = operation.path.format(name=name, id=hook.json["id"], batch_id=batch)
    answer = await relay.call(operation.method, path, json=body["example"], client="boss")
    assert answer.status in FACTS[operation.name].answers, answer.body


@pytest.mark.parametrize("name", ["SendMessage", "ImportSuppressions"])
async def test_an_example_that_is_no_json_works_when_pasted(relay: Harness, name: str) -> None:
    body, [operation] = FACTS[name].body, [each for each in OPERATIONS if each.name == name]
    assert body is not None
    sent, headers = body.other_example.encode(), {"Content-Type": body.others[0]}
    answer = await relay.call(operation.method, operation.path, body=sent, headers=headers)
    assert answer.status in FACTS[name].answers, answer.body


@pytest.mark.parametrize("body", [b'{"status": "ok", "more": 1}', b'{"status": "well"}', b"{}", b"[]"])
def test_response_that_the_document_does_not_describe_is_found(body: bytes) -> None:
    request = Request(method="GET", path="/v1/health")
    headers = {"Content-Type": "application/json"}
    check_response(request, Response(headers=headers, body=b'{"status": "ok"}'))
    with pytest.raises(AssertionError):
        check_response(request, Response(headers=headers, body=body))
    with pytest.raises(AssertionError):
        check_response(request, Response(status=418))


def references(part: Any) -> Iterator[str]:
    """Every `$ref` in a document."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for each in part.values():
            yield from references(each)
    elif isinstance(part, list):
        for each in part:
            yield from references(each)
