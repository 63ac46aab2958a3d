"""Message content for its client and for operators, and the safe HTML preview."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from relay import __version__
from relay.api import mail_html
from relay.mime.reader import File, Reading
from tests.api.harness import BASE, ApiResponse, Harness, file

PIXEL = b"\x89PNG\r\n\x1a\n"
INLINE = file(PIXEL, name="logo.png", type="image/png", disposition="inline", content_id="logo@shop")


async def delivered(relay: Harness, **fields: Any) -> str:
    name = await relay.send(**fields)
    await relay.deliver()
    return name


async def framed(relay: Harness, html_url: str) -> ApiResponse:
    assert html_url.startswith(BASE)
    return await relay.call("GET", html_url.removeprefix(BASE), client=None)


async def test_content_is_returned_as_submitted(relay: Harness) -> None:
    files = [file(b"a,b", name="Größe €.csv", type="text/csv"), INLINE]
    name = await delivered(relay, html="<p>Hallo</p>", headers={"X-Order": "4711"}, attachments=files)
    body = (await relay.call("GET", f"/v1/messages/{name}/content")).json
    assert (body["id"], body["text"].strip(), body["html"].strip()) == (name, "Thank you.", "<p>Hallo</p>")
    assert {"name": "X-Order", "value": "4711"} in body["headers"]
    found = {each["name"]: (each["type"], each["size"], each["disposition"]) for each in body["attachments"]}
    assert found == {"Größe €.csv": ("text/csv", 3, "attachment"), "logo.png": ("image/png", 8, "inline")}
    for number, each in enumerate(body["attachments"]):
        response = await relay.call("GET", f"/v1/messages/{name}/attachments/{number}")
        assert response.body == (b"a,b" if each["name"].endswith("csv") else PIXEL)
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")


async def test_source_is_the_message_without_bcc(relay: Harness) -> None:
    name = await delivered(relay, bcc="secret@example.org")
    response = await relay.call("GET", f"/v1/messages/{name}/source")
    assert response.headers["content-type"] == "message/rfc822"
    assert b"Subject: Order 4711\r\n" in response.body
    assert b"secret" not in response.body


async def test_content_in_a_blob_is_returned(relay: Harness) -> None:
    name = await delivered(relay, text="long " * 20_000, attachments=[file(b"x" * 100_000)])
    body = (await relay.call("GET", f"/v1/messages/{name}/content")).json
    assert (len(body["text"].split()), body["attachments"][0]["size"]) == (20_000, 100_000)
    for blob in (await relay.memory.blobs.list("content"))[0]:
        await relay.memory.blobs.delete("content", blob.name)
    gone = await relay.call("GET", f"/v1/messages/{name}/content")
    assert (gone.error["code"], "retry-after" in gone.headers) == ("content_not_found", False)


@pytest.mark.parametrize("what", ["content", "source", "attachments/0"])
async def test_content_is_visible_to_its_client_and_to_operators(relay: Harness, what: str) -> None:
    await relay.add_client("other")
    name = await relay.send(attachments=[file()])
    early = await relay.call("GET", f"/v1/messages/{name}/{what}")
    assert (early.error["code"], early.headers["retry-after"]) == ("content_not_found", "2")
    await relay.deliver()
    statuses = {}
    for client in ("app", "boss", "other", None):
        statuses[client] = (await relay.call("GET", f"/v1/messages/{name}/{what}", client=client)).status
    assert statuses == {"app": 200, "boss": 200, "other": 404, None: 401}


@pytest.mark.parametrize("number", ["1", "-1", "x", "²", "99999999999999999999", "9" * 5000])
async def test_unknown_attachment_is_not_found(relay: Harness, number: str) -> None:
    name = await delivered(relay, attachments=[file()])
    assert (await relay.call("GET", f"/v1/messages/{name}/attachments/{number}")).error["code"] == "not_found"


async def of_message(relay: Harness, **fields: Any) -> str:
    name = await delivered(relay, **fields)
    return str((await relay.call("GET", f"/v1/messages/{name}/content")).json["html_url"])


async def of_inbox(relay: Harness, **fields: Any) -> str:
    await delivered(relay, **fields)
    [mail] = (await relay.call("GET", "/v1/inbox")).json["value"]
    return str((await relay.call("GET", f"/v1/inbox/{mail['name']}")).json["html_url"])


both = pytest.mark.parametrize("html_url", [of_message, of_inbox])
A = "https://a.example/?x=1&y=2"
type HtmlUrl = Callable[..., Awaitable[str]]


@both
async def test_html_preview_contains_images_and_blocks_active_content(relay: Harness, html_url: HtmlUrl) -> None:
    html = (
        '<LINK rel="preconnect" href="https://evil.example"><img src="cid:logo@shop"><img src="cid:other">'
        """<iframe src="https://evil.example"></iframe><A title=">" HREF = "https://evil.example">href=1</A>"""
    )
    response = await framed(relay, await html_url(relay, html=html, attachments=[INLINE]))
    assert (response.status, response.headers["content-type"]) == (200, "text/html")
    assert b"<link" not in response.body.lower()
    assert b"<iframe" not in response.body.lower()
    assert b"""<A title=">" data-href = "https://evil.example">href=1</A>""" in response.body
    assert b'<img src="data:image/png;base64,iVBORw0KGgo="><img src="cid:other">' in response.body
    policy = response.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "img-src data:", "sandbox", "form-action 'none'", "base-uri 'none'"} <= set(policy)
    assert "allow" not in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-store"


@both
async def test_html_link_is_limited_to_message_reader_and_time(relay: Harness, html_url: HtmlUrl) -> None:
    await relay.add_client("other")
    url = await html_url(relay, html="<p>")
    path = urlsplit(url).path
    for changed in (
        url.replace("reader=app", "reader=boss"),
        url.replace("reader=app", "reader=nobody"),
        url.replace("until=", "until=9"),
        url.replace("until=", "until=x"),
        url.replace("until=", "until=" + "9" * 5000),
        url[:-1],
        url.replace("signature=", "signature=%E2%82%AC"),
        BASE + path,
        url.replace(path, path.replace("/html", "x/html")),
    ):
        assert (await framed(relay, changed)).error["code"] == "link_not_valid", changed
    relay.clock.move(15 * 60 - 1)
    assert (await framed(relay, url)).status == 200
    relay.clock.move(2)
    assert (await framed(relay, url)).error["code"] == "link_not_valid"


@both
async def test_html_link_of_a_disabled_client_is_refused(relay: Harness, html_url: HtmlUrl) -> None:
    url = await html_url(relay, html="<p>")
    await relay.call("PATCH", "/v1/clients/app", json={"is_disabled": True}, client="boss")
    assert (await framed(relay, url)).error["code"] == "link_not_valid"


async def test_mail_without_html_has_no_link(relay: Harness) -> None:
    name = await delivered(relay)
    assert (await relay.call("GET", f"/v1/messages/{name}/content")).json["html_url"] is None


async def test_me_returns_the_calling_client(relay: Harness) -> None:
    for name, role in (("app", "client"), ("boss", "operator")):
        me = (await relay.call("GET", "/v1/me", client=name)).json
        assert (me["name"], me["role"], me["version"]) == (name, role, __version__)
        assert ("HoldRoute" in me["operations"]) == (role == "operator")
    assert (await relay.call("GET", "/v1/me", client=None)).status == 401


@pytest.mark.parametrize(
    ("html", "links"),
    [
        ("<p>no link <a name=x>here</a> <abbr href='y'>z</abbr> <a data-href='z'>w</a></p>", []),
        ('<A HREF=" https://a.example/?x=1&amp;y=2 ">Set  a <b>new</b>\npassword</A>', [("Set a new password", A)]),
        ("<a title='>' href='#'><img src='x'></a><a href=mailto:b@c.example>", [("", "#"), ("", "mailto:b@c.example")]),
        ("<a href=one>one<a href=two>two</a></a>", [("one", "one"), ("two", "two")]),
        ("<a href='javascript:alert(1)'>x</a>" * 1200, [("x", "javascript:alert(1)")] * 1000),
        ("<a href='" + "<a " * 300_000, []),
        ("<a href='x'>" + "<" * 300_000, [("<" * 300_000, "x")]),
    ],
)
async def test_links_are_listed_with_their_targets(relay: Harness, html: str, links: list[tuple[str, str]]) -> None:
    name = await delivered(relay, html=html)
    found = (await relay.call("GET", f"/v1/messages/{name}/content")).json["links"]
    assert [(each["text"], each["href"]) for each in found] == links
    [mail] = (await relay.call("GET", "/v1/inbox")).json["value"]
    assert (await relay.call("GET", f"/v1/inbox/{mail['name']}")).json["links"] == found


async def test_template_preview_has_a_html_link(relay: Harness) -> None:
    html = '<p>Hello {{ name }}</p><img src="https://evil.example/x">'
    body = {"subject": "S", "text": "T", "html": html}
    assert (await relay.call("PUT", "/v1/templates/hello", json=body, client="boss")).status == 201
    path, variables = "/v1/templates/hello/preview", {"variables": {"name": "A & <b>"}}
    url = (await relay.call("POST", path, json=variables)).json["html_url"]
    await relay.call("PUT", "/v1/templates/hello", json={**body, "html": "<p>other</p>"}, client="boss")
    response = await framed(relay, url)
    assert (response.status, "sandbox" in response.headers["content-security-policy"]) == (200, True)
    assert b"<p>Hello A &amp; &lt;b&gt;</p>" in response.body
    assert (await framed(relay, url.replace("name", "eman"))).error["code"] == "link_not_valid"
    long = {"variables": {"name": "x" * 5000}}
    assert (await relay.call("POST", path, json=long)).json["html_url"] is None
    await relay.call("DELETE", "/v1/templates/hello", client="boss")
    assert (await framed(relay, url)).error["code"] == "template_not_found"


def test_image_that_html_names_many_times_is_included_within_a_limit() -> None:
    image = File(name="a.png", type="image/png", disposition="inline", content_id="<a>", content=bytes(1_000_000))
    html = '<img src="cid:a">' * 10_000
    body = mail_html.page(Reading(headers=(), text=None, html=html, files=(image,))).body
    assert 1_000_000 < len(body) < 10_000_000
    assert body.count(b"data:image/png") + body.count(b"cid:a") == 10_000
