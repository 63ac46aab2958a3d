"""The inbox: mail as it comes, found, read in every form, and deleted."""

import pytest
from playwright.async_api import Browser

from tests.browser.screen import PHONE, Screen, Town

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_mail_is_read_in_every_form(screen: Screen) -> None:
    await screen.go("/inbox")
    await screen.page.get_by_role("link", name="Your order 4711").click()
    await screen.heading("Your order 4711").wait_for()
    frame = screen.page.frame_locator("iframe[title='The mail, rendered']")
    await frame.get_by_role("heading", name="Thank you, Ada.").wait_for()
    assert await frame.locator("img").evaluate("image => image.naturalWidth > 0", timeout=5000)
    panel = screen.page.get_by_role("tabpanel")
    for name, text in [
        ("Text", "Your order 4711 is being packed."),
        ("Source", "X-Order: 4711"),
        ("Headers", "orders@shop.example"),
        ("Attachments (2)", "Invoice 4711.pdf"),
        ("Links", "https://shop.example/orders/4711"),
    ]:
        await screen.page.get_by_role("tab", name=name).click()
        await panel.get_by_text(text).first.wait_for()
    await screen.page.get_by_role("tab", name="Attachments (2)").click()
    async with screen.page.expect_download() as waiting:
        await screen.press("Save Invoice 4711.pdf")
    assert (await (await waiting.value).path()).read_bytes().startswith(b"%PDF-1.4\n")
    async with screen.page.expect_download() as waiting:
        await screen.press("Save as .eml")
    assert b"Subject: Your order 4711" in (await (await waiting.value).path()).read_bytes()
    await screen.page.get_by_role("link", name=screen.town.messages["Your order 4711"]).click()
    await screen.page.locator(".story").wait_for()


async def test_mail_appears_by_itself_and_is_deleted(patient: Screen) -> None:
    await patient.go("/inbox")
    await patient.page.get_by_role("link", name="Nightly report").wait_for()
    await patient.town.send(subject="Just now")
    await patient.page.clock.fast_forward(3000)
    link = patient.page.get_by_role("link", name="New: Just now")
    await link.click()
    await patient.heading("Just now").wait_for()
    assert await patient.page.get_by_role("link", name="New: Just now").count() == 0
    await patient.press("Delete")
    await patient.told("The mail is deleted.")
    await patient.page.get_by_role("link", name="Just now").wait_for(state="detached")
    await patient.page.get_by_text("Choose a mail").wait_for()


async def test_mail_is_searched_and_what_was_found_is_deleted(screen: Screen) -> None:
    for number in range(3):
        await screen.town.send(subject=f"Digest {number}", to="digest@example.org")
    await screen.go("/inbox")
    search = screen.page.get_by_role("searchbox", name="Search")
    await screen.page.get_by_role("link", name="Digest 2").wait_for()
    await search.fill("to:digest Digest")
    await screen.page.get_by_text("3 mails").wait_for()
    await search.fill("subject:nothing-like-it")
    await screen.page.get_by_text("Nothing fits").wait_for()
    await search.fill("to:digest")
    await screen.page.get_by_text("3 mails").wait_for()
    await screen.press("Delete all")
    await screen.dialog().get_by_text("Delete all that fit the search?").wait_for()
    await screen.press("Delete", within=screen.dialog())
    await screen.told("3 mails deleted.")
    await screen.page.get_by_text("Nothing fits").wait_for()
    await search.fill("")
    await screen.page.get_by_role("link", name="Nightly report").wait_for()


async def test_keys_go_down_and_up_the_list(screen: Screen) -> None:
    await screen.go("/inbox")
    await screen.page.get_by_role("link", name="Nightly report").wait_for()
    links = screen.page.locator(".inbox-list a")
    for key, place in [("j", 0), ("j", 1), ("j", 2), ("k", 1)]:
        await screen.page.keyboard.press(key)
        await screen.page.locator(f".inbox-list a:nth-child({place + 1})[aria-current=true]").wait_for()
        assert await links.nth(place).evaluate("link => link === document.activeElement")


async def test_a_client_sees_its_own_mail_on_its_phone(browser: Browser, town: Town) -> None:
    _, made, _ = await town.relay.call("POST", "/v1/clients", json={"name": "quiet"})
    screen = await Screen.open(browser, town, key=made["key"], size=PHONE)
    await screen.page.clock.install()
    await screen.go("/inbox")
    await screen.page.get_by_text("No mail yet").wait_for()
    await Town(relay=town.relay, clients={"shop": made["key"]}, messages={}).send(subject="For me alone")
    await screen.page.clock.fast_forward(3000)
    await screen.page.get_by_role("link", name="For me alone").click()
    await screen.heading("For me alone").wait_for()
    assert await screen.page.get_by_role("link", name="Console").count() == 0
    await screen.page.get_by_role("link", name="← All mail").click()
    await screen.page.get_by_role("link", name="For me alone").wait_for()
    await screen.press("Delete all")
    await screen.press("Delete", within=screen.dialog())
    await screen.page.get_by_text("No mail yet").wait_for()
    assert (screen.log, screen.foreign) == ([], [])
    await screen.close()
