"""The pages behind an unsubscribe link in a browser: by mouse and by keyboard, without scripts, in both languages and colors."""

from typing import Any

import pytest
from playwright.async_api import Browser, Page

from relay.bootstrap import start
from relay.unsubscribe.links import link_of
from relay.unsubscribe.token import Subscriber
from tests.browser.screen import PHONE, Site, new_context, press_tab
from tests.browser.test_accessibility import AXE, KEYBOARD, READABILITY, VIOLATIONS

pytestmark = pytest.mark.asyncio(loop_scope="session")
HEADLINE = {"en-GB": "Unsubscribe from “News”?", "ja-JP": "「お知らせ」の配信を停止しますか？"}


async def link(site: Site, email: str) -> str:
    """Define topics; the link that a message of the shop to this address would have."""
    topics = {"news": {"titles": {"en": "News", "ja": "お知らせ"}}, "offers": {"descriptions": {"en": "Once a week."}}}
    for name, fields in topics.items():
        status, answer, _ = await site.relay.call("PUT", f"/v1/topics/{name}?client=shop", json=fields)
        assert status in (200, 201), answer
    relay = start(site.relay.environment)
    try:
        shop = await relay.clients.get("shop")
    finally:
        await relay.close()
    subscriber = Subscriber(client=shop, topic="news", email=email)
    return f"{link_of(site.relay.url, subscriber)}/{site.messages['Your order 4711']}"


async def suppressed(site: Site, topic: str) -> list[str]:
    _, listed, _ = await site.relay.call("GET", f"/v1/topics/{topic}/suppressions?client=shop")
    return [each["email"] for each in listed["value"]]


async def opened(browser: Browser, site: Site, locale: str, *, is_dark: bool = False) -> Page:
    context = await new_context(browser, site, locale=locale, is_dark=is_dark, size=PHONE)
    return await context.new_page()


async def problems(page: Page) -> list[Any]:
    """What hinders readers of the page that is open. The page's own policy blocks scripts, so that these are evaluated."""
    await page.evaluate(AXE)
    follower = await page.evaluate_handle(KEYBOARD)
    await press_tab(page, await follower.evaluate("follower => follower.start()"))
    # Pages of the console have more texts than these; all that there are were measured.
    readability = [each for each in await page.evaluate(READABILITY) if not each.startswith("only ")]
    return [
        *readability,
        *await page.evaluate(VIOLATIONS),
        *await follower.evaluate("follower => follower.missed()"),
    ]


@pytest.mark.parametrize(("locale", "is_dark"), [("en-GB", False), ("ja-JP", True)])
async def test_reader_unsubscribes_and_subscribes_again(
    browser: Browser, site: Site, locale: str, is_dark: bool
) -> None:
    email = f"reader-{locale.lower()}@example.org"
    address = await link(site, email)
    page = await opened(browser, site, locale, is_dark=is_dark)
    log: list[str] = []
    page.on("console", lambda message: log.append(message.text))
    await page.goto(address)
    assert await page.get_by_role("heading", level=1).inner_text() == HEADLINE[locale]
    assert await problems(page) == []
    assert await suppressed(site, "news") == []

    await page.get_by_role("button").click()
    await page.get_by_role("status").wait_for()
    assert await suppressed(site, "news") == [email]
    assert await problems(page) == []

    await page.get_by_role("link").click()
    box = page.get_by_role("checkbox").first
    assert not await box.is_checked()
    assert await page.get_by_role("checkbox").last.is_checked()
    assert await problems(page) == []
    await box.focus()
    await page.keyboard.press("Space")
    await page.get_by_role("button").focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("status").wait_for()
    assert await suppressed(site, "news") == []
    assert await suppressed(site, "offers") == []
    assert log == []
    await page.context.close()


async def test_page_works_without_scripts(browser: Browser, site: Site) -> None:
    address = await link(site, "plain@example.org")
    context = await browser.new_context(java_script_enabled=False, locale="en-GB")
    page = await context.new_page()
    await page.goto(address)
    await page.get_by_role("button", name="Unsubscribe").click()
    await page.get_by_role("status").wait_for()
    assert await suppressed(site, "news") == ["plain@example.org"]
    await context.close()
