"""The pages behind an unsubscribe link in a browser: by mouse and by keyboard, without scripts, in both languages and colors."""

import re
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from tests.browser.screen import PHONE, Site, new_context
from tests.browser.test_accessibility import AXE, KEYBOARD, READABILITY, VIOLATIONS

pytestmark = pytest.mark.asyncio(loop_scope="session")
HEADLINE = {"en-GB": "Unsubscribe from “News”?", "ja-JP": "「お知らせ」の配信を停止しますか？"}


async def link(site: Site, to: str) -> str:
    """Send a message about a topic; the link in the mail that arrived."""
    topics = {"news": {"titles": {"en": "News", "ja": "お知らせ"}}, "offers": {"descriptions": {"en": "Once a week."}}}
    for name, fields in topics.items():
        status, answer, _ = await site.relay.call("PUT", f"/v1/topics/{name}?client=shop", json=fields)
        assert status in (200, 201), answer
    name = await site.send(to=to, subject="News", unsubscribe={"topic": "news"}, route="capture")
    _, caught, _ = await site.relay.call("GET", f"/v1/inbox?to={to}")
    [mail] = [each["name"] for each in caught["value"] if name in each["name"]]
    headers = {"Authorization": f"Bearer {site.relay.key}"}
    async with site.relay.session.get(f"{site.relay.url}/v1/inbox/{mail}/source", headers=headers) as response:
        head = (await response.text()).replace("\r\n ", "")
    found = re.search(r"List-Unsubscribe: ?<[a-z]+://[^/]+([^>]+)>", head)
    assert found is not None
    return site.relay.url + found[1].replace(" ", "")


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
    for _ in range(await follower.evaluate("follower => follower.start()")):
        await page.keyboard.press("Tab")
    return [
        *await page.evaluate(READABILITY),
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
