"""Chromium and a relay with sample data, both started once for all browser tests."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Error, Page, async_playwright

from standins.sendgrid.server import SendGridStandIn
from tests.browser import sample_data
from tests.browser.screen import EMPTY, WIDE, Screen, Site, new_context
from tests.e2e.running import running_relay

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""Names of the program: Debian's and those of other systems. The first is the same engine, and needs a third less time."""
INTERRUPTED = ("ERR_ABORTED", "interrupted by another navigation")
"""What Playwright says of a navigation that another one replaced."""
# fmt: off
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]
# fmt: on


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Find an installed Chromium. Without one the tests fail in CI and are skipped elsewhere."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is not None:
        return Path(found)
    text = "Chromium not found. Install it: apt-get install chromium-headless-shell"
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: Path) -> AsyncIterator[Browser]:
    """Start a browser with a new profile."""
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield started
        await started.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(browser: Browser) -> AsyncIterator[Site]:
    """Start a relay with sample data."""
    async with AsyncExitStack() as exits:
        sendgrid = await exits.enter_async_context(SendGridStandIn())
        relay = await exits.enter_async_context(running_relay(sample_data.settings(sendgrid)))
        async with asyncio.timeout(60):
            clients, messages = await sample_data.fill(relay)
        yield Site(relay=relay, clients=clients, messages=messages)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def window(browser: Browser, site: Site) -> AsyncIterator[Page]:
    """Open the window that tests share. One for each test would cost processes of its own, and load every script once more."""
    context = await new_context(browser, site)
    yield await context.new_page()
    await context.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def clock_window(browser: Browser, site: Site) -> AsyncIterator[Page]:
    """Open the window with a fake clock, in a context that can go offline alone."""
    context = await new_context(browser, site)
    await context.clock.install()
    yield await context.new_page()
    await context.close()


async def _leave(page: Page, url: str) -> None:
    """Open another document, again if a step of the page before, such as leaving a deleted mail, came between.

    A navigation that was interrupted may still arrive, and interrupt the next one.
    """
    for is_last in (False, False, False, True):
        try:
            await page.goto(url)
        except Error as error:
            if is_last or not any(reason in error.message for reason in INTERRUPTED):
                raise
            await page.wait_for_load_state()
        else:
            return


@asynccontextmanager
async def _cleared(page: Page, site: Site) -> AsyncIterator[Screen]:
    """Return the window as if it were new, signed out. Fails if the browser logged an error or made a foreign request."""
    await _leave(page, f"{site.relay.url}{EMPTY}")
    await page.evaluate("sessionStorage.clear(), localStorage.clear()")
    await page.set_extra_http_headers({})
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size(WIDE)
    await page.mouse.move(0, 0)
    screen = Screen(page.context, page, site)
    yield screen
    screen.stop_listening()
    await page.unroute_all(behavior="wait")
    assert screen.log == []
    assert screen.foreign == []


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(window: Page, site: Site) -> AsyncIterator[Screen]:
    """Return the shared window, signed out."""
    async with _cleared(window, site) as screen:
        yield screen


@pytest_asyncio.fixture(loop_scope="session")
async def screen(visitor: Screen) -> Screen:
    """Return the shared window, signed in as the operator."""
    await visitor.sign_in_as(visitor.site.relay.key)
    return visitor


@pytest_asyncio.fixture(loop_scope="session")
async def clock_screen(clock_window: Page, site: Site) -> AsyncIterator[Screen]:
    """Return the window with a fake clock, signed in as the operator."""
    async with _cleared(clock_window, site) as screen:
        await screen.sign_in_as(site.relay.key)
        yield screen
        await screen.context.set_offline(False)
