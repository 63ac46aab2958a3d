"""The list of messages and the page of one message."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Route

from tests.browser.screen import EAST, Screen, gone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_message_filter_narrows_the_list_and_survives_a_reload(screen: Screen) -> None:
    await screen.go("/console#/messages", "Messages")
    await screen.row("Your order 4711", "sent").wait_for()
    await screen.row("News in spring", "held").wait_for()
    await screen.screenshot("console-messages")
    await screen.page.get_by_label("State").select_option("held")
    await screen.press("Search")
    await screen.row("News in spring").wait_for()
    await gone(screen.row("Your order 4711"))
    assert screen.page.url.endswith("#/messages?state=held")
    await screen.page.reload()
    await screen.row("News in spring").wait_for()
    assert await screen.page.get_by_label("State").input_value() == "held"
    await screen.page.get_by_label("State").select_option("")
    await screen.page.get_by_label("Recipient").fill("nobody@example.org")
    await screen.press("Search")
    await screen.page.get_by_text("No matches").wait_for()


async def test_search_by_sender_subject_and_metadata_is_exported(screen: Screen) -> None:
    await screen.go("/console#/messages", "Messages")
    for name, text in (("Sender", "@shop.example"), ("Subject", "order"), ("Metadata", "order=4711")):
        await screen.page.get_by_label(name, exact=True).fill(text)
    await screen.press("Search")
    await screen.row("Your order 4711").wait_for()
    await gone(screen.row("News in spring"))
    async with screen.page.expect_download() as download:
        await screen.press("Export CSV")
    lines = (await (await download.value).path()).read_text().splitlines()
    assert lines[0].startswith("id,state,")
    assert all("Your order 4711" in line for line in lines[1:])


async def test_invalid_filter_shows_an_error(screen: Screen) -> None:
    await screen.go("/console#/messages?recipient=nobody", "Messages")
    await screen.page.get_by_text("Request failed").wait_for()
    screen.log[:] = screen.unexpected_log("status of 400")


async def test_search_by_id_opens_the_message(screen: Screen) -> None:
    await screen.go("/console#/messages", "Messages")
    await screen.page.get_by_label("ID").fill("4711")
    await screen.press("Search")
    await screen.page.get_by_text("An ID is msg_ followed by 40 letters and digits.").wait_for()
    await screen.page.get_by_label("ID").fill(screen.site.messages["Your voucher"])
    await screen.press("Search")
    await screen.heading("Your voucher").wait_for()


async def test_message_page_shows_timeline_recipients_and_local_times(screen: Screen) -> None:
    await screen.go(f"/console#/messages/{screen.site.messages['Your order 4711']}", "Your order 4711")
    frame = screen.page.frame_locator("iframe[title='Rendered message']")
    await frame.get_by_role("heading", name="Thank you, Ada.").wait_for()
    timeline = screen.page.locator(".timeline")
    assert re.search(r"Accepted[\s\S]*Attempt 1: sent[\s\S]*250 2\.0\.0 kept in the inbox", await timeline.inner_text())
    await screen.page.get_by_text("Ada Lovelace <ada@example.org>").wait_for()
    await screen.page.get_by_text("order: 4711").wait_for()
    time = screen.page.locator(".timeline time").first
    shown, utc = await time.inner_text(), await time.get_attribute("title") or ""
    at = datetime.strptime(utc, "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
    assert shown.endswith(f"{at.astimezone(EAST):%H:%M:%S}")
    await screen.screenshot("console-message")


async def test_arrow_keys_open_every_view_of_the_content(screen: Screen) -> None:
    await screen.go(f"/console#/messages/{screen.site.messages['Your order 4711']}", "Your order 4711")
    views = screen.page.get_by_role("tablist", name="Views of the message")
    panel = screen.page.get_by_role("tabpanel")
    await screen.press("Phone", within=panel)
    assert await panel.locator("iframe").evaluate("frame => frame.clientWidth") == 375
    await views.get_by_role("tab", name="Rendered").focus()
    for name, text in [
        ("Text", "Your order 4711 is being packed."),
        ("Source", "Content-Transfer-Encoding"),
        ("Headers", "X-Order"),
        ("Attachments", "Invoice 4711.pdf"),
        ("Links", "https://shop.example/orders/4711"),
    ]:
        await screen.page.keyboard.press("ArrowRight")
        await views.get_by_role("tab", name=name, selected=True).wait_for()
        await panel.get_by_text(text).first.wait_for()
    await views.get_by_role("tab", name="Attachments").click()
    async with screen.page.expect_download() as waiting:
        await screen.press("Save Invoice 4711.pdf")
    saved = await (await waiting.value).path()
    assert saved.read_bytes().startswith(b"%PDF-1.4\n")


async def test_each_recipient_shows_its_own_state(screen: Screen) -> None:
    await screen.go(f"/console#/messages/{screen.site.messages['Two friends']}", "Two friends")
    recipients = screen.page.locator(".recipients li")
    await recipients.filter(has_text="rejected+1@relay.test").get_by_text("failed").wait_for()
    await recipients.filter(has_text="mia@example.org").get_by_text("sent").wait_for()
    await screen.page.get_by_text("550 5.1.1 test recipient: no such mailbox").wait_for()


REPORT = """\
From: mailer-daemon@mx.example
To: orders@shop.example
Subject: Undelivered
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; {recipient}
Action: failed
Status: {code}
--b
Content-Type: text/rfc822-headers

X-Relay-Id: {id}
--b--
"""


async def test_bounces_are_red_and_soft_bounces_amber(screen: Screen) -> None:
    recipients = ["hard@example.org", "soft@example.org", "kept@example.org"]
    name = await screen.site.send(subject="Three ends", to=recipients)
    for recipient, code in (("hard@example.org", "5.1.1"), ("soft@example.org", "4.2.2")):
        report = REPORT.format(recipient=recipient, code=code, id=name).replace("\n", "\r\n")
        headers = {"Content-Type": "message/rfc822"}
        status, _, _ = await screen.site.relay.call("POST", "/v1/events/bounce", data=report, headers=headers)
        assert status == 202
    await screen.go(f"/console#/messages/{name}", "Three ends")
    ends = screen.page.locator(".recipients li")
    for recipient, text, tone in (
        ("hard@", "hard bounce", "bad"),
        ("soft@", "soft bounce", "warn"),
        ("kept@", "sent, not reported", ""),
    ):
        badge = ends.filter(has_text=recipient).locator(".badge")
        await badge.get_by_text(text).wait_for()
        assert (await badge.get_attribute("class") or "").split()[1:] == tone.split()
    await screen.go("/console#/messages?arrival=bounced", "Messages")
    row = screen.row("Three ends")
    await row.locator(".badge.bad").get_by_text("hard bounce").wait_for()
    assert "hard@example.org + 2" in await row.inner_text()
    assert await screen.row("Nightly report").count() == 0


async def test_scheduled_message_can_be_cancelled(screen: Screen) -> None:
    later = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    name = await screen.site.send(subject="Not yet", send_at=later)
    await screen.go(f"/console#/messages/{name}", "Not yet")
    await screen.press("Cancel")
    await screen.press("Cancel", within=screen.dialog())
    await screen.press("Cancel")
    await screen.press("Cancel message", within=screen.dialog())
    await screen.toast("Message cancelled.")
    await screen.page.locator(".heading").get_by_text("cancelled").wait_for()


async def test_unknown_message_shows_not_found(screen: Screen) -> None:
    await screen.go("/console#/messages/msg_x")
    await screen.page.get_by_text("This client has no message with this id").first.wait_for()
    assert await screen.page.get_by_text("No connection, retrying").count() == 0
    screen.log[:] = screen.unexpected_log("status of 404")


async def test_erased_message_shows_no_content_and_no_actions(screen: Screen) -> None:
    name = await screen.site.send(subject="Soon erased", to="eve@example.org")
    await screen.go(f"/console#/messages/{name}", "Soon erased")
    await screen.page.get_by_text("eve@example.org").first.wait_for()
    await screen.site.relay.call("POST", "/v1/erase", json={"recipient": "eve@example.org"})
    await screen.heading("(erased)").wait_for()
    await screen.page.get_by_text("Erased, together with addresses").wait_for()
    await screen.page.get_by_text("Attempt 1: sent").wait_for()
    assert await screen.page.get_by_text("eve@example.org").count() == 0
    assert await screen.page.get_by_role("button", name="Redrive").count() == 0
    await screen.go("/console#/messages", "Messages")
    await screen.row("(erased)", "sent").first.wait_for()
    await screen.site.relay.call("DELETE", "/v1/inbox", params={"subject": "Soon erased"})


async def test_customer_who_got_no_invoice_is_helped_in_under_ten_clicks(screen: Screen) -> None:
    """Follows docs/how-to/a-customer-calls.md. The recipient's provider accepted the mail and reports nothing."""
    await screen.site.send(subject="Invoice 5001", to="claire@vendor.example")
    await screen.go("/console", "Overview")
    await screen.page.evaluate("window.clicks = 0; addEventListener('click', () => { window.clicks += 1; }, true)")
    await screen.page.get_by_role("link", name="Messages", exact=True).first.click()
    await screen.page.get_by_label("Recipient").fill("claire@vendor.example")
    await screen.press("Search")
    await screen.row("Invoice 5001").get_by_role("link").first.click()
    await screen.heading("Invoice 5001").wait_for()
    await screen.page.locator(".timeline").get_by_text("Attempt 1: sent").wait_for()
    await screen.press("Resend")
    await screen.dialog().get_by_label("Route").select_option("inbox")
    await screen.press("Resend", within=screen.dialog())
    await screen.toast("Queued again.")
    await screen.page.locator(".timeline").get_by_text("Attempt 2: sent").wait_for()
    await screen.page.locator(".timeline").get_by_text("inbox (capture)").wait_for()
    assert await screen.page.evaluate("window.clicks") < 10
    await screen.site.relay.call("DELETE", "/v1/inbox", params={"subject": "Invoice 5001"})


async def test_code_of_an_attempt_leads_to_its_explanation(screen: Screen) -> None:
    await screen.go(f"/console#/messages/{screen.site.messages['Your voucher']}", "Your voucher")
    await screen.page.locator(".timeline").get_by_role("link", name="recipient_refused").click()
    await screen.heading("recipient_refused").wait_for()
    await screen.page.get_by_text("Check the address with the recipient").wait_for()
    await screen.go("/console#/codes/no_such_code", "no_such_code")
    await screen.page.get_by_text("Unknown code").wait_for()


async def test_test_message_is_sent_by_the_chosen_route_and_copied_as_curl_without_a_key(screen: Screen) -> None:
    await screen.go("/console#/messages", "Messages")
    await screen.press("Send a test message")
    dialog = screen.dialog()
    await screen.press("Send", within=dialog)
    await dialog.locator("[aria-invalid='true'][name='from']").wait_for()
    await dialog.get_by_label("From").fill("orders@shop.example")
    await dialog.get_by_label("To").fill("me@news.example")
    await dialog.get_by_label("Route").select_option("inbox")
    await dialog.get_by_label("Subject").fill("It's a test")
    await screen.press("Copy as curl", within=dialog)
    await screen.page.get_by_text("Copied.").wait_for()
    copied = await screen.page.evaluate("navigator.clipboard.readText()")
    assert 'Authorization: Bearer $RELAY_KEY"' in copied
    assert "It'\\''s a test" in copied
    assert screen.site.relay.key not in copied
    await screen.press("Send", within=dialog)
    await screen.heading("It's a test").wait_for()
    await screen.page.locator(".timeline").get_by_text("inbox (capture)").wait_for()
    await screen.site.relay.call("DELETE", "/v1/inbox", params={"subject": "It's a test"})
    # 404: the page asked for the content while the message was still queued.
    screen.log[:] = screen.unexpected_log("status of 400", "status of 404")


async def test_list_without_messages_teaches_how_to_send_one(screen: Screen) -> None:
    async def empty(route: Route) -> None:
        await route.fulfill(json={"value": []})

    await screen.page.route("**/v1/messages?*", empty)
    await screen.go("/console#/messages", "Messages")
    command = await screen.page.locator(".command").inner_text()
    assert f"'{screen.site.relay.url}/v1/messages'" in command
    assert '"Authorization: Bearer $RELAY_KEY"' in command
