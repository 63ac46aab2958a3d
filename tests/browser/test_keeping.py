"""What operators keep: who is not sent to, stored templates, and where events are posted."""

import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web

from tests.browser.screen import EAST, Screen

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_address_is_kept_out_and_let_in_again(screen: Screen) -> None:
    await screen.go("/console#/suppressions", "Suppressions")
    await screen.row("gone@example.org", "bounced").wait_for()
    await screen.picture("console-suppressions")
    await screen.press("Add")
    await screen.dialog().get_by_label("Address").fill("nobody")
    await screen.press("Add", within=screen.dialog())
    await screen.dialog().get_by_text("An email address must have an @-sign.").wait_for()
    await screen.dialog().get_by_label("Address").fill("Eve@Example.org")
    await screen.dialog().get_by_label("Reason").select_option("complained")
    await screen.dialog().get_by_label("Note").fill("By telephone")
    await screen.press("Add", within=screen.dialog())
    await screen.row("complained", "By telephone").wait_for()
    name = await screen.town.send(to=["eve@example.org", "ada@example.org"], subject="Without Eve")
    _, message, _ = await screen.town.relay.call("GET", f"/v1/messages/{name}")
    assert [each["state"] for each in message["recipients"]] == ["suppressed", "sent"]
    await screen.page.get_by_label("Ask about an address").fill("eve@example.org")
    await screen.press("Ask")
    await screen.page.get_by_text("eve@example.org is kept out: complained, for all.").wait_for()
    await screen.page.get_by_role("button", name=re.compile("Remove eve@example.org", re.IGNORECASE)).click()
    await screen.press("Remove", within=screen.dialog())
    await screen.told("may be sent to again.")
    await screen.press("Ask")
    await screen.page.get_by_text("Nothing keeps eve@example.org out.").wait_for()
    screen.log[:] = screen.complaints("status of 400", "status of 404")


async def test_lists_are_taken_over_and_saved(screen: Screen) -> None:
    await screen.go("/console#/suppressions", "Suppressions")
    await screen.page.get_by_label("List").select_option("newsletter")
    await screen.page.get_by_text("Nobody is kept out").wait_for()
    await screen.press("Import")
    await screen.press("Import", within=screen.dialog())
    await screen.dialog().get_by_text("Choose a file.").wait_for()
    content = b"email,reason\none@example.org,unsubscribed\ntwo@example.org,manual\n"
    file = {"name": "list.csv", "mimeType": "text/csv", "buffer": content}
    await screen.dialog().get_by_label("A CSV file").set_input_files(file)  # type: ignore[arg-type] # as Playwright names them
    await screen.press("Import", within=screen.dialog())
    await screen.told("2 addresses taken over.")
    await screen.row("one@example.org", "unsubscribed").wait_for()
    async with screen.page.expect_download() as waiting:
        await screen.press("Export")
    assert b"two@example.org,manual" in (await (await waiting.value).path()).read_bytes()
    await screen.press("From a provider")
    await screen.dialog().get_by_label("Route").select_option("inbox")
    await screen.press("Take over", within=screen.dialog())
    await screen.dialog().get_by_text("The provider of this route keeps no such lists.").wait_for()
    screen.log[:] = screen.complaints("status of 422")


async def test_a_template_is_written_and_looked_at(screen: Screen) -> None:
    await screen.go("/console#/templates", "Templates")
    await screen.row("welcome").wait_for()
    await screen.press("New template")
    await screen.dialog().get_by_label("Name").fill("Not a name")
    await screen.press("Write it", within=screen.dialog())
    await screen.dialog().get_by_text("A name is lower-case letters").wait_for()
    await screen.dialog().get_by_label("Name").fill("receipt")
    await screen.press("Write it", within=screen.dialog())
    await screen.heading("receipt").wait_for()
    await screen.page.get_by_label("Subject").fill("Receipt {{ number }}")
    html = screen.page.get_by_role("textbox", name="Html")
    await html.fill("<p>Paid: {{ amount </p>")
    await screen.press("Save")
    await screen.page.locator(".fault:not(:empty)").wait_for()
    await html.fill("<p style='color:#0f5f6b'>Paid: {{ amount }} & more</p>")
    await screen.press("Save")
    await screen.told("Version 1 is saved.")
    variables = screen.page.get_by_label("Variables, as JSON")
    await variables.fill("{")
    await screen.press("Fill in")
    await screen.page.get_by_text("This is not JSON.").wait_for()
    await variables.fill('{"number": 7}')
    await screen.press("Fill in")
    await screen.page.get_by_text("variables.amount: The template needs this variable.").wait_for()
    await variables.fill('{"number": 7, "amount": "<b>3 + 4 €</b>"}')
    await screen.press("Fill in")
    frame = screen.page.frame_locator("iframe[title='The mail, rendered']")
    await frame.get_by_text("Paid: <b>3 + 4 €</b> & more").wait_for()
    assert await frame.locator("p").evaluate("p => getComputedStyle(p).color") == "rgb(15, 95, 107)"
    await screen.page.get_by_text("Receipt 7").wait_for()
    await screen.page.get_by_label("Subject").fill("Your receipt {{ number }}")
    await screen.press("Save as version 2")
    await screen.told("Version 2 is saved.")
    await screen.press("Open version 1")
    await screen.page.get_by_role("heading", name="Version 1", exact=True).wait_for()
    await screen.press("Delete")
    await screen.press("Delete", within=screen.dialog())
    await screen.told("receipt is gone.")
    await screen.heading("Templates").wait_for()
    screen.log[:] = screen.complaints("status of 400", "status of 422")


async def test_the_preview_of_a_template_is_for_the_documentation_too(screen: Screen) -> None:
    await screen.go("/console#/templates/welcome", "welcome")
    await screen.page.get_by_label("Variables, as JSON").fill('{"name": "Ada", "city": "London"}')
    await screen.press("Fill in")
    frame = screen.page.frame_locator("iframe[title='The mail, rendered']")
    await frame.get_by_text("Your first cup is on us, in London.").wait_for()
    await screen.picture("console-template")


@asynccontextmanager
async def receiver() -> AsyncIterator[str]:
    """The address of a server that takes every post."""

    async def take(request: web.BaseRequest) -> web.Response:
        return web.Response(status=204)

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await web.SockSite(runner, listener).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/mail"
        await runner.cleanup()


async def test_a_web_hook_is_made_tried_paused_and_ended(screen: Screen) -> None:
    async with receiver() as url:
        await screen.go("/console#/webhooks", "Web hooks")
        await screen.page.get_by_text("No web hooks").wait_for()
        await screen.press("New web hook")
        await screen.dialog().get_by_label("Address").fill("ftp://example.com")
        await screen.press("Subscribe", within=screen.dialog())
        await screen.dialog().get_by_text("The URL of a web hook").wait_for()
        await screen.dialog().get_by_label("Address").fill(url)
        await screen.dialog().get_by_label("opened").check()
        await screen.press("Subscribe", within=screen.dialog())
        secret = await screen.dialog().locator(".secret").inner_text()
        assert secret.startswith("whsec_")
        await screen.press("Done", within=screen.dialog())
        await screen.row(url, "enabled", "delivered, bounced, complained, opened").get_by_role("link").click()
        await screen.heading(url).wait_for()
        await screen.press("Test")
        await screen.told("The test was taken (204")
        await screen.row("taken", "204").wait_for()
        await screen.picture("console-webhook")
        await screen.press("Pause")
        await screen.page.get_by_text("Paused by its client.").wait_for()
        await screen.press("Go on")
        await screen.told("Posts go on.")
        await screen.press("New secret")
        await screen.press("Make it", within=screen.dialog())
        assert await screen.dialog().locator(".secret").inner_text() != secret
        await screen.press("Done", within=screen.dialog())
        await screen.press("Delete")
        await screen.press("Delete", within=screen.dialog())
        await screen.told("The web hook is gone.")
        await screen.page.get_by_text("No web hooks").wait_for()
    screen.log[:] = screen.complaints("status of 400")


def local(at: datetime) -> str:
    """A moment as the browser has it in a field."""
    return at.astimezone(EAST).replace(tzinfo=None).isoformat(timespec="milliseconds")


async def test_lost_mail_is_counted_before_it_is_sent_again(screen: Screen) -> None:
    begun = datetime.now(UTC)
    name = await screen.town.send(subject="Taken and lost", to="ada@vendor.example")
    await screen.go("/console#/deadletters", "Dead letters")
    await screen.press("Send lost mail again")
    await screen.press("Count", within=screen.dialog())
    await screen.dialog().get_by_text("all it sent would count as lost").wait_for()
    await screen.dialog().get_by_label("Sent by").select_option("vendor")
    await screen.press("Count", within=screen.dialog())
    await screen.dialog().get_by_text("Nothing was lost").wait_for()
    await screen.press("Close", within=screen.dialog())
    await screen.dialog().wait_for(state="detached")
    await screen.press("Send lost mail again")
    await screen.dialog().get_by_label("Sent by").select_option("vendor")
    await screen.dialog().get_by_label("From").fill(local(begun))
    await screen.dialog().get_by_label("Until").fill(local(begun))
    await screen.press("Count", within=screen.dialog())
    await screen.dialog().get_by_text("It must be earlier than").wait_for()
    await screen.dialog().get_by_label("Until").fill(local(datetime.now(UTC)))
    await screen.press("Count", within=screen.dialog())
    await screen.dialog().get_by_text("Send 1 message again?").wait_for()
    await screen.press("Send again", within=screen.dialog())
    await screen.told("1 message put back on the queue.")
    await screen.go(f"/console#/messages/{name}", "Taken and lost")
    await screen.page.get_by_text("Attempt 2: sent").wait_for()
    screen.log[:] = screen.complaints("status of 400")
