"""The OpenAPI document matches the table of operations, and its examples work."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from relay.api.http import Request, Response
from relay.api.openapi.document import document
from relay.api.operation import Operation
from relay.api.operations import OPERATIONS
from tests.api.harness import BASE, Harness
from tests.api.responses import check_response
from tests.work import counted

BY_NAME = {operation.name: operation for operation in OPERATIONS}
WITH_EXAMPLE = [
    operation for operation in OPERATIONS if operation.body is not None and operation.body.example is not None
]


async def test_every_operation_is_described(relay: Harness) -> None:
    response = await relay.call("GET", "/openapi.json", client=None)
    assert response.status == 200
    assert response.json["openapi"].startswith("3.1.")
    described = {
        (method.upper(), path): operation["operationId"]
        for path, methods in response.json["paths"].items()
        for method, operation in methods.items()
    }
    assert described == {(each.method, each.path.replace("{*", "{")): each.name for each in OPERATIONS}


async def test_operation_has_summary_path_parameters_and_error_responses(relay: Harness) -> None:
    paths = (await relay.call("GET", "/openapi.json", client=None)).json["paths"]
    for path, methods in paths.items():
        for operation in methods.values():
            assert operation["summary"] != operation["operationId"], path
            names = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"]
            assert names == re.findall(r"\{(\w+)\}", path)
            assert any(status.startswith("2") for status in operation["responses"]), path
            assert {"500", "503"} <= set(operation["responses"])
            assert bool(operation["security"]) == ("401" in operation["responses"])


def test_every_operation_has_one_tag_and_tags_are_in_the_order_of_their_use() -> None:
    found = document("https://relay.example", OPERATIONS.tags())
    used = [operation["tags"] for methods in found["paths"].values() for operation in methods.values()]
    assert {len(tags) for tags in used} == {1}
    assert list(dict.fromkeys(tag for [tag] in used)) == [tag["name"] for tag in found["tags"]]
    assert all(tag["description"].endswith(".") for tag in found["tags"])


def test_paths_lead_to_the_operations_of_the_table() -> None:
    for operation in OPERATIONS:
        found = OPERATIONS.find(operation.path)
        assert found is not None
        assert found[1].find(operation.method, operation.path).target is operation


def test_operation_has_a_summary_and_a_description_of_its_own() -> None:
    summaries = [operation.summary for operation in OPERATIONS]
    assert len(set(summaries)) == len(summaries)
    for operation in OPERATIONS:
        assert re.fullmatch(r"[A-Z][^.]{5,79}", operation.summary), operation.name
        assert re.fullmatch(r"[A-Z].*\.", operation.description), operation.name


def test_pattern_of_a_path_parameter_matches_no_fixed_segment_beside_it() -> None:
    paths = [operation.path.split("/") for operation in OPERATIONS]
    for operation in OPERATIONS:
        patterns = {each.name: each.schema["pattern"] for each in operation.parameters if each.place == "path"}
        own = operation.path.split("/")
        for place, segment in enumerate(own):
            if segment.startswith("{"):
                beside = {path[place] for path in paths if path[:place] == own[:place] and len(path) > place}
                taken = [each for each in beside if re.fullmatch(patterns[segment[1:-1]], each)]
                assert taken == [], operation.name


@pytest.mark.parametrize("path", ["/v1/messages/msg_x", "/v1/inbox/a%2F..%2Fb", "/v1/clients/a%00b", "/v1/webhooks/x"])
async def test_path_value_that_cannot_name_anything_is_not_found(relay: Harness, path: str) -> None:
    response = await relay.call("GET", path, client="boss")
    assert response.status == 404
    assert "matches `^" in response.error["message"]


def test_no_member_has_a_default_which_generators_take_for_always_present() -> None:
    schemas = document("https://relay.example", OPERATIONS.tags())["components"]["schemas"]
    members = [member for part in objects(schemas) for member in members_of(part)]
    assert len(members) > 300
    assert [member for member in members if "default" in member] == []


async def test_every_reference_resolves(relay: Harness) -> None:
    found = (await relay.call("GET", "/openapi.json", client=None)).json
    wanted = set(references(found))
    assert wanted
    assert wanted <= {f"#/components/schemas/{name}" for name in found["components"]["schemas"]}


@pytest.mark.parametrize("operation", WITH_EXAMPLE, ids=lambda operation: operation.name)
async def test_example_request_is_accepted(relay: Harness, operation: Operation) -> None:
    found = (await relay.call("GET", "/openapi.json", client=None)).json
    body = found["paths"][operation.path][operation.method.lower()]["requestBody"]["content"]["application/json"]
    hook = await relay.call("POST", "/v1/webhooks", json={"url": "https://example.com/mail"}, client="boss")
    template = {"text": "Hello, {{ name }}."}
    assert (await relay.call("PUT", "/v1/templates/hello", json=template, client="boss")).status == 201
    assert (await relay.call("PUT", "/v1/topics/hello", json={}, client="boss")).status == 201
    batch = (await relay.call("POST", "/v3/mail/batch", client="boss")).json["batch_id"]
    stop = {"batch_id": batch, "status": "cancel"}
    assert (await relay.call("POST", "/v3/user/scheduled_sends", json=stop, client="boss")).status == 201
    names = {"clients": "app", "routes": "capture"}
    name = names.get(operation.path.split("/")[2], "hello")
    path = operation.path.format(name=name, id=hook.json["id"], batch_id=batch)
    response = await relay.call(operation.method, path, json=body["example"], client="boss")
    assert response.status in operation.responses, response.body


@pytest.mark.parametrize("name", ["SendMessage", "ImportSuppressions"])
async def test_example_request_without_json_is_accepted(relay: Harness, name: str) -> None:
    operation, body = BY_NAME[name], BY_NAME[name].body
    assert body is not None
    sent, headers = body.other_example.encode(), {"Content-Type": body.others[0]}
    response = await relay.call(operation.method, operation.path, body=sent, headers=headers)
    assert response.status in operation.responses, response.body


@pytest.mark.parametrize("body", [b'{"status": "ok", "more": 1}', b'{"status": "well"}', b"{}", b"[]"])
def test_response_that_the_document_does_not_describe_is_found(body: bytes) -> None:
    request = Request(method="GET", path="/v1/health")
    headers = {"Content-Type": "application/json"}
    check_response(request, Response(headers=headers, body=b'{"status": "ok"}'))
    with pytest.raises(AssertionError):
        check_response(request, Response(headers=headers, body=body))
    with pytest.raises(AssertionError):
        check_response(request, Response(status=418))


def objects(part: Any) -> Iterator[dict[str, Any]]:
    """Every object of a document."""
    if isinstance(part, dict):
        yield part
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from objects(each)


def members_of(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas of an object's members."""
    properties = schema.get("properties")
    if schema.get("type") == "object" and isinstance(properties, dict):
        yield from properties.values()


def references(part: Any) -> Iterator[str]:
    """Every `$ref` in a document."""
    return (each["$ref"] for each in objects(part) if isinstance(each.get("$ref"), str))


async def test_document_is_made_once_and_names_the_address_of_each_request(relay: Harness) -> None:
    first = await relay.call("GET", "/openapi.json", client=None)
    with counted() as work:
        again = await relay.relay.api.handle(
            Request(method="GET", path="/openapi.json", url=f"{BASE}/openapi.json", headers={}, query={}, body=b"")
        )
    assert again.body == first.body
    assert work.instructions < 5_000
    assert first.json["servers"] == [{"url": BASE}]
    assert first.json == document(BASE, OPERATIONS.tags())
