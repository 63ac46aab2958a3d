"""Webhook subscriptions over HTTP: create, read, change, test, delete; the contract of Logic Apps; isolation; SSRF."""

from typing import Any
from urllib.parse import quote

import pytest

from relay.events.webhooks.subscriptions import MAX_SUBSCRIPTIONS
from tests.api.harness import BASE, ApiResponse, Harness
from tests.unit.events.webhooks.hook import hook

HOOKS = "/v1/webhooks"
CALLBACK = "https://prod-1.westeurope.logic.azure.com/workflows/x/triggers/y/run?api-version=2016&sig=a%2Bb"


async def subscribe(relay: Harness, client: str = "app", **fields: Any) -> ApiResponse:
    values = fields if "callbackUrl" in fields else {"url": "https://example.com/hook", **fields}
    response = await relay.call("POST", HOOKS, json=values, client=client)
    assert response.status == 201, response.body
    return response


async def test_subscription_is_created_read_changed_and_deleted(relay: Harness) -> None:
    made = await subscribe(relay, events=["bounced", "complained"], note="orders")
    name = made.json["id"]
    assert made.headers["location"] == f"{BASE}{HOOKS}/{name}"
    assert made.json["secret"].startswith("whsec_")
    shown = (await relay.call("GET", f"{HOOKS}/{name}")).json
    assert shown == {key: value for key, value in made.json.items() if key != "secret"}
    assert (shown["events"], shown["format"], shown["is_enabled"]) == (["bounced", "complained"], "standard", True)
    change = {"events": [], "format": "cloudevents", "note": ""}
    changed = (await relay.call("PATCH", f"{HOOKS}/{name}", json=change)).json
    assert (changed["events"], changed["format"], changed["url"]) == ([], "cloudevents", "https://example.com/hook")
    assert "secret" not in changed
    for _ in range(2):
        assert (await relay.call("DELETE", f"{HOOKS}/{name}")).status == 204
    assert (await relay.call("GET", f"{HOOKS}/{name}")).status == 404
    assert (await relay.call("GET", HOOKS)).json == {"value": []}


async def test_rotated_secret_is_shown_once(relay: Harness) -> None:
    made = await subscribe(relay)
    where = f"{HOOKS}/{made.json['id']}"
    rotated = (await relay.call("PATCH", where, json={"rotate_secret": True})).json
    assert rotated["secret"] != made.json["secret"]
    assert rotated["old_secret_until"].startswith("2026-03-02T12:00")
    assert "secret" not in (await relay.call("GET", where)).json


async def test_subscription_is_paused_and_resumed(relay: Harness) -> None:
    where = f"{HOOKS}/{(await subscribe(relay)).json['id']}"
    paused = (await relay.call("PATCH", where, json={"is_enabled": False})).json
    assert (paused["is_enabled"], paused["disabled_reason"]) == (False, "Paused by its client.")
    assert (await relay.call("PATCH", where, json={"is_enabled": True})).json["is_enabled"]


async def test_subscriptions_belong_to_their_client(relay: Harness) -> None:
    await relay.add_client("other")
    where = f"{HOOKS}/{(await subscribe(relay)).json['id']}"
    assert (await relay.call("GET", HOOKS, client="other")).json == {"value": []}
    for method, path in (("GET", where), ("PATCH", where), ("POST", f"{where}/test"), ("GET", f"{where}/deliveries")):
        response = await relay.call(method, path, json={} if method == "PATCH" else None, client="other")
        assert response.status == 404
    await relay.call("DELETE", where, client="other")
    assert (await relay.call("GET", where)).status == 200
    assert (await relay.call("GET", HOOKS, client=None)).status == 401


@pytest.mark.parametrize("name", ["wh_1", "wh_%2F", "x", "wh_a%23b", "wh_%00"])
async def test_malformed_subscription_id_is_not_found(relay: Harness, name: str) -> None:
    assert (await relay.call("GET", f"{HOOKS}/{name}")).status == 404
    assert (await relay.call("DELETE", f"{HOOKS}/{name}")).status == 204


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, [("required", "url")]),
        ({"url": "https://a.example/", "callbackUrl": "https://a.example/"}, [("not_applicable", "callbackUrl")]),
        ({"url": "http://example.com/"}, [("invalid_value", "url")]),
        ({"callbackUrl": "https://169.254.169.254/metadata"}, [("invalid_value", "callbackUrl")]),
        ({"url": "https://127.0.0.1/"}, [("invalid_value", "url")]),
        ({"url": "https://a.example/", "events": ["sent"]}, [("invalid_choice", "events[0]")]),
        ({"url": "https://a.example/", "format": "xml"}, [("invalid_choice", "format")]),
        ({"url": "https://10.0.0.1/", "note": "x" * 501}, [("invalid_value", "url"), ("too_long", "note")]),
    ],
)
async def test_every_problem_is_reported(relay: Harness, body: Any, problems: list[tuple[str, str]]) -> None:
    response = await relay.call("POST", HOOKS, json=body)
    assert (response.status, response.problems) == (400, problems)


async def test_change_to_a_private_address_is_refused(relay: Harness) -> None:
    where = f"{HOOKS}/{(await subscribe(relay)).json['id']}"
    response = await relay.call("PATCH", where, json={"url": "https://[::ffff:10.0.0.1]/"})
    assert response.problems == [("invalid_value", "url")]


async def test_number_of_subscriptions_is_limited(relay: Harness) -> None:
    for number in range(MAX_SUBSCRIPTIONS):
        await subscribe(relay, url=f"https://example.com/{number}")
    response = await relay.call("POST", HOOKS, json={"url": "https://example.com/more"})
    assert response.problems == [("too_many", "$")]


# ── Logic Apps ──


async def test_logic_app_subscribes_and_unsubscribes(relay: Harness) -> None:
    first, second = [await subscribe(relay, callbackUrl=CALLBACK, events=["delivered"]) for _ in range(2)]
    assert first.json["id"] == second.json["id"]
    assert len((await relay.call("GET", HOOKS)).json["value"]) == 1
    for _ in range(2):
        location = first.headers["location"].removeprefix(BASE)
        assert (await relay.call("DELETE", location)).status == 204
    assert (await relay.call("GET", HOOKS)).json == {"value": []}


async def test_logic_app_can_unsubscribe_by_its_callback(relay: Harness) -> None:
    for how in ({"json": {"callbackUrl": CALLBACK}}, {"path": f"{HOOKS}?callbackUrl={quote(CALLBACK, safe='')}"}):
        await subscribe(relay, callbackUrl=CALLBACK)
        for _ in range(2):
            path = str(how.get("path", HOOKS))
            assert (await relay.call("DELETE", path, json=how.get("json"))).status == 204
        assert (await relay.call("GET", HOOKS)).json == {"value": []}
    assert (await relay.call("DELETE", HOOKS, json={})).problems == [("required", "callbackUrl")]


# ── trying and looking ──


async def test_test_delivery_is_posted_immediately_and_logged() -> None:
    relay = await Harness({"RELAY_WEBHOOKS_ALLOW_LOOPBACK": "true"}).start()
    async with hook() as receiver:
        made = await subscribe(relay, url=receiver.url)
        where = f"{HOOKS}/{made.json['id']}"
        receiver.responses.extend([200, 500])
        good, bad = [(await relay.call("POST", f"{where}/test")).json for _ in range(2)]
        assert (good["outcome"], good["status"], bad["outcome"], bad["status"]) == ("succeeded", 200, "failed", 500)
        assert receiver.posts[0].json["type"] == "webhook.test"
        assert receiver.posts[0].headers["webhook-id"] == good["id"]
        log = (await relay.call("GET", f"{where}/deliveries")).json["value"]
        assert {each["id"] for each in log} == {good["id"], bad["id"]}
    away = (await relay.call("POST", f"{where}/test")).json
    assert (away["outcome"], bool(away["error"]), "status" in away) == ("failed", True, False)
    await relay.relay.close()
