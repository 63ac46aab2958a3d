"""POST /v1/erase, and what the API returns for an erased message."""

from typing import Any

import pytest

from tests.api.harness import BASE, Harness, file, message
from tests.traces import traces

ADA = "ada@example.org"
COUNTS = ("erased", "cancelled", "in_progress", "shared_files", "unreadable")
NOTHING = {**dict.fromkeys(COUNTS, 0), "dry_run": False, "is_more": False}
GONE = (410, "message_erased")


async def erase(relay: Harness, recipient: str = ADA, **fields: Any) -> Any:
    response = await relay.call("POST", "/v1/erase", json={"recipient": recipient, **fields}, client="boss")
    assert response.status == 200, response.body
    return response.json


async def erased(relay: Harness, **fields: Any) -> str:
    """A message to Ada that was delivered, and erased."""
    name = await relay.send(**fields)
    await relay.deliver()
    await erase(relay)
    return name


async def test_dry_run_and_erasure_return_counts(relay: Harness) -> None:
    for _ in range(2):
        await relay.send()
    await relay.deliver()
    await relay.send(to="bob@example.org", cc=["Ada <ADA@Example.org>"], send_at="2026-03-02T12:00:00Z")
    await relay.send(to="bob@example.org")
    await relay.deliver()
    counts = {**NOTHING, "erased": 3, "cancelled": 1}
    assert await erase(relay, dry_run=True) == {**counts, "dry_run": True}
    assert await erase(relay, "Ada@example.ORG") == counts
    assert await erase(relay) == NOTHING
    # What the route has caught is left: that is where a provider would have it.
    assert {place.partition(":")[0] for place in await traces(relay.memory, ADA, "ADA@")} == {"inbox"}


async def test_status_of_an_erased_message_keeps_its_final_state(relay: Harness) -> None:
    name = await relay.send(cc="bob@example.org", tags=["invoice"], metadata={"order": "4711"})
    await relay.deliver()
    before = await relay.status(name)
    await erase(relay)
    after = await relay.status(name)
    [attempt] = before["attempts"]
    assert after == {
        **{
            key: before[key]
            for key in ("id", "state", "arrival", "created_at", "lane", "client", "delivery", "expires_at", "size")
        },
        "erased_at": relay.clock.now.isoformat().replace("+00:00", "Z"),
        "recipient_count": 2,
        "recipients": [],
        "attempts": [{key: attempt[key] for key in attempt.keys() - {"reply", "provider_id"}}],
        "events": [],
    }


async def test_erased_message_is_listed_by_time_and_state_only(relay: Harness) -> None:
    name = await erased(relay, tags=["invoice"])
    relay.clock.move(1)
    [row] = (await relay.call("GET", "/v1/messages?state=sent")).json["value"]
    assert (row["id"], row["recipient_count"]) == (name, 1)
    assert row["erased_at"] == (await relay.status(name))["erased_at"]
    assert row.keys().isdisjoint({"from", "subject", "tags"})
    for query in (f"recipient={ADA}", "tag=invoice"):
        assert (await relay.call("GET", f"/v1/messages?{query}")).json["value"] == []


@pytest.mark.parametrize("text", ["Hello.", "long " * 20_000], ids=["in the entry", "in a blob"])
async def test_content_of_an_erased_message_is_gone(relay: Harness, text: str) -> None:
    name = await relay.send(text=text, html="<p>Hello.</p>", attachments=[file()])
    await relay.deliver()
    shown = (await relay.call("GET", f"/v1/messages/{name}/content")).json["html_url"]
    await erase(relay)
    for path in ("content", "source", "attachments/0"):
        response = await relay.call("GET", f"/v1/messages/{name}/{path}")
        assert (response.status, response.error["code"]) == GONE
    framed = await relay.call("GET", shown.removeprefix(BASE), client=None)
    assert (framed.status, framed.error["code"]) == GONE


async def test_erased_message_cannot_be_redriven(relay: Harness) -> None:
    name = await erased(relay, to=[ADA, "rejected@relay.test"])
    alone = await erased(relay, to="rejected@relay.test", cc=ADA)
    assert (await relay.status(alone))["state"] == "failed"
    for each in (name, alone):
        response = await relay.call("POST", f"/v1/messages/{each}/redrive", json={}, client="boss")
        assert (response.status, response.error["code"]) == GONE
    body = {"ids": [name, alone]}
    assert (await relay.call("POST", "/v1/deadletters/redrive", json=body, client="boss")).json["redriven"] == 0
    assert (await relay.call("GET", "/v1/deadletters", client="boss")).json["value"] == []


async def test_erased_message_can_be_neither_cancelled_nor_rescheduled(relay: Harness) -> None:
    sent = await erased(relay)
    waiting = await erased(relay, send_at="2026-03-02T12:00:00Z")
    move = {"send_at": "2026-03-02T13:00:00Z"}
    for name, cancelled in ((sent, 409), (waiting, 200)):
        assert (await relay.call("DELETE", f"/v1/messages/{name}")).status == cancelled
        assert (await relay.call("PATCH", f"/v1/messages/{name}", json=move)).error["code"] == "not_scheduled"


@pytest.mark.parametrize(("goal", "status"), [("sent", 200), ("delivered", 410)])
async def test_erased_message_ends_the_wait(relay: Harness, goal: str, status: int) -> None:
    body = {"from": "orders@example.com", "to": ADA, "subject": "Hello", "text": "Hello."}
    accepted = await relay.call("POST", f"/v1/messages?wait={goal}", json=body)
    await relay.deliver()
    await erase(relay)
    path = accepted.headers["location"].removeprefix(BASE)
    assert (await relay.call("GET", path, client=None)).status == status


async def test_erasure_keeps_the_wish_but_not_the_address_of_who_unsubscribed(relay: Harness) -> None:
    await relay.call("PUT", "/v1/topics/news", json={})
    body = {"email": ADA, "note": "asked by telephone"}
    assert (await relay.call("POST", "/v1/topics/news/suppressions", json=body)).status == 201
    await relay.call("POST", "/v1/erase", json={"recipient": ADA, "dry_run": True}, client="boss")
    assert len((await relay.call("GET", "/v1/topics/news/suppressions")).json["value"]) == 1
    for _ in range(2):
        assert (await relay.call("POST", "/v1/erase", json={"recipient": ADA}, client="boss")).status == 200
    assert ADA not in str(relay.memory.tables.rows("suppressions"))
    assert "telephone" not in str(relay.memory.tables.rows("suppressions"))
    assert (await relay.call("GET", "/v1/topics/news/suppressions")).json["value"] == []
    exported = await relay.call("GET", "/v1/topics/news/suppressions/export")
    assert exported.body.splitlines()[1:] == []
    sent = await relay.call("POST", "/v1/messages", json=message(to=ADA, unsubscribe={"topic": "news"}))
    assert sent.json["suppressed"][0]["reason"] == "topic_unsubscribed"


async def test_erasure_keeps_suppressions(relay: Harness) -> None:
    await relay.call("POST", "/v1/suppressions", json={"email": ADA, "reason": "unsubscribed"})
    await erase(relay)
    assert (await relay.call("GET", f"/v1/suppressions/{ADA}")).status == 200


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, [("required", "recipient")]),
        ({"recipient": "ada"}, [("invalid_address", "recipient")]),
        ({"recipient": "Ada <ada@example.org>"}, [("invalid_address", "recipient")]),
        ({"recipient": [ADA]}, [("wrong_type", "recipient")]),
        ({"recipient": ADA, "dry_run": "yes"}, [("wrong_type", "dry_run")]),
        ({"recipient": ADA, "cursor": "x"}, [("invalid_value", "cursor")]),
        ({"recipient": ADA, "dryrun": True}, [("unknown_field", "dryrun")]),
    ],
)
async def test_every_problem_is_reported(relay: Harness, body: Any, problems: list[tuple[str, str]]) -> None:
    response = await relay.call("POST", "/v1/erase", json=body, client="boss")
    assert (response.status, response.problems) == (400, problems)


async def test_only_operators_may(relay: Harness) -> None:
    await relay.send()
    await relay.deliver()
    response = await relay.call("POST", "/v1/erase", json={"recipient": ADA})
    assert (response.status, response.error["code"]) == (403, "operators_only")


async def test_erasure_continues_from_a_cursor(relay: Harness) -> None:
    for _ in range(230):
        await relay.send()
        await relay.deliver()
    cursor: dict[str, str] = {}
    counted, calls = 0, 0
    while True:
        step = await erase(relay, **cursor)
        counted, calls = counted + step["erased"], calls + 1
        if not step["is_more"]:
            break
        cursor = {"cursor": step["cursor"]}
    assert (counted, calls) == (230, 3)
    assert "cursor" not in step
