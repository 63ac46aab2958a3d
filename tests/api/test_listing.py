"""GET /v1/messages: filter by time, state, tag and recipient."""

from typing import Any

import pytest

from tests.api.harness import BASE, Harness


async def listed(relay: Harness, query: str = "", client: str = "app") -> list[Any]:
    found: list[Any] = []
    path = f"/v1/messages{query}"
    while path:
        response = await relay.call("GET", path, client=client)
        assert response.status == 200, response.body
        found += response.json["value"]
        path = response.json.get("next_link", "").removeprefix(BASE)
    return found


@pytest.fixture
async def filled(relay: Harness) -> Harness:
    """Five messages of `app` and one of `other`, a minute apart, delivered as far as they can be."""
    await relay.add_client("other")
    mails: list[tuple[str, dict[str, Any]]] = [
        ("app", {"subject": "one", "tags": ["eu", "invoice"], "metadata": {"order": "4711"}}),
        ("app", {"subject": "two", "to": "Unknown@relay.test", "delivery": "at_most_once"}),
        ("app", {"subject": "three", "to": ["rejected@relay.test"]}),
        ("other", {"subject": "foreign"}),
        ("app", {"subject": "four", "bcc": "Bob@Bücher.example", "tags": ["eu"]}),
        ("app", {"subject": "five", "send_at": "2026-03-02T12:00:00Z"}),
    ]
    for client, fields in mails:
        await relay.send(client, **fields)
        await relay.deliver()
        relay.clock.move(60)
    return relay


@pytest.mark.parametrize(
    ("query", "subjects"),
    [
        ("", ["five", "four", "three", "two", "one"]),
        ("?limit=2", ["five", "four", "three", "two", "one"]),
        ("?state=failed", ["three"]),
        ("?state=unknown", ["two"]),
        ("?state=scheduled", ["five"]),
        ("?state=queued", []),
        ("?tag=eu", ["four", "one"]),
        ("?tag=eu&limit=1&state=sent", ["four", "one"]),
        ("?recipient=bob@xn--bcher-kva.example", ["four"]),
        ("?recipient=BOB@bücher.example", ["four"]),
        ("?recipient=ada@example.org&tag=invoice", ["one"]),
        ("?recipient=@bücher.example", ["four"]),
        ("?from=ORDERS@example.com&tag=eu", ["four", "one"]),
        ("?from=@example.org", []),
        ("?subject=FOUR", ["four"]),
        ("?subject=four+five", []),
        ("?metadata=order%3D4711", ["one"]),
        ("?metadata=order%3D471", []),
        ("?since=2026-03-01T12:01:00Z&before=2026-03-01T12:04:00Z", ["three", "two"]),
        ("?since=2026-03-01T13:01:00+01:00", ["five", "four", "three", "two"]),
        ("?before=2026-03-01T12:01:00%2B00:00", ["one"]),
        ("?since=2026-03-02T00:00:00Z&before=2026-03-02T00:00:00Z", []),
    ],
)
async def test_filters(filled: Harness, query: str, subjects: list[str]) -> None:
    assert [each["subject"] for each in await listed(filled, query)] == subjects


async def test_listed_message_has_its_fields(filled: Harness) -> None:
    [five] = await listed(filled, "?state=scheduled")
    assert five == {
        "id": five["id"],
        "state": "scheduled",
        "created_at": "2026-03-01T12:05:00Z",
        "client": "app",
        "lane": "transactional",
        "size": five["size"],
        "send_at": "2026-03-02T12:00:00Z",
        "next_attempt_at": "2026-03-02T12:00:00Z",
        "from": {"email": "orders@example.com", "name": "Shop"},
        "subject": "five",
        "recipient": "ada@example.org",
        "recipient_count": 1,
        "tags": [],
    }
    assert (await filled.status(five["id"]))["state"] == "scheduled"


async def test_client_sees_its_own_messages_and_operators_see_all(filled: Harness) -> None:
    assert [each["subject"] for each in await listed(filled, client="other")] == ["foreign"]
    assert len(await listed(filled, client="boss")) == 6
    assert [each["subject"] for each in await listed(filled, "?client=other", client="boss")] == ["foreign"]
    assert (await filled.call("GET", "/v1/messages?client=other")).error["code"] == "operators_only"
    assert len(await listed(filled, "?client=app")) == 5


async def test_reused_client_name_does_not_see_old_messages(filled: Harness) -> None:
    await filled.relay.clients.delete("other")
    await filled.add_client("other")
    assert await listed(filled, client="other") == []


async def test_all_pages_cover_one_time_range(filled: Harness) -> None:
    first = (await filled.call("GET", "/v1/messages?limit=3")).json
    filled.clock.move(86_400)
    await filled.send(subject="later")
    await filled.deliver()
    second = (await filled.call("GET", first["next_link"].removeprefix(BASE))).json
    assert [each["subject"] for each in second["value"]] == ["two", "one"]
    assert "next_link" not in second


@pytest.mark.parametrize(
    ("query", "problems"),
    [
        ("?stat=failed", [("unknown_field", "stat")]),
        ("?state=lost&limit=0", [("invalid_choice", "state"), ("out_of_range", "limit")]),
        ("?limit=101", [("out_of_range", "limit")]),
        ("?since=yesterday&before=2026-03-01", [("invalid_time", "before"), ("invalid_time", "since")]),
        ("?since=2026-03-03T00:00:00Z", [("out_of_range", "since")]),
        ("?recipient=nobody", [("invalid_address", "recipient")]),
        ("?recipient=@&from=@nowhere", [("invalid_address", "recipient"), ("invalid_address", "from")]),
        ("?subject=...&metadata=order", [("invalid_value", "subject"), ("invalid_value", "metadata")]),
        (f"?subject={'a' * 201}&metadata=a%3D{'b' * 540}", [("too_long", "subject"), ("too_long", "metadata")]),
        ("?cursor=x", [("invalid_value", "cursor")]),
        (f"?cursor={'f' * 32}-07", [("invalid_value", "cursor")]),
    ],
)
async def test_invalid_query_is_refused(relay: Harness, query: str, problems: list[tuple[str, str]]) -> None:
    response = await relay.call("GET", f"/v1/messages{query}")
    assert response.status == 400
    assert response.problems == problems


async def test_query_parameters_of_azure_are_ignored(filled: Harness) -> None:
    assert len(await listed(filled, "?api-version=2026-01-01&code=key")) == 5


@pytest.mark.parametrize("before", ["0001-01-01T00:00:00Z", "0001-01-01T12:00:00Z", "1969-12-31T00:00:00Z"])
async def test_list_before_the_first_message_is_empty(filled: Harness, before: str) -> None:
    response = await filled.call("GET", f"/v1/messages?before={before}")
    assert (response.status, response.json["value"]) == (200, [])


async def test_export_is_a_page_of_the_list_as_csv(filled: Harness) -> None:
    await filled.send(subject="=1+1", tags=["a", "b"])
    await filled.deliver()
    filled.clock.move(60)
    first = await filled.call("GET", "/v1/messages/export?limit=4")
    assert first.headers["content-type"] == "text/csv"
    assert first.body.decode().splitlines()[0].startswith("id,state,arrival,")
    assert first.body.decode().splitlines()[1].endswith(",orders@example.com,ada@example.org,1,'=1+1,a b")
    link = first.headers["link"].removeprefix("<").removesuffix('>; rel="next"')
    second = await filled.call("GET", link.removeprefix(BASE))
    assert [line.split(",")[-2] for line in second.body.decode().splitlines()] == ["two", "one"]
    assert "link" not in second.headers


async def test_export_shows_a_client_only_its_own_messages(filled: Harness) -> None:
    assert b"foreign" not in (await filled.call("GET", "/v1/messages/export")).body
    assert b"foreign" in (await filled.call("GET", "/v1/messages/export", client="boss")).body
    assert (await filled.call("GET", "/v1/messages/export?client=other")).error["code"] == "operators_only"
