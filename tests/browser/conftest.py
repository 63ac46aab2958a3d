"""Chromium, and a relay with something of everything; both are started once for all tests here."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright

from standins.sendgrid.server import SendGridStandIn
from tests.browser import filled
from tests.browser.screen import Screen, Town, new_context
from tests.e2e.running import running_relay

NAMES = ("chromium", "chromium-browser", "google-chrome")
"""Debian's name for it, and those of machines that have it under another."""
# fmt: off
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]
# fmt: on


@pytest.fixture(scope="session")
def chromium() -> Path:
    """An installed Chromium: where tests must run its absence is a failure, elsewhere a reason to skip."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is not None:
        return Path(found)
    text = "There is no Chromium to test the pages with: apt-get install chromium"
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: Path) -> AsyncIterator[Browser]:
    """A browser with a profile of its own."""
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield started
        await started.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def town(browser: Browser) -> AsyncIterator[Town]:
    """A relay, filled."""
    async with AsyncExitStack() as exits:
        sendgrid = await exits.enter_async_context(SendGridStandIn())
        relay = await exits.enter_async_context(running_relay(filled.settings(sendgrid)))
        async with asyncio.timeout(60):
            clients, messages = await filled.fill(relay)
        yield Town(relay=relay, clients=clients, messages=messages)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def desk(browser: Browser, town: Town) -> AsyncIterator[BrowserContext]:
    """Where an operator's windows open; they share a cache, as anybody's do."""
    context = await new_context(browser, town, key=town.relay.key)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def screen(desk: BrowserContext, town: Town) -> AsyncIterator[Screen]:
    """A signed-in window of an operator; at the end nothing may have been written to the browser's log."""
    opened = Screen(desk, await desk.new_page(), town)
    yield opened
    await opened.page.close()
    assert opened.log == []
    assert opened.foreign == []


@pytest_asyncio.fixture(loop_scope="session")
async def patient(browser: Browser, town: Town) -> AsyncIterator[Screen]:
    """The same with a clock that can be moved on, and a network that can be cut."""
    opened = await Screen.open(browser, town, key=town.relay.key)
    await opened.page.clock.install()
    yield opened
    await opened.close()
    assert opened.log == []
    assert opened.foreign == []
