"""The inbox: new mail, search, views of a message, deletion."""

import pytest

from tests.browser.screen import PHONE, Screen, Site, gone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_every_view_of_a_captured_message_shows_its_content(screen: Screen) -> None:
    await screen.go("/inbox")
    await screen.page.get_by_role("link", name="Your order 4711").click()
    await screen.heading("Your order 4711").wait_for()
    frame = screen.page.frame_locator("iframe[title='Rendered message']")
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
    await screen.page.get_by_role("link", name=screen.site.messages["Your order 4711"]).click()
    await screen.page.locator(".timeline").wait_for()


async def test_new_mail_appears_without_reload_and_can_be_deleted(clock_screen: Screen) -> None:
    await clock_screen.go("/inbox")
    await clock_screen.page.get_by_role("link", name="Nightly report").wait_for()
    await clock_screen.site.send(subject="Just now")
    await clock_screen.page.clock.fast_forward(3000)
    link = clock_screen.page.get_by_role("link", name="New: Just now")
    await link.click()
    await clock_screen.heading("Just now").wait_for()
    await gone(clock_screen.page.get_by_role("link", name="New: Just now"))
    await clock_screen.press("Delete")
    await clock_screen.toast("Message deleted.")
    await clock_screen.page.get_by_role("link", name="Just now").wait_for(state="detached")
    await clock_screen.page.get_by_text("Select a message").wait_for()


async def test_search_narrows_the_list_and_delete_all_removes_only_matches(screen: Screen) -> None:
    for number in range(3):
        await screen.site.send(subject=f"Digest {number}", to="digest@example.org")
    await screen.go("/inbox")
    search = screen.page.get_by_role("searchbox", name="Search")
    await screen.page.get_by_role("link", name="Digest 2").wait_for()
    await search.fill("to:digest Digest")
    await screen.page.get_by_text("3 messages").wait_for()
    await search.fill("subject:nothing-like-it")
    await screen.page.get_by_text("No matches").wait_for()
    await search.fill("to:digest")
    await screen.page.get_by_text("3 messages").wait_for()
    await screen.press("Delete all")
    await screen.dialog().get_by_text("Delete all messages that match the search?").wait_for()
    await screen.press("Delete", within=screen.dialog())
    await screen.toast("3 messages deleted.")
    await screen.page.get_by_text("No matches").wait_for()
    await search.fill("")
    await screen.page.get_by_role("link", name="Nightly report").wait_for()


async def test_j_and_k_move_through_the_list(screen: Screen) -> None:
    await screen.go("/inbox")
    await screen.page.get_by_role("link", name="Nightly report").wait_for()
    links = screen.page.locator(".inbox-list a")
    for key, place in [("j", 0), ("j", 1), ("j", 2), ("k", 1)]:
        await screen.page.keyboard.press(key)
        await screen.page.locator(f".inbox-list a:nth-child({place + 1})[aria-current=true]").wait_for()
        assert await links.nth(place).evaluate("link => link === document.activeElement")


async def test_long_list_scrolls_without_the_page(screen: Screen) -> None:
    await screen.page.set_viewport_size({"width": 1280, "height": 320})
    await screen.go("/inbox")
    await screen.page.get_by_role("link", name="Nightly report").wait_for()
    assert await screen.page.locator(".inbox-list").evaluate("list => list.scrollHeight > list.clientHeight")
    assert await screen.page.evaluate("document.documentElement.scrollHeight <= innerHeight")


async def test_client_key_on_a_phone_sees_only_its_own_mail(clock_screen: Screen, site: Site) -> None:
    _, created, _ = await site.relay.call("POST", "/v1/clients", json={"name": "quiet", "policy": {"senders": ["*"]}})
    await clock_screen.sign_in_as(created["key"])
    await clock_screen.page.set_viewport_size(PHONE)
    await clock_screen.go("/inbox")
    await clock_screen.page.get_by_text("No mail yet").wait_for()
    await Site(relay=site.relay, clients={"shop": created["key"]}, messages={}).send(subject="For me alone")
    await clock_screen.page.clock.fast_forward(3000)
    await clock_screen.page.get_by_role("link", name="For me alone").click()
    await clock_screen.heading("For me alone").wait_for()
    assert await clock_screen.page.get_by_role("link", name="Console").count() == 0
    await clock_screen.page.get_by_role("link", name="← All messages").click()
    await clock_screen.page.get_by_role("link", name="For me alone").wait_for()
    await clock_screen.press("Delete all")
    await clock_screen.press("Delete", within=clock_screen.dialog())
    await clock_screen.page.get_by_text("No mail yet").wait_for()
