"""connector/ has what the connector coding standards ask for.

https://learn.microsoft.com/connectors/custom-connectors/connector-string-guidance and .../openapi-extensions
"""

import re

import pytest

from tests.repository.connector_reading import CALLS, DEFINITION, body_of, every, fields

# ── what the standards ask ──


@pytest.mark.parametrize("name", CALLS)
def test_every_operation_has_a_name_and_a_description(name: str) -> None:
    _, _, call = CALLS[name]
    assert re.fullmatch(r"(?:[A-Z][a-z]+)+", name)
    assert re.fullmatch(r"[A-Z][a-z]*(?: [a-z]+)*", call["summary"]), "sentence case, no punctuation"
    assert len(call["summary"]) <= 80
    assert re.fullmatch(r"[A-Z].*\.", call["description"])
    assert call["description"].rstrip(".") != call["summary"]
    assert call["x-ms-visibility"] in ("important", "advanced", "internal")


def test_every_parameter_and_property_has_a_title_and_a_description() -> None:
    found = list(fields())
    assert len(found) > 100
    for name, each in found:
        words = each["x-ms-summary"].split(" ")
        assert all(re.fullmatch(r"[A-Z][A-Za-z]*", word) for word in words), f"{name}: title case"
        assert re.fullmatch(r"[A-Z].*\.", each["description"]), f"{name}: a sentence with a period"
        assert each.get("x-ms-visibility", "advanced") in ("important", "advanced", "internal"), name


def test_required_fields_are_visible() -> None:
    for _, _, call in CALLS.values():
        for each in call["parameters"]:
            assert not each.get("required") or each["x-ms-visibility"] == "important"
            shape = each.get("schema", {})
            for name in shape.get("required", ()):
                assert shape["properties"][name]["x-ms-visibility"] in ("important", "internal")


def test_definition_uses_only_openapi_2_keywords() -> None:
    for each in every(DEFINITION):
        assert not {"anyOf", "oneOf", "$defs", "const", "examples", "nullable"} & set(each)
        assert each.get("type") != "null"
        assert "$ref" not in each or len(each) == 1, "nothing stands beside a reference"


def test_every_definition_exists_and_is_used() -> None:
    named = {each["$ref"].removeprefix("#/definitions/") for each in every(DEFINITION) if "$ref" in each}
    assert named == set(DEFINITION["definitions"])


def test_connector_title_is_allowed() -> None:
    info = DEFINITION["info"]
    assert len(info["title"]) <= 30
    assert 30 <= len(info["description"]) <= 500
    assert not re.search(r"\b(?:API|Power|Logic Apps)\b", f"{info['title']} {info['description']}")


# ── choices and the trigger ──


def test_dynamic_values_come_from_an_operation_that_returns_them() -> None:
    choices = [each["x-ms-dynamic-values"] for each in every(DEFINITION) if "x-ms-dynamic-values" in each]
    assert choices
    for choice in choices:
        _, _, call = CALLS[choice["operationId"]]
        shown = call["responses"]["200"]["schema"]["$ref"].rpartition("/")[2]
        rows = DEFINITION["definitions"][shown]["properties"][choice["value-collection"]]["items"]
        assert {choice["value-path"], choice["value-title"]} <= set(rows["properties"])


def test_trigger_subscribes_and_unsubscribes() -> None:
    (name,) = (name for name, (_, _, call) in CALLS.items() if "x-ms-trigger" in call)
    path, method, call = CALLS[name]
    assert (path, method, call["x-ms-trigger"]) == ("/v1/webhooks", "post", "single")
    urls = [each for each in every(body_of(name)) if each.get("x-ms-notification-url")]
    assert [each["x-ms-visibility"] for each in urls] == ["internal"]
    assert body_of(name)["required"] == ["callbackUrl"]
    assert "Location" in call["responses"]["201"]["headers"]
    assert DEFINITION["paths"][path]["x-ms-notification-content"]["schema"] == {"$ref": "#/definitions/MailEvent"}
    assert DEFINITION["paths"][f"{path}/{{id}}"]["delete"]["x-ms-visibility"] == "internal"
