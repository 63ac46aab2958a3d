"""Operators list, redrive and discard dead letters."""

from typing import Any

import pytest

from relay.core.outcomes import CAUSES
from tests.api.harness import Harness

REDRIVE = "/v1/deadletters/redrive"


async def letters(relay: Harness, code: str = "recipient_refused") -> list[Any]:
    found = []
    path = f"/v1/deadletters?code={code}"
    while path:
        response = await relay.call("GET", path, client="boss")
        assert response.status == 200
        found += response.json["value"]
        path = response.json.get("next_link", "").partition("relay.example")[2]
    return found


async def dead(relay: Harness, **fields: Any) -> str:
    name = await relay.send(to="rejected@relay.test", **fields)
    await relay.deliver()
    return name


async def test_dead_letters_are_counted_by_cause_and_listed(relay: Harness) -> None:
    names = {await dead(relay) for _ in range(3)}
    counted = (await relay.call("GET", "/v1/deadletters", client="boss")).json["value"]
    assert [(each["code"], each["count"]) for each in counted] == [("recipient_refused", 3)]
    listed = await letters(relay)
    assert {each["id"] for each in listed} == names
    assert {(each["client"], each["state"]) for each in listed} == {("app", "failed")}


async def test_dead_letter_list_is_paged(relay: Harness) -> None:
    for _ in range(5):
        for _ in range(25):
            await relay.send(to="rejected@relay.test")
        await relay.deliver()
    first = (await relay.call("GET", "/v1/deadletters?code=recipient_refused", client="boss")).json
    assert len(first["value"]) == 100
    assert len({each["id"] for each in await letters(relay)}) == 125


async def test_redriving_twice_sends_once(relay: Harness) -> None:
    name = await dead(relay)
    body = {"ids": [name], "sender": "Shop <other@example.com>", "route": "capture"}
    assert (await relay.call("POST", REDRIVE, json=body, client="boss")).json == {"redriven": 1, "is_more": False}
    assert (await relay.call("POST", REDRIVE, json=body, client="boss")).json == {"redriven": 0, "is_more": False}
    assert await letters(relay) == []
    await relay.pass_time(1)
    history = await relay.status(name)
    assert history["from"] == {"email": "other@example.com", "name": "Shop"}
    assert len(history["attempts"]) == 2
    assert [each["id"] for each in await letters(relay)] == [name]


async def test_all_dead_letters_of_a_cause_are_redriven_in_one_call(relay: Harness) -> None:
    names = [await dead(relay) for _ in range(3)]
    response = await relay.call("POST", REDRIVE, json={"code": "recipient_refused"}, client="boss")
    assert response.json == {"redriven": 3, "is_more": False}
    await relay.pass_time(1)
    assert {len((await relay.status(name))["attempts"]) for name in names} == {2}


async def test_message_that_is_not_dead_is_skipped(relay: Harness) -> None:
    name = await relay.send()
    await relay.deliver()
    waiting = await relay.send()
    response = await relay.call("POST", REDRIVE, json={"ids": [name, waiting]}, client="boss")
    assert response.json == {"redriven": 0, "is_more": False}


async def test_discarding_leaves_the_record(relay: Harness) -> None:
    name = await dead(relay)
    response = await relay.call("POST", "/v1/deadletters/discard", json={"ids": [name]}, client="boss")
    assert response.json == {"discarded": 1, "is_more": False}
    assert await letters(relay) == []
    assert (await relay.status(name))["state"] == "failed"


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, [("required", "ids")]),
        ({"ids": []}, [("required", "ids")]),
        ({"ids": ["a"], "code": "expired"}, [("not_applicable", "ids")]),
        ({"code": "bad_luck"}, [("invalid_choice", "code")]),
        ({"codes": "expired"}, [("unknown_field", "codes")]),
        ({"ids": "a"}, [("wrong_type", "ids")]),
        (
            {"code": "expired", "route": "pigeon", "sender": "nobody"},
            [("unknown_route", "route"), ("invalid_address", "sender")],
        ),
    ],
)
async def test_invalid_choice_is_refused(relay: Harness, body: Any, problems: list[tuple[str, str]]) -> None:
    response = await relay.call("POST", REDRIVE, json=body, client="boss")
    assert response.problems == problems


async def test_unknown_cause_and_unknown_id_are_refused(relay: Harness) -> None:
    assert (await relay.call("GET", "/v1/deadletters?code=luck", client="boss")).problems == [
        ("invalid_choice", "code")
    ]
    response = await relay.call("POST", REDRIVE, json={"ids": ["msg_x"]}, client="boss")
    assert response.error["code"] == "message_not_found"


@pytest.mark.parametrize("path", ["", "/redrive", "/discard"])
async def test_dead_letters_are_for_operators_only(relay: Harness, path: str) -> None:
    response = await relay.call("POST" if path else "GET", f"/v1/deadletters{path}", json={"code": "expired"})
    assert response.error["code"] == "operators_only"


async def test_causes_are_explained_to_every_client(relay: Harness) -> None:
    causes = (await relay.call("GET", "/v1/causes")).json["value"]
    assert {each["code"]: each["meaning"] for each in causes} == CAUSES
