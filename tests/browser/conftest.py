"""Chromium and a relay with sample data, both started once for all browser tests."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Error, Page, async_playwright

from standins.sendgrid.server import SendGridStandIn
from tests.browser import sample_data
from tests.browser.screen import Screen, Site, new_context
from tests.e2e.running import running_relay

NAMES = ("chromium", "chromium-browser", "google-chrome")
"""Names of the program: Debian's, and those of other systems."""
EMPTY = "/v1/health"
"""A document of the relay without scripts: opened between two tests, it ends everything that the page before did."""
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
    text = "Chromium not found. Install it: apt-get install chromium"
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
async def operator_context(browser: Browser, site: Site) -> AsyncIterator[BrowserContext]:
    """Create the context of an operator's windows, which share one cache."""
    context = await new_context(browser, site, key=site.relay.key)
    yield context
    await context.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def operator_page(operator_context: BrowserContext) -> Page:
    """Open the operator's window. A new one for each test would cost a process of its own and a second start of the console."""
    return await operator_context.new_page()


async def _leave(page: Page, url: str) -> None:
    """Open another document, once more if a step of the page before, such as leaving a deleted mail, came between."""
    try:
        await page.goto(url)
    except Error as error:
        if "ERR_ABORTED" not in error.message:
            raise
        await page.goto(url)


@pytest_asyncio.fixture(loop_scope="session")
async def screen(operator_page: Page, site: Site) -> AsyncIterator[Screen]:
    """Return the operator's signed-in window, empty. Fails if the browser logged an error or made a foreign request."""
    await _leave(operator_page, f"{site.relay.url}{EMPTY}")
    opened = Screen(operator_page.context, operator_page, site)
    yield opened
    opened.stop_listening()
    await operator_page.unroute_all(behavior="wait")
    await operator_page.evaluate("sessionStorage.clear()")
    await operator_page.mouse.move(0, 0)
    assert opened.log == []
    assert opened.foreign == []


@pytest_asyncio.fixture(loop_scope="session")
async def clock_screen(browser: Browser, site: Site) -> AsyncIterator[Screen]:
    """Open a window with a fake clock, and a context of its own that can go offline."""
    opened = await Screen.open(browser, site, key=site.relay.key)
    await opened.page.clock.install()
    yield opened
    await opened.close()
    assert opened.log == []
    assert opened.foreign == []
