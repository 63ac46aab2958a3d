"""Readable for everybody: contrast, names, focus, and a phone's width; in the light and in the dark."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, ViewportSize

from tests.browser.screen import PHONE, WIDE, Screen, Town

pytestmark = pytest.mark.asyncio(loop_scope="session")
LOOK = (Path(__file__).parent / "look.js").read_text()
"""Measures what is drawn; its results are lists of complaints."""


def pages(town: Town) -> Sequence[tuple[str, str]]:
    """Every page with its title."""
    order = town.messages["Your order 4711"]
    return [
        ("/console", "Overview"),
        ("/console#/messages", "Messages"),
        (f"/console#/messages/{order}", "Your order 4711"),
        (f"/console#/messages/{town.messages['Two friends']}", "Two friends"),
        ("/console#/deadletters", "Dead letters"),
        ("/console#/deadletters/recipient_refused", "recipient_refused"),
        ("/console#/routes", "Routes"),
        ("/console#/clients", "Clients"),
        ("/console#/clients/newsletter", "newsletter"),
        ("/console#/suppressions", "Suppressions"),
        ("/console#/templates", "Templates"),
        ("/console#/templates/welcome", "welcome"),
        ("/console#/webhooks", "Web hooks"),
        ("/console#/doctor", "Doctor"),
        ("/inbox", ""),
    ]


async def settled(screen: Screen, path: str, title: str) -> None:
    """Open a page and wait until it has drawn what it loads."""
    await screen.go(path, title or None)
    if path == "/inbox":
        await screen.page.get_by_role("link", name="Your order 4711").click()
        await screen.heading("Your order 4711").wait_for()
    await screen.page.wait_for_function("() => !document.querySelector('.loading')")


async def looked_at(screen: Screen, path: str, title: str) -> list[Any]:
    await settled(screen, path, title)
    found: list[Any] = await screen.page.evaluate(LOOK)
    return [f"{path}: {each}" for each in found]


@pytest.mark.parametrize("is_dark", [False, True])
@pytest.mark.parametrize("size", [WIDE, PHONE])
async def test_every_page_is_readable(browser: Browser, town: Town, is_dark: bool, size: ViewportSize) -> None:
    screen = await Screen.open(browser, town, key=town.relay.key, is_dark=is_dark, size=size)
    found = []
    for path, title in pages(town):
        found += await looked_at(screen, path, title)
        if title in ("Overview", "Two friends") or path == "/inbox":
            name = {"Overview": "console-overview", "Two friends": "console-failed"}.get(title, "inbox")
            await screen.picture(f"{name}{'-dark' if is_dark else ''}{'-phone' if size is PHONE else ''}")
    assert found == []
    assert (screen.log, screen.foreign) == ([], [])
    await screen.close()


async def test_dialogs_and_tellings_are_readable(browser: Browser, town: Town) -> None:
    for is_dark in (False, True):
        screen = await Screen.open(browser, town, key=town.relay.key, is_dark=is_dark)
        await settled(screen, "/console#/routes", "Routes")
        await screen.press("Probe inbox")
        await screen.told("inbox could send now.")
        await screen.press("Hold inbox")
        await screen.dialog().wait_for()
        assert await screen.page.evaluate(LOOK) == []
        await screen.close()


async def test_everything_is_reached_with_the_keyboard_and_seen_there(screen: Screen) -> None:
    await settled(screen, "/console#/routes", "Routes")
    wanted = {
        "Skip to the page",
        "Overview",
        "Probe inbox",
        "Hold inbox",
        "Probe sendgrid",
        "Release sendgrid",
        "Sign out",
    }
    seen: set[str] = set()
    await screen.page.evaluate("document.activeElement.blur()")
    for _ in range(25):
        await screen.page.keyboard.press("Tab")
        name, outline = await screen.page.evaluate(
            "() => { const at = document.activeElement; return [at.ariaLabel ?? at.textContent,"
            " at === document.body || getComputedStyle(at).outlineStyle]; }"
        )
        assert outline != "none", name
        seen.add(name)
    assert wanted <= seen
    await screen.page.get_by_role("button", name="Hold inbox").focus()
    await screen.page.keyboard.press("Enter")
    await screen.dialog().wait_for()
    for _ in range(4):
        await screen.page.keyboard.press("Tab")
        inside = "() => document.activeElement === document.body || document.activeElement.closest('dialog') !== null"
        assert await screen.page.evaluate(inside)
    await screen.page.keyboard.press("Escape")
    await screen.dialog().wait_for(state="detached")
    assert await screen.page.evaluate("document.activeElement.ariaLabel") == "Hold inbox"


async def test_a_refresh_takes_no_focus_away(screen: Screen) -> None:
    await settled(screen, "/console#/clients", "Clients")
    await settled(screen, "/console#/routes", "Routes")
    button = screen.page.get_by_role("button", name="Probe sendgrid")
    await button.focus()
    await screen.page.keyboard.press("Enter")
    await screen.told("sendgrid could not send")
    assert await button.evaluate("button => button === document.activeElement")


async def test_the_menu_of_a_phone_opens_and_closes(browser: Browser, town: Town) -> None:
    screen = await Screen.open(browser, town, key=town.relay.key, size=PHONE)
    await screen.go("/console", "Overview")
    menu = screen.page.get_by_role("button", name="Menu")
    link = screen.page.get_by_role("link", name="Doctor")
    assert not await link.is_visible()
    await menu.click()
    await link.wait_for()
    await screen.page.keyboard.press("Escape")
    assert not await link.is_visible()
    await menu.click()
    await link.click()
    await screen.heading("Doctor").wait_for()
    assert not await link.is_visible()
    await screen.close()
