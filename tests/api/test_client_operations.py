"""Operators manage clients, policies and keys."""

from typing import Any

import pytest

from tests.api.harness import Harness, message


async def test_new_client_can_send_with_the_key_shown_once(relay: Harness) -> None:
    policy = {"senders": ["*@example.com"]}
    made = await relay.call("POST", "/v1/clients", json={"name": "shop", "policy": policy}, client="boss")
    assert made.status == 201
    assert made.headers["location"].endswith("/v1/clients/shop")
    relay.keys["shop"] = made.json["key"]
    await relay.send("shop")
    shown = (await relay.call("GET", "/v1/clients/shop", client="boss")).json
    assert "key" not in shown
    assert [key["id"] for key in shown["keys"]] == [made.json["key"].split("_")[1]]
    assert shown["keys"][0]["last_used_at"] == "2026-03-01T12:00:00Z"


async def test_client_without_a_policy_can_send_only_after_its_senders_are_named(relay: Harness) -> None:
    made = await relay.call("POST", "/v1/clients", json={"name": "shop"}, client="boss")
    relay.keys["shop"] = made.json["key"]
    assert made.json["policy"]["senders"] == []
    refused = await relay.call("POST", "/v1/messages", json=message(return_path="x@example.com"), client="shop")
    assert (refused.status, refused.problems) == (403, [("sender_not_allowed", "from")])
    assert "An operator must name them (policy: senders)" in refused.error["details"][0]["message"]
    policy = {"policy": {"senders": ["*@example.com"]}}
    await relay.call("PATCH", "/v1/clients/shop", json=policy, client="boss")
    relay.clock.move(31)
    await relay.send("shop")


async def test_client_list_contains_no_secrets(relay: Harness) -> None:
    listed = await relay.call("GET", "/v1/clients", client="boss")
    assert [client["name"] for client in listed.json["value"]] == ["app", "boss"]
    assert relay.keys["app"].split("_", 2)[2].encode() not in listed.body
    assert b"mac_key" not in listed.body
    assert b"digest" not in listed.body


async def test_patch_changes_only_the_given_fields(relay: Harness) -> None:
    first: dict[str, Any] = {"policy": {"senders": ["*@example.com"], "rate_per_minute": 60}}
    assert (await relay.call("PATCH", "/v1/clients/app", json=first, client="boss")).status == 200
    changed = await relay.call(
        "PATCH", "/v1/clients/app", json={"policy": {"rate_per_minute": None}, "is_disabled": False}, client="boss"
    )
    assert changed.json["policy"]["senders"] == ["*@example.com"]
    assert changed.json["policy"]["rate_per_minute"] is None
    assert changed.json["role"] == "client"


async def test_disabled_client_is_refused(relay: Harness) -> None:
    await relay.call("PATCH", "/v1/clients/app", json={"is_disabled": True}, client="boss")
    assert (await relay.call("POST", "/v1/messages", json=message())).status == 401


async def test_deleted_client_is_not_found(relay: Harness) -> None:
    assert (await relay.call("DELETE", "/v1/clients/app", client="boss")).status == 204
    assert (await relay.call("GET", "/v1/clients/app", client="boss")).status == 404
    assert (await relay.call("DELETE", "/v1/clients/app", client="boss")).status == 404
    assert (await relay.call("POST", "/v1/messages", json=message())).status == 401


async def test_key_is_rotated_without_downtime(relay: Harness) -> None:
    second = await relay.call("POST", "/v1/clients/app/keys", json={"expires_in_seconds": 3600}, client="boss")
    assert second.status == 201
    assert second.json["expires_at"] == "2026-03-01T13:00:00Z"
    first = relay.keys["app"].split("_")[1]
    assert (await relay.call("DELETE", f"/v1/clients/app/keys/{first}", client="boss")).status == 204
    assert (await relay.call("POST", "/v1/messages", json=message())).status == 401
    relay.keys["app"] = second.json["key"]
    await relay.send()


async def test_all_problems_of_a_policy_are_reported(relay: Harness) -> None:
    policy = {
        "senders": ["*@example.com", "a*@example.com"],
        "recipients": ["@example.com"],
        "redirect_to": "nobody",
        "routes": ["pigeon"],
        "lanes": ["slow"],
        "rate_per_minute": 0,
        "ip_ranges": ["10.0.0.0/99"],
    }
    first = await relay.call("POST", "/v1/clients", json={"name": "Shop", "policy": policy}, client="boss")
    assert first.problems == [("out_of_range", "policy.rate_per_minute")]
    del policy["rate_per_minute"]
    response = await relay.call("POST", "/v1/clients", json={"name": "Shop", "policy": policy}, client="boss")
    assert sorted(response.problems) == [
        ("invalid_address", "policy.redirect_to"),
        ("invalid_value", "name"),
        ("invalid_value", "policy.ip_ranges[0]"),
        ("invalid_value", "policy.recipients[0]"),
        ("invalid_value", "policy.senders[1]"),
        ("unknown_lane", "policy.lanes[0]"),
        ("unknown_route", "policy.routes[0]"),
    ]


async def test_misspelled_rule_suggests_the_right_name(relay: Harness) -> None:
    response = await relay.call("PATCH", "/v1/clients/app", json={"policy": {"sender": ["*"]}}, client="boss")
    assert response.problems == [("unknown_field", "policy.sender")]
    assert "`senders`" in response.error["message"]


async def test_rate_limit_headers_are_in_every_response(relay: Harness) -> None:
    await relay.call("PATCH", "/v1/clients/app", json={"policy": {"rate_per_minute": 600}}, client="boss")
    relay.clock.move(31)
    response = await relay.call("POST", "/v1/messages", json=message())
    assert response.headers["ratelimit-policy"] == '"default";q=600;w=60'
    assert response.headers["ratelimit"] == '"default";r=119;t=2'


@pytest.mark.parametrize("path", ["/v1/clients", "/v1/clients/app", "/v1/clients/app/keys"])
async def test_only_operators_may(relay: Harness, path: str) -> None:
    response = await relay.call("GET" if path != "/v1/clients/app/keys" else "POST", path)
    assert response.error["code"] == "operators_only"
