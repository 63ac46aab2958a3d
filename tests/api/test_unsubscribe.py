"""Unsubscribe links: programs that post once, people who are asked, and everyone else who gets hold of a link."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest

from relay.clients.suppressions.cache import MAX_AGE
from relay.core.errors import Unavailable
from relay.events.provider_events import QUEUE as EVENTS
from relay.events.sendgrid import translate
from relay.platform.resources import WEBHOOKS_QUEUE
from relay.unsubscribe.preferences import REQUESTS_A_MINUTE, WRONG_LINKS_A_MINUTE
from tests.api.harness import BASE, ApiResponse, Harness, message

ABOUT: dict[str, Any] = {"unsubscribe": {"topic": "news"}}
FORM = "application/x-www-form-urlencoded"
ONE_CLICK = b"List-Unsubscribe=One-Click"
MULTIPART = (
    b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n',
    "multipart/form-data; boundary=x",
)
EXAMPLE = (
    b'---FormBoundaryjWmhtjORrn\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n'
    b"---FormBoundaryjWmhtjORrn--"
)
"""The body in RFC 8058 section 8.3."""
ADA = "/v1/topics/{}/suppressions"


@pytest.fixture
async def shop(relay: Harness) -> Harness:
    titles = {"news": {"en": "News & more", "ja": "お知らせ"}, "offers": {"en": "Offers"}}
    for name, each in titles.items():
        fields = {"titles": each, "descriptions": {"en": "Once a month."}, "sendgrid_group_id": 12}
        assert (await relay.call("PUT", f"/v1/topics/{name}", json=fields)).status == 201
    hook = {"url": "https://shop.example/hook", "events": ["unsubscribed", "resubscribed"]}
    assert (await relay.call("POST", "/v1/webhooks", json=hook)).status == 201
    return relay


async def link(relay: Harness, **fields: Any) -> str:
    """Send a message about a topic; the path of the link in the mail that arrived."""
    name = await relay.send(**{**ABOUT, **fields})
    await relay.deliver()
    return await link_of(relay, name)


async def link_of(relay: Harness, name: str) -> str:
    for each in (await relay.call("GET", "/v1/inbox", client="boss")).json["value"]:
        if name in each["name"]:
            source = await relay.call("GET", f"/v1/inbox/{each['name']}/source", client="boss")
            head = source.body.decode().replace("\r\n ", " ")
            found = re.search(rf"List-Unsubscribe: ?<{BASE}([^>]+)>", head)
            assert found is not None
            return found[1].replace(" ", "")
    raise AssertionError("no such mail")


async def post(
    relay: Harness, path: str, body: bytes = ONE_CLICK, kind: str = FORM, *, address: str = ""
) -> ApiResponse:
    headers = {"Content-Type": kind, **({"X-Forwarded-For": address} if address else {})}
    return await relay.call("POST", path, body=body, headers=headers, client=None)


async def apply_events(relay: Harness) -> None:
    for entry in await relay.memory.queues.receive(EVENTS, limit=32):
        await relay.relay.events.apply(entry.body)
        await relay.memory.queues.delete(EVENTS, entry)


async def suppressed(relay: Harness, topic: str = "news") -> list[str]:
    listed = (await relay.call("GET", ADA.format(topic))).json["value"]
    return [each["email"] for each in listed]


def posted(relay: Harness) -> list[str]:
    """The kinds of the webhook posts that were enqueued."""
    return re.findall(r"message\.(\w+)", " ".join(body.decode() for body in relay.memory.queues.bodies(WEBHOOKS_QUEUE)))


# ── RFC 8058 ──


@pytest.mark.parametrize(("body", "kind"), [(ONE_CLICK, FORM), (ONE_CLICK, f"{FORM}; charset=utf-8"), MULTIPART])
async def test_one_post_unsubscribes_the_recipient(shop: Harness, body: bytes, kind: str) -> None:
    path = await link(shop)
    response = await post(shop, path, body, kind)
    assert response.status == 200
    assert "News &amp; more" in response.body.decode()
    assert await suppressed(shop) == ["ada@example.org"]
    sent = await shop.call("POST", "/v1/messages", json=message(**ABOUT))
    assert sent.json["suppressed"][0]["reason"] == "topic_unsubscribed"
    other = await shop.call("POST", "/v1/messages", json=message(unsubscribe={"topic": "offers"}))
    assert "suppressed" not in other.json
    assert "suppressed" not in (await shop.call("POST", "/v1/messages", json=message())).json


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"List-Unsubscribe=One-Click", FORM),
        (EXAMPLE, "multipart/form-data; boundary=-FormBoundaryjWmhtjORrn"),
        (EXAMPLE, "multipart/form-data; boundary=---FormBoundaryjWmhtjORrn"),
    ],
    ids=["8.1", "8.3 with erratum 5117", "8.3 as printed"],
)
async def test_examples_of_rfc_8058_are_read(shop: Harness, body: bytes, kind: str) -> None:
    path = await link(shop)
    assert (await post(shop, path, body, kind)).status == 200
    assert await suppressed(shop) == ["ada@example.org"]


async def test_unsubscription_is_an_event_of_its_message_and_a_webhook(shop: Harness) -> None:
    name = await shop.send(**ABOUT)
    await shop.deliver()
    await post(shop, await link_of(shop, name))
    await apply_events(shop)
    status = await shop.status(name)
    [event] = status["events"]
    assert (event["kind"], event["topic"], event["recipient"]) == ("unsubscribed", "news", "ada@example.org")
    assert status["topic"] == "news"
    assert posted(shop) == ["unsubscribed"]
    # The client's own list has nothing of it.
    assert (await shop.call("GET", "/v1/suppressions")).json["value"] == []


async def test_same_post_again_changes_nothing(shop: Harness) -> None:
    path = await link(shop)
    bodies = []
    for _ in range(3):
        bodies.append((await post(shop, path)).body)
        shop.clock.move(1)
    await apply_events(shop)
    assert bodies[0] == bodies[1] == bodies[2]
    assert await suppressed(shop) == ["ada@example.org"]
    assert posted(shop) == ["unsubscribed"]


async def test_link_works_after_its_message_was_purged(shop: Harness) -> None:
    path = await link(shop)
    shop.clock.move(40 * 86_400)
    await shop.relay.purge.run()
    assert shop.memory.tables.rows("journal") == []
    assert (await post(shop, path)).status == 200
    await apply_events(shop)
    assert await suppressed(shop) == ["ada@example.org"]
    assert posted(shop) == ["unsubscribed"]


async def test_link_works_after_all_keys_of_the_client_changed(shop: Harness) -> None:
    path = await link(shop)
    [key] = (await shop.call("GET", "/v1/clients/app", client="boss")).json["keys"]
    shop.keys["app"] = (await shop.call("POST", "/v1/clients/app/keys", client="boss")).json["key"]
    assert (await shop.call("DELETE", f"/v1/clients/app/keys/{key['id']}", client="boss")).status == 204
    assert (await post(shop, path)).status == 200
    assert await suppressed(shop) == ["ada@example.org"]


async def test_link_about_a_deleted_topic_still_unsubscribes(shop: Harness) -> None:
    path = await link(shop)
    await shop.call("DELETE", "/v1/topics/news")
    assert (await post(shop, path)).status == 200
    await shop.call("PUT", "/v1/topics/news", json={})
    assert await suppressed(shop) == ["ada@example.org"]


async def test_replayed_post_after_a_subscription_unsubscribes_again(shop: Harness) -> None:
    """In RFC 8058 a second click looks like a replay: what the recipient's mail program asks for is done."""
    path = await link(shop)
    await post(shop, path)
    await choose(shop, path, shown="news offers", on="offers", topic="news offers")
    assert await suppressed(shop) == []
    shop.clock.move(60)
    await post(shop, path)
    assert await suppressed(shop) == ["ada@example.org"]
    await apply_events(shop)
    assert sorted(posted(shop)) == ["resubscribed", "unsubscribed", "unsubscribed"]


# ── what happens when something dies ──


@contextmanager
def dying_before_the_suppression(shop: Harness, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let storage refuse suppressions, after it took the event."""

    async def dies(*_: object) -> None:
        raise Unavailable("storage is away")

    with monkeypatch.context() as patch:
        patch.setattr(shop.relay.suppressions, "put", dies)
        yield


async def test_process_that_dies_after_the_event_leaves_the_suppression_to_it(
    shop: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await link(shop)

    with dying_before_the_suppression(shop, monkeypatch):
        assert (await post(shop, path)).status == 503
    assert await suppressed(shop) == []
    await apply_events(shop)
    assert await suppressed(shop) == ["ada@example.org"]
    # The mail program tries again.
    assert (await post(shop, path)).status == 200
    await apply_events(shop)
    assert posted(shop) == ["unsubscribed"]


async def test_repetition_before_the_suppression_is_written_is_one_event(
    shop: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await link(shop)

    with dying_before_the_suppression(shop, monkeypatch):
        for _ in range(2):
            await post(shop, path)
            shop.clock.move(5)
    await post(shop, path)
    await apply_events(shop)
    assert posted(shop) == ["unsubscribed"]


async def test_late_event_does_not_undo_a_later_choice(shop: Harness) -> None:
    path = await link(shop)
    await post(shop, path)
    shop.clock.move(5)
    await choose(shop, path, shown="news", on="", topic="news")
    await apply_events(shop)
    assert await suppressed(shop) == []
    await shop.relay.suppressions.purge()
    assert await suppressed(shop) == []


async def test_choice_is_kept_by_the_purge_of_the_night_and_forgotten_later(shop: Harness) -> None:
    path = await link(shop)
    await post(shop, path)
    await choose(shop, path, shown="news", on="", topic="news")
    await shop.relay.suppressions.purge()
    [row] = [row for row in shop.memory.tables.rows("suppressions") if row.partition.startswith("of-")]
    assert row.properties["reason"] == "resubscribed"
    shop.clock.move(2 * 86_400)
    await shop.relay.suppressions.purge()
    assert shop.memory.tables.rows("suppressions") == []


# ── people, and programs that open links ──


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("query", ["", "?page=choose", "?List-Unsubscribe=One-Click"])
@pytest.mark.parametrize("headers", [{}, {"Sec-Purpose": "prefetch"}, {"User-Agent": "BingPreview/1.0b"}])
async def test_opening_a_link_changes_nothing(shop: Harness, method: str, query: str, headers: dict[str, str]) -> None:
    path = await link(shop)
    before = (shop.memory.tables.rows("suppressions"), shop.memory.queues.bodies(EVENTS))
    response = await shop.call(method, path + query, headers=headers, client=None)
    assert response.status == 200
    assert (shop.memory.tables.rows("suppressions"), shop.memory.queues.bodies(EVENTS)) == before


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("", ("Unsubscribe from “News &amp; more”?", 'lang="en"')),
        ("ja", ("「お知らせ」の配信を停止しますか？", 'lang="ja"')),
        ("fr-FR, ja;q=0.5, en;q=0.9", ("Unsubscribe from", 'lang="en"')),
        ("ja-JP,ja;q=0.9,en;q=0.8", ("お知らせ", 'lang="ja"')),
        ("en;q=0, ja", ("お知らせ", 'lang="ja"')),
        (";;,, *;q=9", ("Unsubscribe from", 'lang="en"')),
    ],
)
async def test_page_is_in_the_readers_language(shop: Harness, language: str, texts: tuple[str, ...]) -> None:
    path = await link(shop)
    page = (await shop.call("GET", path, headers={"Accept-Language": language}, client=None)).body.decode()
    assert [text for text in texts if text not in page] == []


async def test_page_is_neither_cached_nor_indexed_and_runs_nothing(shop: Harness) -> None:
    path = await link(shop)
    for each in (path, f"{path}?page=choose", "/unsubscribe/1-a-b/c"):
        response = await shop.call("GET", each, client=None)
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "frame-ancestors 'none'" in policy
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-robots-tag"] == "noindex, nofollow"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert "set-cookie" not in response.headers
        assert "<script" not in response.body.decode()


async def test_page_shows_no_whole_address(shop: Harness) -> None:
    path = await link(shop)
    for query in ("", "?page=choose"):
        page = (await shop.call("GET", path + query, client=None)).body.decode()
        assert "a•••@example.org" in page
        assert "ada@" not in page


async def test_page_escapes_what_a_client_wrote(shop: Harness) -> None:
    hostile = '<img src=x onerror="a">'
    await shop.call("PUT", "/v1/topics/news", json={"titles": {"en": hostile}, "descriptions": {"de": hostile}})
    path = await link(shop)
    for query in ("", "?page=choose"):
        page = (await shop.call("GET", path + query, client=None)).body.decode()
        assert "<img" not in page


async def choose(shop: Harness, path: str, **fields: str) -> ApiResponse:
    body = urlencode([(name, value) for name, values in fields.items() for value in values.split()]).encode()
    return await post(shop, f"{path}?page=choose", body)


async def test_preferences_change_only_what_was_clicked(shop: Harness) -> None:
    path = await link(shop)
    page = (await shop.call("GET", f"{path}?page=choose", client=None)).body.decode()
    assert page.count(" checked") == 2
    await post(shop, path)
    # The page is from before: it showed both topics on, and the reader switched off the other one.
    saved = await choose(shop, path, shown="news offers", on="news offers", topic="news")
    assert saved.status == 200
    assert " checked" not in saved.body.decode()
    assert (await suppressed(shop), await suppressed(shop, "offers")) == (["ada@example.org"], ["ada@example.org"])


async def test_preferences_of_unknown_topics_are_ignored(shop: Harness) -> None:
    path = await link(shop)
    assert (await choose(shop, path, shown="sport ../x", on="sport ../x")).status == 200
    assert [row.partition for row in shop.memory.tables.rows("suppressions")] == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", FORM),
        (b"List-Unsubscribe=Two-Clicks", FORM),
        (b"List-Unsubscribe=One-Click&List-Unsubscribe=x", FORM),
        (b"list-unsubscribe=One-Click", FORM),
        (b"{}", "application/json"),
        (b"\xff", FORM),
        (b"--x\r\n", "multipart/form-data"),
        (b"shown=news&on=news", FORM),
        (b"List-Unsubscribe=One-Click&" + b"a=1&" * 30_000, FORM),
    ],
)
async def test_post_without_the_form_changes_nothing(shop: Harness, body: bytes, kind: str) -> None:
    path = await link(shop)
    assert (await post(shop, path, body, kind)).status == 400
    assert await suppressed(shop) == []


# ── links that are not ours ──


async def test_wrong_links_get_one_and_the_same_page(shop: Harness) -> None:
    path = await link(shop)
    _, _, text, name = path.split("/")
    client_id = text.split("-")[1]
    other = await shop.send(client="boss")
    wrong = [
        f"/unsubscribe/{text[:-1]}{'A' if text[-1] != 'A' else 'B'}/{name}",
        f"/unsubscribe/{text}=/{name}",
        f"/unsubscribe/1-{client_id}-AAAA/{name}",
        f"/unsubscribe/1-{'0' * 16}-AAAA/{name}",
        f"/unsubscribe/2{text[1:]}/{name}",
        f"/unsubscribe/{text}/{other}",
        f"/unsubscribe/{text}/msg_{'0' * 40}",
        f"/unsubscribe/{text}/x",
        f"/unsubscribe/x/{name}",
        f"/unsubscribe/{'%C3%A9' * 20}/{name}",
    ]
    pages = set()
    for each in wrong:
        for method in ("GET", "POST"):
            body = ONE_CLICK if method == "POST" else None
            response = await shop.call(method, each, body=body, headers={"Content-Type": FORM}, client=None)
            assert response.status == 404, each
            pages.add(response.body)
    [page] = pages
    assert "このリンクは使えません" in page.decode()
    assert await suppressed(shop) == []


async def test_link_of_a_deleted_client_is_wrong_also_for_a_later_one_of_its_name(shop: Harness) -> None:
    await shop.add_client("other")
    await shop.call("PUT", "/v1/topics/news", json={}, client="other")
    path = await link(shop, client="other")
    assert (await shop.call("DELETE", "/v1/clients/other", client="boss")).status == 204
    await shop.add_client("other")
    shop.clock.move(31)
    assert (await post(shop, path)).status == 404


async def test_wrong_links_of_an_address_are_limited(shop: Harness) -> None:
    path = await link(shop)
    guess = "203.0.113.9"
    for _ in range(WRONG_LINKS_A_MINUTE):
        assert (await post(shop, "/unsubscribe/x/y", address=guess)).status == 404
    limited = await post(shop, "/unsubscribe/x/y", address=guess)
    assert (limited.status, int(limited.headers["retry-after"]) > 0) == (429, True)
    assert (await post(shop, path, address=guess)).status == 200
    shop.clock.move(61)
    assert (await post(shop, "/unsubscribe/x/y", address=guess)).status == 404


async def test_requests_with_one_link_are_limited(shop: Harness) -> None:
    path = await link(shop)
    for _ in range(REQUESTS_A_MINUTE):
        assert (await shop.call("GET", path, client=None)).status == 200
    assert (await shop.call("GET", path, client=None)).status == 429
    other = await link(shop, to="bob@example.org")
    assert (await post(shop, other)).status == 200
    shop.clock.move(61)
    assert (await post(shop, path)).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused_with_a_page(shop: Harness, method: str) -> None:
    response = await shop.call(method, await link(shop), client=None)
    assert (response.status, response.headers["allow"]) == (405, "GET, POST")
    assert response.headers["content-type"].startswith("text/html")


# ── SendGrid's groups ──


@pytest.mark.parametrize(("group", "scope"), [(12, "news"), (13, "all")])
async def test_group_unsubscribe_suppresses_the_topic_of_the_group(shop: Harness, group: int, scope: str) -> None:
    name = await shop.send()
    await shop.deliver()
    item = {"event": "group_unsubscribe", "email": "ada@example.org", "relay_id": name, "asm_group_id": group}
    await shop.relay.events.enqueue(list(translate([item], shop.clock())))
    await apply_events(shop)
    own = (await shop.call("GET", "/v1/suppressions")).json["value"]
    assert (await suppressed(shop) != [], own != []) == (scope == "news", scope == "all")
    [event] = (await shop.status(name))["events"]
    assert event.get("topic") == ("news" if scope == "news" else None)
    shop.clock.move(MAX_AGE.total_seconds() + 1)
    again = {**item, "event": "group_resubscribe", "sg_event_id": "later", "timestamp": int(shop.clock().timestamp())}
    await shop.relay.events.enqueue(list(translate([again], shop.clock())))
    await apply_events(shop)
    assert await suppressed(shop) == []
    assert ((await shop.call("GET", "/v1/suppressions")).json["value"] != []) == (scope == "all")


async def test_group_unsubscribe_without_the_table_of_topics_suppresses_as_before(relay: Harness) -> None:
    # As in an environment where `azd up` did not run since.
    del relay.memory.tables._tables["topics"]
    name = await relay.send()
    await relay.deliver()
    item = {"event": "group_unsubscribe", "email": "ada@example.org", "relay_id": name, "asm_group_id": 12}
    await relay.relay.events.enqueue(list(translate([item], relay.clock())))
    await apply_events(relay)
    [own] = (await relay.call("GET", "/v1/suppressions")).json["value"]
    assert own["reason"] == "unsubscribed"
