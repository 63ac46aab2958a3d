"""Topics: who is asked, who is left out, and that no other mail is touched; through the API."""

import re
from typing import Any

import pytest

from relay.clients.suppressions.cache import MAX_AGE
from relay.unsubscribe import token
from relay.unsubscribe.topics import MAX_TOPICS
from tests.api.harness import BASE, ApiResponse, Harness, message
from tests.api.sendgrid_requests import mail

RAW = b"From: Shop <orders@example.com>\r\nTo: ada@example.org\r\nSubject: Hi\r\n\r\nHello\r\n"
ABOUT: dict[str, Any] = {"unsubscribe": {"topic": "news"}}


@pytest.fixture
async def shop(relay: Harness) -> Harness:
    for name in ("news", "offers"):
        assert (await put_topic(relay, name)).status == 201
    return relay


async def put_topic(relay: Harness, name: str, client: str = "app", **fields: Any) -> ApiResponse:
    return await relay.call("PUT", f"/v1/topics/{name}", json=fields, client=client)


async def sent_headers(relay: Harness) -> list[dict[str, str]]:
    """The headers of the mail that arrived, newest first."""
    await relay.deliver()
    found = []
    for each in (await relay.call("GET", "/v1/inbox", client="boss")).json["value"]:
        source = await relay.call("GET", f"/v1/inbox/{each['name']}/source", client="boss")
        head = source.body.decode().partition("\r\n\r\n")[0].replace("\r\n ", " ")
        found.append(dict(line.split(": ", 1) for line in head.split("\r\n")))
    return found


async def suppress(relay: Harness, topic: str = "news", email: str = "ada@example.org", client: str = "app") -> None:
    added = await relay.call("POST", f"/v1/topics/{topic}/suppressions", json={"email": email}, client=client)
    assert added.status == 201, added.body
    relay.clock.move(MAX_AGE.total_seconds() + 1)


# ── the link ──


async def test_message_about_a_topic_carries_both_fields(shop: Harness) -> None:
    name = await shop.send(**ABOUT)
    [headers] = await sent_headers(shop)
    link = headers["List-Unsubscribe"].strip("<>")
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    start, text, message_id = link.rsplit("/", 2)
    assert (start, message_id) == (f"{BASE}/unsubscribe", name)
    client = await shop.relay.clients.get("app")
    assert token.read(client, text) == token.Subscriber(client=client, topic="news", email="ada@example.org")
    assert "ada" not in link


async def test_message_without_a_topic_carries_no_link(shop: Harness) -> None:
    await shop.send()
    [headers] = await sent_headers(shop)
    assert "List-Unsubscribe" not in headers


async def test_raw_message_gets_the_fields_by_query_or_header(shop: Harness) -> None:
    kind = {"Content-Type": "message/rfc822"}
    await shop.call("POST", "/v1/messages?unsubscribe=news", body=RAW, headers=kind)
    await shop.call("POST", "/v1/messages", body=RAW, headers={**kind, "X-Relay-Unsubscribe": "news"})
    first, second = await sent_headers(shop)
    for headers in (first, second):
        assert headers["List-Unsubscribe"].startswith(f"<{BASE}/unsubscribe/1-")
        assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert headers["Subject"] == "Hi"


async def test_each_message_of_a_batch_has_its_own_link(shop: Harness) -> None:
    people = ("ada@example.org", "bob@example.org")
    body = {"defaults": {**message(to=None), **ABOUT}, "messages": [{"to": each} for each in people]}
    sent = await shop.call("POST", "/v1/messages/batch", json=body)
    assert sent.json["accepted"] == 2
    links = {headers["List-Unsubscribe"] for headers in await sent_headers(shop)}
    client = await shop.relay.clients.get("app")
    read = [token.read(client, link.strip("<>").split("/")[-2]) for link in links]
    assert sorted(each.email for each in read if each is not None) == sorted(people)


@pytest.mark.parametrize(
    "people",
    [
        {"to": ["ada@example.org", "bob@example.org"]},
        {"cc": "bob@example.org"},
        {"bcc": "bob@example.org"},
        {"to": None, "bcc": "bob@example.org"},
    ],
)
async def test_message_about_a_topic_needs_one_recipient(shop: Harness, people: dict[str, Any]) -> None:
    refused = await shop.call("POST", "/v1/messages", json=message(**ABOUT, **people))
    assert refused.problems == [("not_applicable", "unsubscribe")]


async def test_own_link_beside_a_topic_is_refused(shop: Harness) -> None:
    headers = {"list-unsubscribe": "<https://example.com/u>"}
    refused = await shop.call("POST", "/v1/messages", json=message(**ABOUT, headers=headers))
    assert refused.problems == [("not_applicable", "headers['list-unsubscribe']")]
    raw = b"List-Unsubscribe: <https://example.com/u>\r\n" + RAW
    kind = {"Content-Type": "message/rfc822"}
    refused = await shop.call("POST", "/v1/messages?unsubscribe=news", body=raw, headers=kind)
    assert refused.problems == [("not_applicable", "headers['List-Unsubscribe']")]


async def test_unknown_topic_is_refused(shop: Harness) -> None:
    refused = await shop.call("POST", "/v1/messages", json=message(unsubscribe={"topic": "sport"}))
    assert (refused.status, refused.problems) == (400, [("unknown_topic", "unsubscribe.topic")])
    await put_topic(shop, "sport", client="boss")
    refused = await shop.call("POST", "/v1/messages", json=message(unsubscribe={"topic": "sport"}))
    assert refused.problems == [("unknown_topic", "unsubscribe.topic")]


async def test_link_leads_to_the_callers_own_machine_without_a_public_address() -> None:
    relay = await Harness({"RELAY_PUBLIC_URL": ""}).start()
    await put_topic(relay, "news")
    accepted = await relay.call("POST", "http://localhost:7071/v1/messages", json=message(**ABOUT))
    assert accepted.status == 202
    await relay.deliver()
    [mail] = (await relay.call("GET", "/v1/inbox", client="boss")).json["value"]
    headers = (await relay.call("GET", f"/v1/inbox/{mail['name']}", client="boss")).json["headers"]
    [link] = [each["value"] for each in headers if each["name"] == "List-Unsubscribe"]
    assert link.startswith("<http://localhost:7071/unsubscribe/")


@pytest.mark.parametrize("url", ["", "http://relay.example"])
async def test_link_needs_a_public_address_with_https(url: str) -> None:
    relay = await Harness({"RELAY_PUBLIC_URL": url}).start()
    await put_topic(relay, "news")
    refused = await relay.call("POST", "/v1/messages", json=message(**ABOUT))
    assert (refused.status, refused.error["code"]) == (422, "no_unsubscribe_link")
    assert "RELAY_PUBLIC_URL" in refused.error["message"]


async def test_redirected_message_has_the_link_of_who_gets_it(shop: Harness) -> None:
    change = {"policy": {"senders": ["*"], "recipients": ["*@example.com"], "redirect_to": "tester@example.com"}}
    assert (await shop.call("PATCH", "/v1/clients/app", json=change, client="boss")).status == 200
    await shop.send(**ABOUT)
    [headers] = await sent_headers(shop)
    client = await shop.relay.clients.get("app")
    read = token.read(client, headers["List-Unsubscribe"].strip("<>").split("/")[-2])
    assert read is not None
    assert read.email == "tester@example.com"


# ── who gets no mail ──


async def test_suppressed_topic_blocks_that_topic_alone(shop: Harness) -> None:
    await put_topic(shop, "news", client="boss")
    await suppress(shop)
    refused = await shop.call("POST", "/v1/messages", json=message(**ABOUT))
    assert refused.json["suppressed"] == [{"email": "ada@example.org", "reason": "topic_unsubscribed"}]
    others = [
        await shop.send(unsubscribe={"topic": "offers"}),
        await shop.send(),
        await shop.send(to="bob@example.org", **ABOUT),
    ]
    theirs = await shop.send(client="boss", **ABOUT)
    await shop.deliver()
    status = await shop.status(refused.json["id"])
    assert (status["state"], status["attempts"]) == ("failed", [])
    [recipient] = status["recipients"]
    assert (recipient["state"], recipient["code"]) == ("suppressed", "topic_unsubscribed")
    for name in others:
        assert (await shop.status(name))["state"] == "sent"
    assert (await shop.status(theirs, client="boss"))["state"] == "sent"


async def test_suppression_for_all_mail_blocks_topics_too(shop: Harness) -> None:
    await shop.call("POST", "/v1/suppressions", json={"email": "ada@example.org", "reason": "complained"})
    sent = await shop.call("POST", "/v1/messages", json=message(**ABOUT))
    assert sent.json["suppressed"] == [{"email": "ada@example.org", "reason": "complained"}]


async def test_who_unsubscribes_while_a_message_waits_does_not_get_it(shop: Harness) -> None:
    waiting = await shop.send(send_at="2026-03-01T14:00:00Z", **ABOUT)
    other = await shop.send(send_at="2026-03-01T14:00:00Z", unsubscribe={"topic": "offers"})
    await shop.deliver()
    await suppress(shop)
    await shop.pass_time(7_200)
    status = await shop.status(waiting)
    assert (status["state"], status["recipients"][0]["code"]) == ("failed", "suppressed")
    assert (await shop.status(other))["state"] == "sent"


async def test_removed_suppression_lets_the_mail_go(shop: Harness) -> None:
    await suppress(shop)
    for _ in range(2):
        removed = await shop.call("DELETE", "/v1/topics/news/suppressions/ada@example.org")
        assert removed.status == 204
    shop.clock.move(MAX_AGE.total_seconds() + 1)
    name = await shop.send(**ABOUT)
    await shop.deliver()
    assert (await shop.status(name))["state"] == "sent"
    assert (await shop.call("GET", "/v1/topics/news/suppressions")).json["value"] == []


async def test_deleted_topic_that_is_made_again_keeps_its_suppressions(shop: Harness) -> None:
    await suppress(shop)
    assert (await shop.call("DELETE", "/v1/topics/news")).status == 204
    assert (await shop.call("GET", "/v1/topics/news/suppressions")).status == 404
    await put_topic(shop, "news")
    sent = await shop.call("POST", "/v1/messages", json=message(**ABOUT))
    assert sent.json["suppressed"][0]["reason"] == "topic_unsubscribed"


async def test_deleted_client_leaves_neither_topics_nor_their_suppressions(shop: Harness) -> None:
    await shop.add_client("other")
    client = await shop.relay.clients.get("other")
    await put_topic(shop, "news", client="other")
    await suppress(shop, client="other")
    await suppress(shop)
    assert (await shop.call("DELETE", "/v1/clients/other", client="boss")).status == 204
    left = [*shop.memory.tables.rows("topics"), *shop.memory.tables.rows("suppressions")]
    assert [row for row in left if client.id in row.partition] == []
    assert (await shop.call("GET", "/v1/topics/news/suppressions")).json["value"] != []


# ── topics ──


async def test_topic_is_created_replaced_and_listed(shop: Harness) -> None:
    titles = {"en": "News", "ja": "お知らせ"}
    replaced = await put_topic(shop, "news", titles=titles, sendgrid_group_id=12)
    assert replaced.status == 200
    assert replaced.json["titles"] == titles
    listed = (await shop.call("GET", "/v1/topics")).json["value"]
    assert [(each["name"], each.get("sendgrid_group_id")) for each in listed] == [("news", 12), ("offers", None)]
    assert (await shop.call("GET", "/v1/topics/news")).json == listed[0]
    assert (await shop.call("GET", "/v1/topics/sport")).status == 404


async def test_invalid_topic_gives_every_problem(shop: Harness) -> None:
    fields: dict[str, Any] = {
        "titles": {"English": "News", "en": " "},
        "descriptions": {"en": "x" * 501},
        "sendgrid_group_id": 0,
    }
    refused = await put_topic(shop, "news", **fields)
    assert refused.problems == [
        ("invalid_value", "titles.English"),
        ("invalid_text", "titles.en"),
        ("too_long", "descriptions.en"),
        ("out_of_range", "sendgrid_group_id"),
    ]
    assert (await put_topic(shop, "News")).status == 404


async def test_client_has_a_limited_number_of_topics(shop: Harness) -> None:
    for number in range(MAX_TOPICS - 2):
        assert (await put_topic(shop, f"t{number}")).status == 201
    assert (await put_topic(shop, "more")).error["code"] == "too_many_topics"
    assert (await put_topic(shop, "news", titles={"en": "News"})).status == 200


async def test_client_reaches_its_own_topics_only(shop: Harness) -> None:
    await put_topic(shop, "internal", client="boss")
    assert (await shop.call("GET", "/v1/topics/internal")).status == 404
    assert (await shop.call("GET", "/v1/topics?client=boss")).status == 403
    assert (await shop.call("GET", "/v1/topics?client=app")).status == 200
    theirs = (await shop.call("GET", "/v1/topics?client=app", client="boss")).json["value"]
    assert [each["name"] for each in theirs] == ["news", "offers"]
    assert (await shop.call("GET", "/v1/topics?client=nobody", client="boss")).status == 404


async def test_exported_suppressions_can_be_imported(shop: Harness) -> None:
    csv = {"Content-Type": "text/csv"}
    body = b"email,reason,note\r\nada@example.org,unsubscribed,asked\r\nbob@example.org,,\r\n"
    taken = await shop.call("POST", "/v1/topics/news/suppressions/import", body=body, headers=csv)
    assert taken.json == {"imported": 2}
    exported = await shop.call("GET", "/v1/topics/news/suppressions/export")
    assert exported.body.splitlines()[0] == b"email,reason,at,expires_at,source,note"
    again = await shop.call("POST", "/v1/topics/offers/suppressions/import", body=exported.body, headers=csv)
    assert again.json == {"imported": 2}
    listed = (await shop.call("GET", "/v1/topics/offers/suppressions")).json["value"]
    assert sorted((each["email"], each["reason"], each.get("note")) for each in listed) == [
        ("ada@example.org", "unsubscribed", "asked"),
        ("bob@example.org", "manual", None),
    ]
    refused = await shop.call("POST", "/v1/topics/news/suppressions/import", json={"value": [{"email": "nobody"}]})
    assert refused.problems == [("invalid_address", "value[0].email")]


# ── SendGrid's groups ──


async def test_group_of_a_topic_may_leave_by_any_route(shop: Harness) -> None:
    body = mail(asm={"group_id": 12})
    refused = await shop.call("POST", "/v3/mail/send", json=body)
    [error] = refused.json["errors"]
    assert (refused.status, error["field"]) == (400, "asm")
    assert "sendgrid_group_id" in error["message"]
    await put_topic(shop, "offers", sendgrid_group_id=12)
    shop.clock.move(MAX_AGE.total_seconds() + 1)
    assert (await shop.call("POST", "/v3/mail/send", json=body)).status == 202
    [headers] = await sent_headers(shop)
    client = await shop.relay.clients.get("app")
    read = token.read(client, headers["List-Unsubscribe"].strip("<>").split("/")[-2])
    assert read is not None
    assert read.topic == "offers"


async def test_page_of_a_link_shows_the_topics_of_the_groups_to_display(shop: Harness) -> None:
    for number, name in enumerate(("offers", "press", "jobs"), 12):
        await put_topic(shop, name, sendgrid_group_id=number)
    asm = {"group_id": 12, "groups_to_display": [12, 13, 99, 0, -1, 2**70]}
    assert (await shop.call("POST", "/v3/mail/send", json=mail(asm=asm))).status == 202
    [headers] = await sent_headers(shop)
    path = headers["List-Unsubscribe"].strip("<>").removeprefix(BASE)
    page = (await shop.call("GET", f"{path}?page=choose", client=None)).body.decode()
    assert sorted(re.findall(r'name="shown" value="([^"]+)"', page)) == ["offers", "press"]


async def test_too_many_groups_to_display_are_refused(shop: Harness) -> None:
    await put_topic(shop, "offers", sendgrid_group_id=12)
    options = {"sendgrid": {"asm": {"group_id": 12, "groups_to_display": list(range(1, 27))}}}
    about = {"unsubscribe": {"topic": "offers"}}
    refused = await shop.call("POST", "/v1/messages", json=message(**about, options=options))
    assert refused.problems == [("too_many", "options.sendgrid.asm.groups_to_display")]


async def test_topic_of_another_group_is_refused(shop: Harness) -> None:
    options = {"sendgrid": {"asm": {"group_id": 13}}}
    refused = await shop.call("POST", "/v1/messages", json=message(**ABOUT, options=options))
    assert refused.problems == [("not_applicable", "options.sendgrid.asm")]


# ── the doctor ──


async def findings(relay: Harness) -> list[tuple[str, str, str]]:
    listed = (await relay.call("GET", "/v1/doctor", client="boss")).json["value"]
    return [(each["about"], each["health"], each["what"]) for each in listed if each["about"].startswith("unsubscribe")]


async def test_doctor_is_silent_about_links_while_there_is_no_topic(relay: Harness) -> None:
    assert await findings(relay) == []


async def test_doctor_shows_where_links_lead_and_what_is_unknown(shop: Harness) -> None:
    assert await findings(shop) == [("unsubscribe links", "ok", f"links lead to {BASE}")]
    routes = (
        '{"main": {"provider": "smtp", "host": "127.0.0.1", "port": 1, "tls": "none"}, "c": {"provider": "capture"}}'
    )
    relay = await Harness({"RELAY_PUBLIC_URL": "http://relay.example", "RELAY_ROUTES": routes}).start()
    await put_topic(relay, "news")
    first, second = await findings(relay)
    assert first[1] == "fault"
    assert second[:2] == ("unsubscribe links by smtp", "warning")
    assert "OpenDKIM" in second[2]


# ── costs ──


async def test_message_about_a_topic_costs_no_operation_once_its_topic_is_known(shop: Harness) -> None:
    await shop.send(**ABOUT)
    await shop.deliver()
    before = sum(shop.tables.calls.values()), sum(shop.queues.calls.values())
    await shop.send(**ABOUT)
    assert (sum(shop.tables.calls.values()), sum(shop.queues.calls.values())) == (before[0], before[1] + 1)
