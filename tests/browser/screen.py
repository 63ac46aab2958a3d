"""A browser's window on a relay: what is in it, and everything it wrote to its log or asked of others."""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any, Self

import msgspec
from playwright.async_api import Browser, BrowserContext, Locator, Page, ViewportSize

from tests.browser import filled
from tests.e2e.running import RunningRelay

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SAVES_IMAGES = os.environ.get("RELAY_SCREENSHOTS") == "1"
"""`make screenshots` sets it; without it no test run changes the documentation."""
WIDE, PHONE = ViewportSize(width=1280, height=860), ViewportSize(width=360, height=740)
PATIENCE_MS = 15_000
ZONE, EAST = "Etc/GMT-2", timezone(timedelta(hours=2))
"""The browser's place, and the same for Python; POSIX counts the other way round."""


class Town(msgspec.Struct, frozen=True, kw_only=True):
    """A running relay, the keys of its clients by name, and the ids of its first messages by subject."""

    relay: RunningRelay
    clients: Mapping[str, str]
    messages: Mapping[str, str]

    async def send(self, *, client: str = "shop", **fields: Any) -> str:
        """Send one more message, and wait until it has been tried; its id."""
        message = {"from": "Shop <orders@shop.example>", "to": "ada@example.org", "text": "Hello.", **fields}
        return await filled.send(self.relay, message, self.clients[client])


async def new_context(
    browser: Browser,
    town: Town,
    *,
    key: str = "",
    is_dark: bool = False,
    size: ViewportSize = WIDE,
    headers: Mapping[str, str] | None = None,
) -> BrowserContext:
    """What windows share: cache, cookies, permissions; of somebody two hours east of Greenwich."""
    context = await browser.new_context(
        viewport=size,
        color_scheme="dark" if is_dark else "light",
        locale="en-GB",
        timezone_id=ZONE,
        reduced_motion="reduce",
        extra_http_headers=dict(headers or {}),
    )
    context.set_default_timeout(PATIENCE_MS)
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=town.relay.url)
    if key:
        # Not in the frames of mails: these have no storage, and asking for it would be an error in the log.
        await context.add_init_script(f"if (window === top) sessionStorage.setItem('relay-key', {json.dumps(key)})")
    return context


class Screen:
    """One window with a storage of its own. `log` is what the browser complained about, `foreign` whom else it asked."""

    def __init__(self, context: BrowserContext, page: Page, town: Town) -> None:
        self.context = context
        self.page = page
        self.town = town
        self.log: list[str] = []
        self.foreign: list[str] = []
        page.on("console", lambda told: self._note(told.type, told.text))
        page.on("pageerror", lambda error: self.log.append(f"error: {error}"))
        page.on("request", lambda request: self._watch(request.url))

    @classmethod
    async def open(
        cls,
        browser: Browser,
        town: Town,
        *,
        key: str = "",
        is_dark: bool = False,
        size: ViewportSize = WIDE,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Open a window that shares nothing with another; with a key it is signed in already, as after a reload."""
        context = await new_context(browser, town, key=key, is_dark=is_dark, size=size, headers=headers)
        return cls(context, await context.new_page(), town)

    async def close(self) -> None:
        """Close the window."""
        await self.context.close()

    async def go(self, path: str, title: str | None = None) -> None:
        """Open an address of the relay and wait for the page's title (its first heading)."""
        # Going from one page of the console to another changes only what is behind the #, which loads nothing.
        await self.page.goto(f"{self.town.relay.url}{path}")
        if title is not None:
            await self.heading(title).wait_for()

    def heading(self, title: str) -> Locator:
        """The title of the page."""
        return self.page.get_by_role("heading", level=1, name=title, exact=True)

    async def press(self, name: str, *, within: Locator | None = None) -> None:
        """Press the button of this name."""
        await (within or self.page).get_by_role("button", name=name, exact=True).click()

    async def told(self, text: str) -> None:
        """Wait until the page says what was done."""
        await self.page.locator("#told").get_by_text(text).first.wait_for()

    def dialog(self) -> Locator:
        """The open dialog."""
        return self.page.get_by_role("dialog")

    def row(self, *texts: str) -> Locator:
        """The row of a list in which all of these are."""
        found = self.page.locator("tbody tr")
        for text in texts:
            found = found.filter(has_text=text)
        return found

    async def picture(self, name: str) -> None:
        """Keep a picture of the window for the documentation, when asked to."""
        if SAVES_IMAGES:
            IMAGES.mkdir(parents=True, exist_ok=True)
            await self.page.mouse.move(0, 0)
            await self.page.screenshot(path=IMAGES / f"{name}.png")

    def complaints(self, *allowed: str) -> Sequence[str]:
        """What is in the log beside what is allowed there."""
        return [line for line in self.log if not any(text in line for text in allowed)]

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.log.append(f"{kind}: {text}")

    def _watch(self, url: str) -> None:
        if not url.startswith((f"{self.town.relay.url}/", "data:", f"blob:{self.town.relay.url}/")):
            self.foreign.append(url)
