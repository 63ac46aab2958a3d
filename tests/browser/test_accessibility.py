"""Accessibility of every page: axe-core, contrast, names, the keyboard alone, and narrow windows, in light and dark mode."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, ViewportSize

from tests.browser.screen import PHONE, REFUSED, TABLET, WIDE, Screen, Site, press_tab

pytestmark = pytest.mark.asyncio(loop_scope="session")
READABILITY = (Path(__file__).parent / "readability.js").read_text()
"""Measures the drawn page and returns a list of problems."""
KEYBOARD = (Path(__file__).parent / "keyboard.js").read_text()
"""Follows the focus, and returns the controls that it did not reach."""
AXE = (Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js").read_text()
"""What a screen reader's user meets (github.com/dequelabs/axe-core). All rules but
contrast, which `READABILITY` measures faster and in both modes. The frames of mails are isolated from it."""
MODES: Mapping[Literal["light", "dark"], str] = {"light": "", "dark": "-dark"}
"""The color schemes, and what the names of their screenshots end with."""
VIOLATIONS = """() => axe.run(document, { iframes: false, resultTypes: ["violations"],
  rules: { "color-contrast": { enabled: false } } }).then(({ violations }) =>
  violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 120)}`)))"""


def pages(site: Site) -> Sequence[tuple[str, str]]:
    """Return the path and title of every page."""
    order = site.messages["Your order 4711"]
    return [
        ("/console", "Overview"),
        ("/console#/messages", "Messages"),
        (f"/console#/messages/{order}", "Your order 4711"),
        (f"/console#/messages/{site.messages['Two friends']}", "Two friends"),
        ("/console#/deadletters", "Dead letters"),
        ("/console#/deadletters/recipient_refused", "recipient_refused"),
        ("/console#/routes", "Routes"),
        ("/console#/clients", "Clients"),
        ("/console#/clients/newsletter", "newsletter"),
        ("/console#/suppressions", "Suppressions"),
        ("/console#/topics?client=shop", "Topics"),
        ("/console#/templates", "Templates"),
        ("/console#/templates/welcome", "welcome"),
        ("/console#/webhooks", "Webhooks"),
        ("/console#/audit", "Audit"),
        ("/console#/doctor", "Doctor"),
        ("/console#/codes", "Codes"),
        ("/console#/codes/recipient_refused", "recipient_refused"),
        ("/", "This is a mail relay"),
        ("/inbox", ""),
    ]


async def open_loaded(screen: Screen, path: str, title: str) -> None:
    """Open a page and wait until it has loaded."""
    await screen.go(path, title or None)
    if path == "/inbox":
        await screen.page.get_by_role("link", name="Your order 4711").click()
        await screen.heading("Your order 4711").wait_for()
    await screen.page.wait_for_function("() => !document.querySelector('.loading')")


async def problems_of(screen: Screen, path: str, title: str) -> list[Any]:
    await open_loaded(screen, path, title)
    found: list[Any] = await screen.page.evaluate(READABILITY)
    return [f"{path}: {each}" for each in found]


async def violations(screen: Screen) -> list[str]:
    """Return what axe-core finds on the page that is open."""
    if not await screen.page.evaluate("() => 'axe' in window"):
        await screen.page.evaluate(AXE)
    found: list[str] = await screen.page.evaluate(VIOLATIONS)
    return found


async def unreached(screen: Screen) -> list[str]:
    """Press Tab through the page that is open, and return the controls without focus."""
    follower = await screen.page.evaluate_handle(KEYBOARD)
    await press_tab(screen.page, await follower.evaluate("follower => follower.start()"))
    missed: list[str] = await follower.evaluate("follower => follower.missed()")
    return missed


async def test_every_page_suits_screen_readers_and_the_keyboard_at_each_width(screen: Screen) -> None:
    _, hook, _ = await screen.site.relay.call("POST", "/v1/webhooks", json={"url": "https://shop.example/hook"})
    found = []
    for path, title in (*pages(screen.site), (f"/console#/webhooks/{hook['id']}", "https://shop.example/hook")):
        await open_loaded(screen, path, title)
        for size in (WIDE, TABLET, PHONE):
            await screen.page.set_viewport_size(size)
            problems = (*await violations(screen), *await unreached(screen))
            found += [f"{path} at {size['width']}: {each}" for each in problems]
    assert found == []
    await screen.site.relay.call("DELETE", f"/v1/webhooks/{hook['id']}")


async def test_sign_in_suits_screen_readers_and_the_keyboard_at_each_width(visitor: Screen) -> None:
    found = []
    for path in ("/console", "/inbox"):
        await visitor.go(path)
        await visitor.page.get_by_label("Key").wait_for()
        for size in (WIDE, TABLET, PHONE):
            await visitor.page.set_viewport_size(size)
            problems = (*await violations(visitor), *await unreached(visitor))
            found += [f"{path} at {size['width']}: {each}" for each in problems]
    assert found == []
    visitor.log[:] = visitor.unexpected_log(REFUSED)


@pytest.mark.parametrize("size", [WIDE, PHONE])
async def test_every_page_has_contrast_names_and_fits_its_window(screen: Screen, size: ViewportSize) -> None:
    await screen.page.set_viewport_size(size)
    found = []
    for path, title in pages(screen.site):
        await open_loaded(screen, path, title)
        for mode in MODES:
            await screen.page.emulate_media(color_scheme=mode)
            found += [f"{path} {mode}: {each}" for each in await screen.page.evaluate(READABILITY)]
            if title in ("Overview", "Two friends") or path == "/inbox":
                name = {"Overview": "console-overview", "Two friends": "console-failed"}.get(title, "inbox")
                await screen.screenshot(f"{name}{MODES[mode]}{'-phone' if size is PHONE else ''}")
    assert found == []


async def test_japanese_pages_suit_screen_readers_and_fit_a_phone(browser: Browser, site: Site) -> None:
    screen = await Screen.open(browser, site, key=site.relay.key, size=PHONE, locale="ja-JP")
    found = []
    for path, title in [
        ("/console", "概要"),
        (f"/console#/messages/{site.messages['Two friends']}", "Two friends"),
        ("/console#/routes", "ルート"),
        ("/inbox", ""),
    ]:
        found += await problems_of(screen, path, title)
        found += [f"{path}: {each}" for each in await violations(screen)]
    assert found == []
    assert (screen.log, screen.foreign) == ([], [])
    await screen.close()


@pytest.mark.parametrize("mode", MODES)
async def test_dialogs_and_toasts_have_contrast_and_names(screen: Screen, mode: Literal["light", "dark"]) -> None:
    await screen.page.emulate_media(color_scheme=mode)
    await open_loaded(screen, "/console#/routes", "Routes")
    await screen.press("Probe inbox")
    await screen.toast("inbox can send.")
    await screen.press("Hold inbox")
    await screen.dialog().wait_for()
    assert await screen.page.evaluate(READABILITY) == []
    assert await violations(screen) == []


async def test_keyboard_reaches_every_control_and_stays_in_an_open_dialog(screen: Screen) -> None:
    await open_loaded(screen, "/console#/routes", "Routes")
    wanted = {
        "Skip to content",
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


async def test_refresh_keeps_the_focus(screen: Screen) -> None:
    await open_loaded(screen, "/console#/clients", "Clients")
    await open_loaded(screen, "/console#/routes", "Routes")
    button = screen.page.get_by_role("button", name="Probe sendgrid")
    await button.focus()
    await screen.page.keyboard.press("Enter")
    await screen.toast("sendgrid cannot send")
    assert await button.evaluate("button => button === document.activeElement")


async def test_phone_menu_opens_and_closes(screen: Screen) -> None:
    await screen.page.set_viewport_size(PHONE)
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
