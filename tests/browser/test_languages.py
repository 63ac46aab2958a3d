"""The language of the pages: the browser's, or the one chosen on a page."""

import re

import pytest
from playwright.async_api import Browser

from tests.browser.screen import Screen, Site

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def language_of(screen: Screen) -> str:
    found: str = await screen.page.evaluate("document.documentElement.lang")
    return found


async def test_browser_language_is_used_until_the_reader_chooses_another(browser: Browser, site: Site) -> None:
    screen = await Screen.open(browser, site, key=site.relay.key, locale="ja-JP")
    message = f"/console#/messages/{site.messages['Two friends']}"
    text = screen.page.get_by_text
    await screen.go("/console", "概要")
    assert await language_of(screen) == "ja"
    await text("ルート sendgrid を保留しています(認証情報の拒否)").wait_for()
    await screen.screenshot("console-overview.ja")
    await screen.press("English")
    await screen.heading("Overview").wait_for()
    assert await language_of(screen) == "en"
    await text("Route sendgrid is held: bad credentials.").wait_for()
    await screen.go(message, "Two friends")
    await text("Attempt 1: rejected").wait_for()
    await screen.press("日本語")
    await text("試行 1: 拒否").wait_for()
    assert "受信者のサーバーが" in await screen.page.locator(".timeline").inner_text()
    await screen.go("/console#/routes", "ルート")
    await screen.page.get_by_role("region", name="ルート sendgrid").get_by_role("button", name="保留を解除").wait_for()
    await screen.press("English")
    await screen.page.get_by_role("button", name="Release sendgrid").wait_for()
    await screen.go("/inbox")
    await text(re.compile(r"^\d+ messages$")).wait_for()
    await screen.press("日本語")
    await text(re.compile(r"^\d+ 通$")).wait_for()
    await text(re.compile(r"^\d+ (秒|分)前$")).first.wait_for()
    await screen.go("/", "メールリレー")
    await screen.press("English")
    await screen.heading("This is a mail relay").wait_for()
    assert (screen.log, screen.foreign) == ([], [])
    await screen.close()


async def test_wrong_key_is_refused_in_the_language_of_the_page(browser: Browser, site: Site) -> None:
    screen = await Screen.open(browser, site, locale="ja")
    await screen.go("/inbox", "受信箱")
    await screen.page.get_by_label("キー").fill("relay_wrong")
    await screen.press("サインイン")
    await screen.page.get_by_text("有効なキーではありません。").wait_for()
    await screen.close()


async def test_language_without_messages_gets_english(browser: Browser, site: Site) -> None:
    screen = await Screen.open(browser, site, locale="fr-FR")
    await screen.go("/console", "Console")
    assert await language_of(screen) == "en"
    await screen.close()
