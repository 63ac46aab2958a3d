"""connector/ is what the code says, and what the connector coding standards ask for.

https://learn.microsoft.com/connectors/custom-connectors/connector-string-guidance and .../openapi-extensions
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest

from relay.accept import Accepted
from relay.api.messages import told_accepted
from relay.api.openapi_facts import FACTS
from relay.api.table import OPERATIONS
from relay.api.waiting import Goal
from relay.clients import Role
from relay.events import Kind
from relay.ingest.apply import Noted
from relay.journal import Event
from relay.model import Address, State
from relay.webhooks.posts import post_of
from relay.webhooks.subscriptions import Definition, Subscription
from scripts.connector.actions import ACTIONS
from scripts.connector.document import Target
from scripts.connector.files import FOLDER, contents

DEFINITION = json.loads((FOLDER / "apiDefinition.swagger.json").read_text(encoding="utf-8"))
PROPERTIES = json.loads((FOLDER / "apiProperties.json").read_text(encoding="utf-8"))["properties"]
METHODS = ("get", "post", "put", "patch", "delete")
CALLS = {
    item[method]["operationId"]: (path, method, item[method])
    for path, item in DEFINITION["paths"].items()
    for method in METHODS
    if method in item
}
ROUTED = {operation.name: operation for operation in OPERATIONS}


def every(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every object of a JSON value."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from every(each)
    elif isinstance(value, list):
        for each in value:
            yield from every(each)


def fields() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every property of every schema, and every parameter, with its name."""
    for each in every(DEFINITION):
        if each.get("type") == "object" and "properties" in each:
            yield from each["properties"].items()
    for _, _, call in CALLS.values():
        yield from ((each["name"], each) for each in call["parameters"])


def body_of(name: str) -> Mapping[str, Any]:
    return next(each["schema"] for each in CALLS[name][2]["parameters"] if each["in"] == "body")


def sample(schema: Mapping[str, Any]) -> Any:
    """A value that a designer lets pass."""
    if "enum" in schema:
        return schema["enum"][0]
    if schema["type"] == "object":
        return {name: sample(each) for name, each in schema.get("properties", {}).items()}
    if schema["type"] == "array":
        return [sample(schema["items"])]
    return {"string": "text", "integer": 100, "boolean": True}[schema["type"]]


def strays(value: Any, schema: Mapping[str, Any], path: str = "$") -> Iterator[str]:
    """What a value has and its schema does not name."""
    if isinstance(value, list):
        for each in value:
            yield from strays(each, schema["items"], path)
    elif isinstance(value, dict) and "properties" in schema:
        for name, each in value.items():
            if name not in schema["properties"]:
                yield f"{path}.{name}"
            else:
                yield from strays(each, schema["properties"][name], f"{path}.{name}")


# ── the files ──


@pytest.mark.parametrize("name", contents(Target()))
def test_the_files_are_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == contents(Target())[name], "run `make docs`"


def test_a_connector_of_ones_own_names_ones_own_host_and_applications() -> None:
    made = contents(Target(host="relay.contoso.com", tenant="a-tenant", api="an-api", client="a-client"))
    assert json.loads(made["apiDefinition.swagger.json"])["host"] == "relay.contoso.com"
    text = "".join(made.values())
    assert "example.com" not in text.replace("@example.com", "")
    assert '"clientId": "a-client"' in text
    assert '"value": "a-tenant"' in text
    assert text.count('"api://an-api"') == 2


def test_a_connector_for_keys_only_asks_for_no_secret_of_an_application() -> None:
    text = contents(Target(takes_keys_only=True))["apiProperties.json"]
    (way,) = json.loads(text)["properties"]["connectionParameterSets"]["values"]
    assert list(way["parameters"]) == ["api_key"]


# ── what leads where ──


def test_every_path_is_the_operations_own_or_led_to_it() -> None:
    led = {
        name: (policy["parameters"]["x-ms-apimTemplateParameter.newPath"], policy["parameters"])
        for policy in PROPERTIES["policyTemplateInstances"]
        if policy["templateId"] == "routerequesttoendpoint"
        for name in policy["parameters"]["x-ms-apimTemplate-operationName"]
    }
    assert len(CALLS) == len(ACTIONS)
    for action in ACTIONS:
        path, method, _ = CALLS[action.name]
        operation = ROUTED[action.operation]
        assert operation.role is Role.CLIENT, "a connector's user has no operator's key"
        assert method.upper() == operation.method
        assert led[action.name][0] if action.path else path == operation.path
        if action.path:
            assert led[action.name][0] == operation.path
            assert led[action.name][1]["x-ms-apimTemplateParameter.httpMethod"] == operation.method
    assert sorted(led) == sorted(action.name for action in ACTIONS if action.path)


@pytest.mark.parametrize("name", [action.name for action in ACTIONS if action.fields])
def test_the_api_takes_what_a_designer_lets_pass(name: str) -> None:
    action = next(action for action in ACTIONS if action.name == name)
    facts = FACTS[action.operation].body
    assert facts is not None
    module, _, shape = facts.model.rpartition(".")
    model = getattr(import_module(f"relay.api.{module}"), shape)
    assert model.model_validate(sample(body_of(name)))


def test_the_waiting_action_offers_what_can_be_waited_for() -> None:
    (prefer,) = (each for each in CALLS["SendEmailAndWait"][2]["parameters"] if each["name"] == "Prefer")
    assert prefer["enum"] == [f"wait={goal}" for goal in Goal]
    assert prefer["default"] in prefer["enum"]


def test_the_key_goes_where_the_definition_says() -> None:
    header = DEFINITION["securityDefinitions"]["api_key"]["name"]
    (policy,) = (each for each in PROPERTIES["policyTemplateInstances"] if each["templateId"] == "setheader")
    assert policy["parameters"]["x-ms-apimTemplateParameter.name"] == header
    asked = {
        name: each
        for ways in PROPERTIES["connectionParameterSets"]["values"]
        for name, each in ways["parameters"].items()
    }
    assert f"'{next(iter(asked))}'" in policy["parameters"]["x-ms-apimTemplateParameter.value"]
    assert {name: each["type"] for name, each in asked.items()} == {"api_key": "securestring", "token": "oauthSetting"}


# ── what is answered ──


def test_an_acceptance_is_described() -> None:
    suppressed = {0: "bounced"}
    recipients = (Address(email="ada@example.com"),)
    told = told_accepted(Accepted(id="msg_1", state=State.QUEUED, suppressed=suppressed, recipients=recipients))
    assert "suppressed" in told
    assert list(strays(told, DEFINITION["definitions"]["Accepted"])) == []


def test_an_event_is_described() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    event = Event(
        key="k",
        index=0,
        kind=Kind.BOUNCED,
        at=at,
        recipient="ada@example.com",
        code="5.1.1",
        bounce_class="address",
        reply="550 no such user",
        provider="sendgrid",
        attempt=1,
    )
    noted = Noted(
        message="msg_1", client="shop", is_ours=True, event=event, tags=("order",), metadata={"order": "4711"}
    )
    definition = Definition(url="https://example.com", secret="whsec_x", created_at=at)
    post = post_of(noted, Subscription(id="wh_1", client="shop", definition=definition), "https://relay.example.com")
    schema = DEFINITION["definitions"]["MailEvent"]
    told = json.loads(post.body)
    assert list(strays(told, schema)) == []
    assert set(told["data"]) == set(schema["properties"]["data"]["properties"])


@pytest.mark.parametrize("name", CALLS)
def test_every_operation_has_answers_and_refusals(name: str) -> None:
    responses = CALLS[name][2]["responses"]
    assert responses["default"]["schema"] == {"$ref": "#/definitions/Error"}
    good = {status: each for status, each in responses.items() if status != "default"}
    assert good
    for status, each in good.items():
        assert ("schema" in each) == (status != "204")


# ── what the standards ask ──


@pytest.mark.parametrize("name", CALLS)
def test_every_operation_is_named_and_explained(name: str) -> None:
    _, _, call = CALLS[name]
    assert re.fullmatch(r"(?:[A-Z][a-z]+)+", name)
    assert re.fullmatch(r"[A-Z][a-z]*(?: [a-z]+)*", call["summary"]), "sentence case, no punctuation"
    assert len(call["summary"]) <= 80
    assert re.fullmatch(r"[A-Z].*\.", call["description"])
    assert call["description"].rstrip(".") != call["summary"]
    assert call["x-ms-visibility"] in ("important", "advanced", "internal")


def test_every_parameter_and_property_is_named_and_explained() -> None:
    found = list(fields())
    assert len(found) > 100
    for name, each in found:
        words = each["x-ms-summary"].split(" ")
        assert all(re.fullmatch(r"[A-Z][A-Za-z]*", word) for word in words), f"{name}: title case"
        assert re.fullmatch(r"[A-Z].*\.", each["description"]), f"{name}: a sentence with a period"
        assert each.get("x-ms-visibility", "advanced") in ("important", "advanced", "internal"), name


def test_what_is_required_is_seen() -> None:
    for _, _, call in CALLS.values():
        for each in call["parameters"]:
            assert not each.get("required") or each["x-ms-visibility"] == "important"
            shape = each.get("schema", {})
            for name in shape.get("required", ()):
                assert shape["properties"][name]["x-ms-visibility"] in ("important", "internal")


def test_nothing_is_said_that_openapi_2_has_no_words_for() -> None:
    for each in every(DEFINITION):
        assert not {"anyOf", "oneOf", "$defs", "const", "examples", "nullable"} & set(each)
        assert each.get("type") != "null"
        assert "$ref" not in each or len(each) == 1, "nothing stands beside a reference"


def test_every_definition_is_there_and_used() -> None:
    named = {each["$ref"].removeprefix("#/definitions/") for each in every(DEFINITION) if "$ref" in each}
    assert named == set(DEFINITION["definitions"])


def test_the_connector_has_a_title_that_is_allowed() -> None:
    info = DEFINITION["info"]
    assert len(info["title"]) <= 30
    assert 30 <= len(info["description"]) <= 500
    assert not re.search(r"\b(?:API|Power|Logic Apps)\b", f"{info['title']} {info['description']}")


# ── choices and the trigger ──


def test_every_choice_is_filled_by_an_operation_that_has_it() -> None:
    choices = [each["x-ms-dynamic-values"] for each in every(DEFINITION) if "x-ms-dynamic-values" in each]
    assert choices
    for choice in choices:
        _, _, call = CALLS[choice["operationId"]]
        answer = call["responses"]["200"]["schema"]["$ref"].rpartition("/")[2]
        rows = DEFINITION["definitions"][answer]["properties"][choice["value-collection"]]["items"]
        assert {choice["value-path"], choice["value-title"]} <= set(rows["properties"])


def test_the_trigger_subscribes_and_unsubscribes() -> None:
    (name,) = (name for name, (_, _, call) in CALLS.items() if "x-ms-trigger" in call)
    path, method, call = CALLS[name]
    assert (path, method, call["x-ms-trigger"]) == ("/v1/webhooks", "post", "single")
    urls = [each for each in every(body_of(name)) if each.get("x-ms-notification-url")]
    assert [each["x-ms-visibility"] for each in urls] == ["internal"]
    assert body_of(name)["required"] == ["callbackUrl"]
    assert "Location" in call["responses"]["201"]["headers"]
    assert DEFINITION["paths"][path]["x-ms-notification-content"]["schema"] == {"$ref": "#/definitions/MailEvent"}
    assert DEFINITION["paths"][f"{path}/{{id}}"]["delete"]["x-ms-visibility"] == "internal"
