"""A browser window on a relay, with its log and the requests it made to other hosts."""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any, Self

import msgspec
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    Request,
    ViewportSize,
)

from tests.browser import sample_data
from tests.e2e.running import RunningRelay

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SAVES_IMAGES = os.environ.get("RELAY_SCREENSHOTS") == "1"
"""Set by `make screenshots`; other test runs do not change the documentation."""
WIDE, PHONE = ViewportSize(width=1280, height=860), ViewportSize(width=360, height=740)
TABLET = ViewportSize(width=768, height=1024)
EMPTY = "/v1/health"
"""A document of the relay without scripts: opened between two tests, it ends everything that the page before did."""
REFUSED = "status of 401"
"""What the browser logs about a response 401."""
TIMEOUT_MS = 15_000
ZONE, EAST = "Etc/GMT-2", timezone(timedelta(hours=2))
"""The browser's time zone, and the same for Python. The sign is reversed in POSIX names."""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """A running relay with its client keys by name and its sample message IDs by subject."""

    relay: RunningRelay
    clients: Mapping[str, str]
    messages: Mapping[str, str]

    async def send(self, *, client: str = "shop", **fields: Any) -> str:
        """Send another message and wait for its first attempt. Returns its ID."""
        message = {"from": "Shop <orders@shop.example>", "to": "ada@example.org", "text": "Hello.", **fields}
        return await sample_data.send(self.relay, message, self.clients[client])


async def new_context(
    browser: Browser,
    site: Site,
    *,
    key: str = "",
    is_dark: bool = False,
    size: ViewportSize = WIDE,
    headers: Mapping[str, str] | None = None,
    locale: str = "en-GB",
) -> BrowserContext:
    """Create a browser context (cache, cookies, permissions) in the time zone UTC+2."""
    context = await browser.new_context(
        viewport=size,
        color_scheme="dark" if is_dark else "light",
        locale=locale,
        timezone_id=ZONE,
        reduced_motion="reduce",
        extra_http_headers=dict(headers or {}),
    )
    context.set_default_timeout(TIMEOUT_MS)
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.relay.url)
    if key:
        # Not in the frames of mails: they have no storage, and an access would log an error.
        await context.add_init_script(f"if (window === top) sessionStorage.setItem('relay-key', {json.dumps(key)})")
    return context


async def press_tab(page: Page, times: int) -> None:
    """Press Tab this many times, without waiting for each: the page is then not drawn after every key.

    Not beside the frame of a mail: it is a process of its own, in which the focus must have arrived before the next key.
    """
    keys = (page.keyboard.press("Tab") for _ in range(times))
    if len(page.frames) == 1:
        await asyncio.gather(*keys)
    else:
        for key in keys:
            await key


async def gone(locator: Locator) -> None:
    """Wait until nothing matches: what an action removes may still be there when what it leaves is looked for."""
    await locator.first.wait_for(state="hidden")


class Screen:
    """One window. `log` holds the browser's errors and warnings, also of responses that are errors, `requested` the URLs of all
    requests, and `foreign` of those to other hosts.
    """

    def __init__(self, context: BrowserContext, page: Page, site: Site) -> None:
        self.context = context
        self.page = page
        self.site = site
        self.log: list[str] = []
        self.requested: list[str] = []
        page.on("console", self._on_message)
        page.on("pageerror", self._on_error)
        page.on("request", self._on_request)

    @classmethod
    async def open(
        cls,
        browser: Browser,
        site: Site,
        *,
        key: str = "",
        is_dark: bool = False,
        size: ViewportSize = WIDE,
        headers: Mapping[str, str] | None = None,
        locale: str = "en-GB",
    ) -> Self:
        """Open a window in a context of its own. With a key it is signed in already."""
        context = await new_context(browser, site, key=key, is_dark=is_dark, size=size, headers=headers, locale=locale)
        return cls(context, await context.new_page(), site)

    async def close(self) -> None:
        """Close the window."""
        await self.context.close()

    async def sign_in_as(self, key: str) -> None:
        """Sign in with a key, before the first page is opened."""
        await self.page.evaluate("key => sessionStorage.setItem('relay-key', key)", key)

    async def go(self, path: str, title: str | None = None) -> None:
        """Open a path of the relay and wait for the page's title (its first heading)."""
        # Between pages of the console only the hash of the URL changes; nothing is loaded.
        await self.page.goto(f"{self.site.relay.url}{path}")
        if title is not None:
            await self.heading(title).wait_for()

    def heading(self, title: str) -> Locator:
        """Return the title of the page."""
        return self.page.get_by_role("heading", level=1, name=title, exact=True)

    async def press(self, name: str, *, within: Locator | None = None) -> None:
        """Press the button with this name."""
        await (within or self.page).get_by_role("button", name=name, exact=True).click()

    async def toast(self, text: str) -> None:
        """Wait for a toast with this text."""
        await self.page.locator("#toasts").get_by_text(text).first.wait_for()

    def dialog(self) -> Locator:
        """Return the open dialog."""
        return self.page.get_by_role("dialog")

    def row(self, *texts: str) -> Locator:
        """Return the table row that contains all these texts."""
        found = self.page.locator("tbody tr")
        for text in texts:
            found = found.filter(has_text=text)
        return found

    async def screenshot(self, name: str) -> None:
        """Save a screenshot for the documentation, if `make screenshots` runs."""
        if SAVES_IMAGES:
            IMAGES.mkdir(parents=True, exist_ok=True)
            await self.page.mouse.move(0, 0)
            await self.page.screenshot(path=IMAGES / f"{name}.png")

    @property
    def foreign(self) -> Sequence[str]:
        """Return the URLs of requests to other hosts."""
        own = (f"{self.site.relay.url}/", "data:", f"blob:{self.site.relay.url}/")
        return [url for url in self.requested if not url.startswith(own)]

    def unexpected_log(self, *allowed: str) -> Sequence[str]:
        """Return the log entries that contain none of the allowed texts."""
        return [line for line in self.log if not any(text in line for text in allowed)]

    def stop_listening(self) -> None:
        """Keep the log as it is, for a window that is used again."""
        self.page.remove_listener("console", self._on_message)
        self.page.remove_listener("pageerror", self._on_error)
        self.page.remove_listener("request", self._on_request)

    def _on_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.log.append(f"{message.type}: {message.text}")

    def _on_error(self, error: Error) -> None:
        self.log.append(f"error: {error}")

    def _on_request(self, request: Request) -> None:
        self.requested.append(request.url)
