"""The inbox API: list, find, wait for and delete captured mail."""

import asyncio

import pytest

from tests.api.harness import Harness


async def subjects(relay: Harness, query: str = "", client: str = "app") -> list[str]:
    response = await relay.call("GET", f"/v1/inbox{query}", client=client)
    assert response.status == 200
    return [mail["subject"] for mail in response.json["value"]]


@pytest.fixture
async def filled(relay: Harness) -> Harness:
    """Three mails of `app` and one of `other`, a second apart."""
    await relay.add_client("other")
    for client, subject, to in [
        ("app", "First", "ada@example.org"),
        ("app", "Second", "Bob@example.org"),
        ("other", "Foreign", "ada@example.org"),
        ("app", "Third", "ada@example.org"),
    ]:
        await relay.send(client, subject=subject, to=to)
        await relay.deliver()
        relay.clock.move(1)
    return relay


async def test_own_mail_is_listed_newest_first(filled: Harness) -> None:
    assert await subjects(filled) == ["Third", "Second", "First"]
    assert await subjects(filled, client="other") == ["Foreign"]
    assert await subjects(filled, client="boss") == ["Third", "Foreign", "Second", "First"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?to=bob@", ["Second"]),
        ("?subject=ir", ["Third", "First"]),
        ("?subject=ir&to=nobody", []),
        ("?from=ORDERS@example.com", ["Third", "Second", "First"]),
    ],
)
async def test_filters(filled: Harness, query: str, found: list[str]) -> None:
    assert await subjects(filled, query) == found


async def test_pages(filled: Harness) -> None:
    seen, path = [], "/v1/inbox?limit=1&subject=ir"
    while path:
        response = await filled.call("GET", path)
        seen += [mail["subject"] for mail in response.json["value"]]
        path = response.json.get("next_link", "").partition("relay.example")[2]
    assert seen == ["Third", "First"]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1.5", "9" * 5000])
async def test_invalid_limit_is_refused(filled: Harness, limit: str) -> None:
    response = await filled.call("GET", f"/v1/inbox?limit={limit}")
    assert (response.status, response.error["target"]) == (400, "limit")


async def test_another_clients_mail_is_not_found(filled: Harness) -> None:
    [foreign] = (await filled.call("GET", "/v1/inbox", client="other")).json["value"]
    for method, path in [("GET", ""), ("GET", "/source"), ("DELETE", "")]:
        response = await filled.call(method, f"/v1/inbox/{foreign['name']}{path}")
        assert response.status == (404 if method == "GET" else 204)
    assert await subjects(filled, client="other") == ["Foreign"]
    assert (await filled.call("DELETE", "/v1/inbox?to=ada")).json == {"deleted": 2}
    assert await subjects(filled, client="boss") == ["Foreign", "Second"]


async def test_mail_is_returned_with_all_its_parts(relay: Harness) -> None:
    await relay.send(html="<p>Thank you.</p>", headers={"X-Order": "4711"})
    await relay.deliver()
    [mail] = (await relay.call("GET", "/v1/inbox")).json["value"]
    shown = (await relay.call("GET", f"/v1/inbox/{mail['name']}")).json
    assert shown["text"].strip() == "Thank you."
    assert shown["html"].strip() == "<p>Thank you.</p>"
    assert {"name": "X-Order", "value": "4711"} in shown["headers"]
    source = await relay.call("GET", f"/v1/inbox/{mail['name']}/source")
    assert source.headers["content-type"] == "message/rfc822"
    assert b"X-Order: 4711\r\n" in source.body
    assert (await relay.call("DELETE", f"/v1/inbox/{mail['name']}")).status == 204
    assert (await relay.call("DELETE", f"/v1/inbox/{mail['name']}")).status == 204
    assert (await relay.call("GET", f"/v1/inbox/{mail['name']}")).status == 404


@pytest.mark.parametrize(
    ("source", "text", "files"),
    [
        (b"Subject: \xff\r\nContent-Type: text/plain; charset=klingon\r\n\r\nna\xefve", "naïve", []),
        (b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xff!", "\ufffd!", []),
        (
            b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHi\r\n'
            b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: Inner\r\n\r\nInner\r\n--b--\r\n",
            "Hi",
            ["message/rfc822"],
        ),
    ],
)
async def test_malformed_mail_is_still_shown(relay: Harness, source: bytes, text: str, files: list[str]) -> None:
    name = await relay.send()
    await relay.relay.inbox.keep(
        message=name, attempt=1, sender="a@b.example", recipients=("c@d.example",), subject="s", mime=source
    )
    [mail] = (await relay.call("GET", "/v1/inbox")).json["value"]
    shown = (await relay.call("GET", f"/v1/inbox/{mail['name']}")).json
    assert shown["text"].strip() == text
    assert [each["type"] for each in shown["attachments"]] == files


async def test_wait_returns_when_the_mail_arrives(relay: Harness) -> None:
    await relay.send(subject="Another")
    await relay.deliver()
    waiting = asyncio.create_task(relay.call("GET", "/v1/inbox/wait?subject=code&timeout=60"))
    await asyncio.sleep(0)
    await relay.send(subject="Your code")
    await relay.deliver()
    response = await waiting
    assert response.json["subject"] == "Your code"


async def test_wait_reads_each_mail_once(relay: Harness) -> None:
    for _ in range(5):
        await relay.send()
    await relay.deliver()
    before = relay.blobs.calls["get"]
    begun_at = relay.clock()
    response = await relay.call("GET", "/v1/inbox/wait?subject=nothing&timeout=10")
    assert response.error["code"] == "mail_not_found"
    assert (relay.clock() - begun_at).total_seconds() == 10
    assert relay.blobs.calls["get"] - before == 5


async def test_wait_does_not_find_another_clients_mail(relay: Harness) -> None:
    await relay.add_client("other")
    await relay.send("other")
    await relay.deliver()
    assert (await relay.call("GET", "/v1/inbox/wait?timeout=0")).status == 404
    assert (await relay.call("GET", "/v1/inbox/wait?timeout=61")).status == 400


async def test_unreadable_entry_does_not_hide_the_other_mails(
    filled: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    [newest, *_] = (await filled.call("GET", "/v1/inbox")).json["value"]
    await filled.blobs.put("inbox", f"list/{newest['name']}.json", b"{}", content_type="application/json")
    assert await subjects(filled) == ["Second", "First"]
    assert "inbox_mail_unreadable" in caplog.text


HOSTILE = {
    "an odd parameter": b"Content-Type: multipart/mixed; boundary=b; x*=a; x*1=b\r\n\r\n--b\r\n\r\nHello\r\n--b--\r\n",
    "related without parts": b"Content-Type: multipart/related; boundary=b\r\n\r\nHello",
    "a group and a comment": b"To: undisclosed-recipients:; (hidden)\r\n\r\nHello",
    "a NUL in a charset": b'Content-Type: text/plain; charset="a\0b"\r\n\r\nHello',
    "half an encoded word": b"Subject: =?utf-8?b?w7z?= =?utf\r\n\r\nHello",
    "quotes": b"Resent-From: " + b'"' * 58_000 + b"\r\n\r\nHello",
    "nested multiparts": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3_000)
    ) + b"\r\nHello",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_any_stored_mail_is_shown(filled: Harness, name: str) -> None:
    [newest, *_] = (await filled.call("GET", "/v1/inbox")).json["value"]
    await filled.blobs.put("inbox", f"mail/{newest['name']}.eml", HOSTILE[name], content_type="message/rfc822")
    for path in (f"/v1/inbox/{newest['name']}", "/v1/inbox/wait?subject=Third&timeout=0"):
        response = await filled.call("GET", path)
        assert response.status == 200, response.body
        assert "Hello" in response.json["text"]
