"""Suppressions, templates, webhooks, and resending lost mail."""

import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web

from tests.browser.screen import EAST, Screen

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_suppressed_address_gets_no_mail_until_it_is_removed(screen: Screen) -> None:
    await screen.go("/console#/suppressions", "Suppressions")
    await screen.row("gone@example.org", "bounced").wait_for()
    await screen.screenshot("console-suppressions")
    await screen.press("Add")
    await screen.dialog().get_by_label("Address").fill("nobody")
    await screen.press("Add", within=screen.dialog())
    await screen.dialog().get_by_text("An email address must have an @-sign.").wait_for()
    await screen.dialog().get_by_label("Address").fill("Eve@Example.org")
    await screen.dialog().get_by_label("Reason").select_option("complained")
    await screen.dialog().get_by_label("Note").fill("By telephone")
    await screen.press("Add", within=screen.dialog())
    await screen.row("complained", "By telephone").wait_for()
    name = await screen.site.send(to=["eve@example.org", "ada@example.org"], subject="Without Eve")
    _, message, _ = await screen.site.relay.call("GET", f"/v1/messages/{name}")
    assert [each["state"] for each in message["recipients"]] == ["suppressed", "sent"]
    await screen.page.get_by_label("Check an address").fill("eve@example.org")
    await screen.press("Check")
    await screen.page.get_by_text("eve@example.org is suppressed: complained (all clients).").wait_for()
    await screen.page.get_by_role("button", name=re.compile("Remove eve@example.org", re.IGNORECASE)).click()
    await screen.press("Remove", within=screen.dialog())
    await screen.toast("is no longer suppressed.")
    await screen.press("Check")
    await screen.page.get_by_text("eve@example.org is not suppressed.").wait_for()
    screen.log[:] = screen.unexpected_log("status of 400", "status of 404")


async def test_suppressions_can_be_imported_exported_and_synced(screen: Screen) -> None:
    await screen.go("/console#/suppressions", "Suppressions")
    await screen.page.get_by_label("List").select_option("newsletter")
    await screen.page.get_by_text("No suppressed addresses").wait_for()
    await screen.press("Import")
    await screen.press("Import", within=screen.dialog())
    await screen.dialog().get_by_text("Select a file.").wait_for()
    content = b"email,reason\none@example.org,unsubscribed\ntwo@example.org,manual\n"
    file = {"name": "list.csv", "mimeType": "text/csv", "buffer": content}
    await screen.dialog().get_by_label("CSV file").set_input_files(file)  # type: ignore[arg-type] # as Playwright names them
    await screen.press("Import", within=screen.dialog())
    await screen.toast("2 addresses imported.")
    await screen.row("one@example.org", "unsubscribed").wait_for()
    async with screen.page.expect_download() as waiting:
        await screen.press("Export")
    assert b"two@example.org,manual" in (await (await waiting.value).path()).read_bytes()
    await screen.press("Sync from provider")
    await screen.dialog().get_by_label("Route").select_option("inbox")
    await screen.press("Sync", within=screen.dialog())
    await screen.dialog().get_by_text("The provider of this route has no suppression lists.").wait_for()
    screen.log[:] = screen.unexpected_log("status of 422")


async def test_topic_can_be_created_changed_and_deleted(screen: Screen) -> None:
    _, me, _ = await screen.site.relay.call("GET", "/v1/me")
    await screen.go("/console#/topics", "Topics")
    owner = screen.page.get_by_label("Client")
    # An operator may send, and so have topics too.
    assert {me["name"], "shop"} <= set(await owner.locator("option").all_inner_texts())
    await owner.select_option("shop")
    await screen.row("offers", "Offers", "12").wait_for()
    await screen.press("New topic")
    await screen.dialog().get_by_label("Name").fill("Not a name")
    await screen.press("Save", within=screen.dialog())
    await screen.dialog().get_by_text("A name consists of lowercase letters").wait_for()
    await screen.dialog().get_by_label("Name").fill("events")
    await screen.dialog().get_by_label("Title (English)").fill("Events")
    await screen.dialog().get_by_label("Title (Japanese)").fill("イベント")
    await screen.press("Save", within=screen.dialog())
    await screen.toast("events was saved.")
    await screen.press("Edit events")
    await screen.dialog().get_by_label("Title (Japanese)").fill("")
    await screen.dialog().get_by_label("SendGrid group").fill("0")
    await screen.press("Save", within=screen.dialog())
    await screen.dialog().locator(".error:not(:empty)").first.wait_for()
    await screen.dialog().get_by_label("SendGrid group").fill("47110")
    await screen.press("Save", within=screen.dialog())
    # No part of a time that the row shows.
    await screen.row("events", "Events", "47110").wait_for()
    _, topic, _ = await screen.site.relay.call("GET", "/v1/topics/events?client=shop")
    assert (topic["titles"], topic["sendgrid_group_id"]) == ({"en": "Events"}, 47_110)
    await screen.press("Delete events?")
    await screen.press("Delete", within=screen.dialog())
    await screen.toast("events was deleted.")
    screen.log[:] = screen.unexpected_log("status of 400", "status of 422")


async def test_template_can_be_created_previewed_versioned_and_deleted(screen: Screen) -> None:
    await screen.go("/console#/templates", "Templates")
    await screen.row("welcome").wait_for()
    await screen.press("New template")
    await screen.dialog().get_by_label("Name").fill("Not a name")
    await screen.press("Create", within=screen.dialog())
    await screen.dialog().get_by_text("A name consists of lowercase letters").wait_for()
    await screen.dialog().get_by_label("Name").fill("receipt")
    await screen.press("Create", within=screen.dialog())
    await screen.heading("receipt").wait_for()
    await screen.page.get_by_label("Language of the sources").select_option("handlebars")
    await screen.page.get_by_text("Handlebars: {{ name }}").wait_for()
    await screen.page.get_by_label("Language of the sources").select_option("jinja2")
    await screen.page.get_by_label("Subject").fill("Receipt {{ number }}")
    html = screen.page.get_by_role("textbox", name="HTML")
    await html.fill("<p>Paid: {{ amount </p>")
    await screen.press("Save")
    await screen.page.locator(".error:not(:empty)").wait_for()
    await html.fill("<p style='color:#0f5f6b'>Paid: {{ amount }} & more</p>")
    await screen.press("Save")
    await screen.toast("Version 1 saved.")
    variables = screen.page.get_by_label("Variables (JSON)")
    await variables.fill("{")
    await screen.press("Preview")
    await screen.page.get_by_text("Not valid JSON.").wait_for()
    await variables.fill('{"number": 7}')
    await screen.press("Preview")
    await screen.page.get_by_text("variables.amount: The template needs this variable.").wait_for()
    await variables.fill('{"number": 7, "amount": "<b>3 + 4 €</b>"}')
    await screen.press("Preview")
    frame = screen.page.frame_locator("iframe[title='Rendered message']")
    await frame.get_by_text("Paid: <b>3 + 4 €</b> & more").wait_for()
    assert await frame.locator("p").evaluate("p => getComputedStyle(p).color") == "rgb(15, 95, 107)"
    await screen.page.get_by_text("Receipt 7").wait_for()
    await screen.page.get_by_label("Subject").fill("Your receipt {{ number }}")
    await screen.press("Save as version 2")
    await screen.toast("Version 2 saved.")
    await screen.press("Open version 1")
    await screen.page.get_by_role("heading", name="Version 1", exact=True).wait_for()
    await screen.press("Delete")
    await screen.press("Delete", within=screen.dialog())
    await screen.toast("receipt was deleted.")
    await screen.heading("Templates").wait_for()
    screen.log[:] = screen.unexpected_log("status of 400", "status of 422")


async def test_template_preview_uses_the_variables(screen: Screen) -> None:
    await screen.go("/console#/templates/welcome", "welcome")
    await screen.page.get_by_label("Variables (JSON)").fill('{"name": "Ada", "city": "London"}')
    await screen.press("Preview")
    frame = screen.page.frame_locator("iframe[title='Rendered message']")
    await frame.get_by_text("Your first cup is on us, in London.").wait_for()
    await screen.screenshot("console-template")


@asynccontextmanager
async def receiver() -> AsyncIterator[str]:
    """Start a server that accepts every request, and return its URL."""

    async def accept(request: web.BaseRequest) -> web.Response:
        return web.Response(status=204)

    runner = web.ServerRunner(web.Server(accept))
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await web.SockSite(runner, listener).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/mail"
        finally:
            await runner.cleanup()


async def test_webhook_can_be_created_tested_paused_rotated_and_deleted(screen: Screen) -> None:
    async with receiver() as url:
        await screen.go("/console#/webhooks", "Webhooks")
        await screen.page.get_by_text("No webhooks").wait_for()
        await screen.press("New webhook")
        await screen.dialog().get_by_label("URL").fill("ftp://example.com")
        await screen.press("Create", within=screen.dialog())
        await screen.dialog().get_by_text("The URL of a webhook").wait_for()
        await screen.dialog().get_by_label("URL").fill(url)
        await screen.dialog().get_by_label("opened").check()
        await screen.press("Create", within=screen.dialog())
        secret = await screen.dialog().locator(".secret").inner_text()
        assert secret.startswith("whsec_")
        await screen.press("Done", within=screen.dialog())
        await screen.row(url, "enabled", "delivered, bounced, complained, opened").get_by_role("link").click()
        await screen.heading(url).wait_for()
        await screen.press("Test")
        await screen.toast("Test accepted (204")
        await screen.row("succeeded", "204").wait_for()
        await screen.screenshot("console-webhook")
        await screen.press("Pause")
        await screen.page.get_by_text("Paused by its client.").wait_for()
        await screen.press("Resume")
        await screen.toast("Webhook resumed.")
        await screen.press("Rotate secret")
        await screen.press("Rotate", within=screen.dialog())
        assert await screen.dialog().locator(".secret").inner_text() != secret
        await screen.press("Done", within=screen.dialog())
        await screen.press("Delete")
        await screen.press("Delete", within=screen.dialog())
        await screen.toast("Webhook deleted.")
        await screen.page.get_by_text("No webhooks").wait_for()
    # The page may refresh itself while its webhook is being deleted: 404.
    screen.log[:] = screen.unexpected_log("status of 400", "status of 404")


def local(at: datetime) -> str:
    """Format a time for a `datetime-local` field of the browser."""
    return at.astimezone(EAST).replace(tzinfo=None).isoformat(timespec="milliseconds")


async def test_lost_mail_is_counted_before_it_is_resent(screen: Screen) -> None:
    start = datetime.now(UTC)
    name = await screen.site.send(subject="Taken and lost", to="ada@vendor.example")
    await screen.go("/console#/deadletters", "Dead letters")
    await screen.press("Resend lost mail")
    await screen.press("Count", within=screen.dialog())
    await screen.dialog().get_by_text("all mail it sent would count as lost").wait_for()
    await screen.dialog().get_by_label("Sent by route").select_option("vendor")
    await screen.press("Count", within=screen.dialog())
    await screen.dialog().get_by_text("No lost mail").wait_for()
    await screen.press("Close", within=screen.dialog())
    await screen.dialog().wait_for(state="detached")
    await screen.press("Resend lost mail")
    await screen.dialog().get_by_label("Sent by route").select_option("vendor")
    await screen.dialog().get_by_label("From").fill(local(start))
    await screen.dialog().get_by_label("To", exact=True).fill(local(start))
    await screen.press("Count", within=screen.dialog())
    await screen.dialog().get_by_text("It must be earlier than").wait_for()
    await screen.dialog().get_by_label("To", exact=True).fill(local(datetime.now(UTC)))
    await screen.press("Count", within=screen.dialog())
    await screen.dialog().get_by_text("Resend 1 message?").wait_for()
    await screen.press("Resend", within=screen.dialog())
    await screen.toast("1 message queued again.")
    await screen.go(f"/console#/messages/{name}", "Taken and lost")
    await screen.page.get_by_text("Attempt 2: sent").wait_for()
    screen.log[:] = screen.unexpected_log("status of 400")
