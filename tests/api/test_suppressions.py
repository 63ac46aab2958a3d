"""Suppressions over HTTP: reported at submission, separate by client, exported, imported, synced from SendGrid."""

import json
from typing import Any

import pytest

from standins.sendgrid.server import DEFAULT_KEY, SendGridStandIn
from tests.api.harness import ApiResponse, Harness, message

LIST = "/v1/suppressions"


async def suppress(relay: Harness, email: str = "ada@example.org", client: str = "app", **fields: Any) -> ApiResponse:
    response = await relay.call("POST", LIST, json={"email": email, **fields}, client=client)
    assert response.status == 201, response.body
    return response


async def listed(relay: Harness, client: str = "app", query: str = "") -> list[str]:
    return sorted(row["email"] for row in (await relay.call("GET", LIST + query, client=client)).json["value"])


async def test_suppressed_recipient_is_reported_and_skipped(relay: Harness) -> None:
    await suppress(relay, reason="unsubscribed")
    response = await relay.call("POST", "/v1/messages", json=message(to=["ada@example.org", "bob@example.org"]))
    assert response.json["suppressed"] == [{"email": "ada@example.org", "reason": "unsubscribed"}]
    await relay.deliver()
    history = await relay.status(response.json["id"])
    assert [(each["state"], each.get("code")) for each in history["recipients"]] == [
        ("suppressed", "unsubscribed"),
        ("sent", None),
    ]
    assert (await relay.call("GET", "/v1/inbox?to=ada")).json["value"] == []
    assert len((await relay.call("GET", "/v1/inbox?to=bob")).json["value"]) == 1


@pytest.mark.parametrize("email", ["aaa..bb@docomo.ne.jp", '"aaa..bb"@docomo.ne.jp'])
@pytest.mark.parametrize("recipient", ["aaa..bb@docomo.ne.jp", '"aaa..bb"@docomo.ne.jp'])
async def test_carriers_address_is_suppressed_in_each_spelling(relay: Harness, email: str, recipient: str) -> None:
    await suppress(relay, email)
    response = await relay.call("POST", "/v1/messages", json=message(to=recipient))
    assert [each["email"] for each in response.json["suppressed"]] == ['"aaa..bb"@docomo.ne.jp']


async def test_message_with_only_suppressed_recipients_becomes_a_dead_letter(relay: Harness) -> None:
    await suppress(relay)
    name = await relay.send()
    await relay.deliver()
    history = await relay.status(name)
    assert (history["state"], history["recipients"][0]["state"]) == ("failed", "suppressed")
    dead_letters = (await relay.call("GET", "/v1/deadletters", client="boss")).json["value"]
    assert [(each["code"], each["count"]) for each in dead_letters] == [("suppressed", 1)]


async def test_suppression_applies_to_batch_dry_run_and_sendgrid_api(relay: Harness) -> None:
    await suppress(relay)
    batch = await relay.call("POST", "/v1/messages/batch", json={"messages": [message(), message(to="b@example.org")]})
    assert [row.get("suppressed") for row in batch.json["value"]] == [
        [{"email": "ada@example.org", "reason": "manual"}],
        None,
    ]
    dry = await relay.call("POST", "/v1/messages", json=message(dry_run=True))
    assert dry.json["suppressed"] == [{"email": "ada@example.org", "reason": "manual"}]
    mail = {
        "personalizations": [{"to": [{"email": "ada@example.org"}, {"email": "b@example.org"}]}],
        "from": {"email": "orders@example.com"},
        "subject": "x",
        "content": [{"type": "text/plain", "value": "x"}],
    }
    response = await relay.call("POST", "/v3/mail/send", json=mail)
    assert response.status == 202
    await relay.deliver()
    history = await relay.status(response.headers["x-message-id"])
    assert [each["state"] for each in history["recipients"]] == ["suppressed", "sent"]


async def test_retry_with_the_same_key_reports_the_same_suppression(relay: Harness) -> None:
    await suppress(relay)
    key = {"Idempotency-Key": "k"}
    first, second = [await relay.call("POST", "/v1/messages", json=message(), headers=key) for _ in range(2)]
    assert first.body == second.body
    assert first.json["suppressed"]


async def test_client_has_its_own_list_and_operators_the_common_one(relay: Harness) -> None:
    await relay.add_client("other")
    await suppress(relay, "own@example.org")
    await suppress(relay, "all@example.org", client="boss", note="asked by post")
    assert await listed(relay) == ["own@example.org"]
    assert await listed(relay, "other") == []
    assert await listed(relay, "boss", "?client=app") == ["own@example.org"]
    assert "all@example.org" in await listed(relay, "boss")
    shown = await relay.call("GET", f"{LIST}/ALL@example.org", client="other")
    assert [(row["for_all"], row["note"]) for row in shown.json["value"]] == [(True, "asked by post")]


async def test_client_cannot_change_another_list(relay: Harness) -> None:
    await suppress(relay, "all@example.org", client="boss")
    for fields in ({"for_all": True}, {"client": "boss"}):
        response = await relay.call("POST", LIST, json={"email": "x@example.org", **fields})
        assert (response.status, response.error["code"]) == (403, "operators_only")
    assert (await relay.call("GET", f"{LIST}?client=boss")).status == 403
    assert (await relay.call("DELETE", f"{LIST}/all@example.org")).status == 204
    assert (await relay.call("GET", f"{LIST}/all@example.org")).status == 200
    assert (await relay.call("DELETE", f"{LIST}/all@example.org", client="boss")).status == 204
    assert (await relay.call("GET", f"{LIST}/all@example.org")).status == 404
    assert (
        await relay.call("POST", LIST, json={"email": "x@y.example", "client": "nobody"}, client="boss")
    ).status == 404


async def test_removing_twice_succeeds(relay: Harness) -> None:
    await suppress(relay)
    for _ in range(2):
        assert (await relay.call("DELETE", f"{LIST}/ada@example.org")).status == 204
    assert (await relay.send()).startswith("msg_")
    assert await listed(relay) == []


async def test_suppression_with_an_expiry_expires(relay: Harness) -> None:
    response = await suppress(relay, expires_in_seconds=3600)
    assert response.json["expires_at"].startswith("2026-03-01T13:00")
    relay.clock.move(3600)
    assert await listed(relay) == []
    sent = await relay.call("POST", "/v1/messages", json=message())
    assert "suppressed" not in sent.json


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, [("required", "email")]),
        ({"email": "nobody"}, [("invalid_address", "email")]),
        ({"email": "a@b.example", "reason": "because"}, [("invalid_choice", "reason")]),
        ({"email": "a@b.example", "note": "x" * 501}, [("too_long", "note")]),
        ({"email": "a@b.example", "expires_in_seconds": 5}, [("out_of_range", "expires_in_seconds")]),
        ({"email": "a@b.example", "emial": 1}, [("unknown_field", "emial")]),
    ],
)
async def test_every_problem_is_reported(relay: Harness, body: Any, problems: list[tuple[str, str]]) -> None:
    response = await relay.call("POST", LIST, json=body)
    assert (response.status, response.problems) == (400, problems)


async def test_exported_csv_can_be_imported(relay: Harness) -> None:
    for number in range(3):
        await suppress(relay, f"n{number}@example.org", reason="unsubscribed", note="=1+1" if number else "plain")
    out = await relay.call("GET", f"{LIST}/export")
    assert out.headers["content-type"].startswith("text/csv")
    lines = out.body.decode().splitlines()
    assert lines[0] == "email,reason,at,expires_at,source,note"
    assert len(lines) == 4
    assert sum("'=1+1" in line for line in lines) == 2
    await relay.add_client("other")
    as_csv = {"Content-Type": "text/csv"}
    taken = await relay.call("POST", f"{LIST}/import", body=out.body, headers=as_csv, client="other")
    assert taken.json == {"imported": 3}
    assert await listed(relay, "other") == [f"n{number}@example.org" for number in range(3)]


async def test_import_with_an_invalid_row_changes_nothing(relay: Harness) -> None:
    value = [{"email": "a@example.org"}, {"email": "nobody"}, {"email": "b@example.org", "note": "x" * 501}]
    response = await relay.call("POST", f"{LIST}/import", json={"value": value})
    assert response.problems == [("invalid_address", "value[1].email"), ("too_long", "value[2].note")]
    assert await listed(relay) == []
    whole = [{"email": f"n{number}@example.org"} for number in range(1500)]
    assert (await relay.call("POST", f"{LIST}/import", json={"value": whole})).json == {"imported": 1500}
    first = (await relay.call("GET", LIST)).json
    assert len(first["value"]) == 1000
    rest = (await relay.call("GET", first["next_link"].removeprefix("https://relay.example"))).json
    assert len(rest["value"]) == 500


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"address\r\na@b.example\r\n", 400),
        (b"", 400),
        (b"\xff\xfe", 400),
        (b"email\r\nnobody\r\n", 400),
        (b"email\r\n" * 700_000, 413),
    ],
)
async def test_unreadable_csv_is_refused(relay: Harness, body: bytes, status: int) -> None:
    response = await relay.call("POST", f"{LIST}/import", body=body, headers={"Content-Type": "text/csv"})
    assert response.status == status


async def test_sendgrid_lists_are_imported_and_updated() -> None:
    async with SendGridStandIn() as sendgrid:
        routes = {"sendgrid": {"provider": "sendgrid", "base_url": sendgrid.url, "api_key": "setting:KEY"}}
        relay = await Harness({"RELAY_ROUTES": json.dumps(routes), "KEY": DEFAULT_KEY}).start()
        kept = sendgrid.lists.suppressed
        kept["bounces"] |= {f"n{number}@example.org": "550" for number in range(1_200)}
        kept["spam_reports"]["angry@example.org"] = "spam"
        kept["blocks"]["blocked@example.org"] = "4.7.1"

        async def sync() -> Any:
            response = await relay.call("POST", f"{LIST}/sync", json={"route": "sendgrid"}, client="boss")
            assert response.status == 200, response.body
            return response.json

        assert await sync() == {"imported": 1201, "removed": 0, "is_complete": True}
        relay.clock.move(60)
        del kept["spam_reports"]["angry@example.org"]
        assert await sync() == {"imported": 1200, "removed": 1, "is_complete": True}
        sent = await relay.call("POST", "/v1/messages", json=message(to=["n7@example.org", "blocked@example.org"]))
        assert sent.json["suppressed"] == [{"email": "n7@example.org", "reason": "provider"}]
        await relay.relay.close()


async def test_list_import_needs_an_operator_and_a_provider_with_lists(relay: Harness) -> None:
    sync = f"{LIST}/sync"
    assert (await relay.call("POST", sync, json={"route": "capture"})).status == 403
    assert (await relay.call("POST", sync, json={"route": "pigeon"}, client="boss")).status == 404
    assert (await relay.call("POST", sync, json={"route": "capture"}, client="boss")).status == 422
