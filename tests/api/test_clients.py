"""Authentication, policies and visibility of messages by client."""

from datetime import timedelta

import pytest

from relay.clients.policy import Policy
from tests.api.harness import Harness, message


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer {key}"}, {"x-api-key": "{key}"}])
async def test_valid_key_is_accepted(relay: Harness, headers: dict[str, str]) -> None:
    filled = {name: value.format(key=relay.keys["app"]) for name, value in headers.items()}
    assert (await relay.call("GET", "/v1/inbox", headers=filled, client=None)).status == 200


@pytest.mark.parametrize("value", ["", "Bearer", "Basic YTpi", "Bearer relay_00000000_wrong", "Bearer x"])
async def test_invalid_authorization_is_refused(relay: Harness, value: str) -> None:
    response = await relay.call("GET", "/v1/inbox", headers={"Authorization": value}, client=None)
    assert response.status == 401
    assert response.headers["www-authenticate"] == "Bearer"


async def test_only_a_digest_of_a_key_is_stored(relay: Harness) -> None:
    secret = relay.keys["app"].split("_", 2)[2].encode()
    rows = relay.memory.tables.rows("clients")
    assert rows
    assert not any(secret in bytes(row.properties["client"]) for row in rows)  # type: ignore[arg-type]


async def test_two_keys_work_during_rotation(relay: Harness) -> None:
    second = await relay.relay.clients.add_key("app", expires_at=relay.clock() + timedelta(hours=1))
    first = relay.keys["app"]
    relay.keys["again"] = second
    assert (await relay.call("GET", "/v1/inbox", client="again")).status == 200
    assert (await relay.call("GET", "/v1/inbox")).status == 200
    await relay.relay.clients.remove_key("app", first.split("_")[1])
    assert (await relay.call("GET", "/v1/inbox")).status == 401
    relay.clock.move(3601)
    assert (await relay.call("GET", "/v1/inbox", client="again")).status == 401


async def test_message_is_visible_to_its_client_and_to_operators(relay: Harness) -> None:
    await relay.add_client("other")
    name = await relay.send()
    await relay.deliver()
    assert (await relay.status(name, client="boss"))["client"] == "app"
    for method, path in [("GET", ""), ("DELETE", "")]:
        response = await relay.call(method, f"/v1/messages/{name}{path}", client="other")
        assert response.error["code"] == "message_not_found"


async def test_unknown_id_is_not_found(relay: Harness) -> None:
    name = await relay.send()
    changed = name[:-1] + ("0" if name[-1] != "0" else "1")
    for wrong in (changed, name.upper(), name[:-1], "msg_" + "v" * 40, "%2e%2e"):
        assert (await relay.call("GET", f"/v1/messages/{wrong}")).status == 404


async def test_policy_refusal_names_each_violated_rule(relay: Harness) -> None:
    policy = Policy(senders=("*@shop.example",), recipients=("*@example.org",), lanes=("bulk",), max_bytes=1000)
    await relay.add_client("limited", policy=policy)
    body = message(to=["ada@example.org", "eve@elsewhere.example"], lane="transactional", text="x" * 1000)
    response = await relay.call("POST", "/v1/messages", json=body, client="limited")
    assert response.status == 403
    assert response.problems == [
        ("sender_not_allowed", "from"),
        ("recipient_not_allowed", "to[1]"),
        ("lane_not_allowed", "lane"),
        ("message_too_large", "$"),
    ]
    assert relay.waiting == 0


async def test_redirect_policy_replaces_forbidden_recipients(relay: Harness) -> None:
    policy = Policy(recipients=("*@example.org",), redirect_to="team@example.org")
    await relay.add_client("staging", policy=policy)
    name = await relay.send("staging", to=["ada@example.org", "c@customer.example"], cc="d@customer.example")
    await relay.deliver()
    history = await relay.status(name, client="staging")
    assert [each["email"] for each in history["recipients"]] == ["ada@example.org", "team@example.org"]


async def test_client_is_refused_from_other_ip_addresses(relay: Harness) -> None:
    await relay.add_client("office", policy=Policy(ip_ranges=("198.51.100.0/24", "2001:db8::/32")))
    for address, status in [("198.51.100.7:4711", 200), ("[2001:db8::1]:80", 200), ("203.0.113.1", 403), ("", 403)]:
        response = await relay.call(
            "GET", "/v1/inbox", headers={"x-forwarded-for": f"1.2.3.4, {address}"}, client="office"
        )
        assert response.status == status
