"""Dead letters, routes, clients and the doctor."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from relay.bootstrap import start
from relay.core.settings import BrakePolicy
from relay.routes.brakes import Figures
from tests.browser.screen import EAST, Screen, gone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_selected_dead_letter_is_redriven_with_another_sender_and_route(screen: Screen) -> None:
    name = await screen.site.send(to="rejected@relay.test", subject="Once more")
    await screen.go("/console#/deadletters", "Dead letters")
    await screen.row("recipient_refused", "The recipient's server permanently refused the recipient.").wait_for()
    await screen.row("response_lost").wait_for()
    await screen.screenshot("console-deadletters")
    await screen.page.get_by_role("link", name="recipient_refused").click()
    await screen.heading("recipient_refused").wait_for()
    await screen.page.get_by_label(f"Select {name}").check()
    await screen.page.get_by_text("1 message selected").wait_for()
    await screen.press("Redrive")
    dialog = screen.dialog()
    await dialog.get_by_label("Sender").fill("nobody")
    await screen.press("Redrive", within=dialog)
    await dialog.get_by_text("An email address must have an @-sign.").wait_for()
    await dialog.get_by_label("Sender").fill("Shop <other@shop.example>")
    await dialog.get_by_label("Route").select_option("inbox")
    await screen.screenshot("console-redrive")
    await screen.press("Redrive", within=dialog)
    await screen.toast("1 message queued again.")
    await screen.go(f"/console#/messages/{name}", "Once more")
    await screen.page.get_by_text("Attempt 2: rejected").wait_for()
    await screen.page.get_by_text("Shop <other@shop.example>").wait_for()
    screen.log[:] = screen.unexpected_log("status of 400")


async def test_message_page_redrives_and_discards_a_dead_letter(screen: Screen) -> None:
    name = await screen.site.send(to="rejected@relay.test", subject="From its page")
    await screen.go(f"/console#/messages/{name}", "From its page")
    await screen.press("Redrive")
    await screen.press("Redrive", within=screen.dialog())
    await screen.page.get_by_text("Attempt 2: rejected").wait_for()
    await screen.press("Discard")
    await screen.press("Discard", within=screen.dialog())
    await screen.toast("1 message discarded.")
    await screen.go("/console#/deadletters/recipient_refused", "recipient_refused")
    await screen.page.locator("tbody tr").first.wait_for()
    assert await screen.page.get_by_text(name).count() == 0


async def test_discard_all_empties_the_cause(screen: Screen) -> None:
    await screen.site.send(to="unknown@relay.test", subject="Lost", delivery="at_most_once")
    await screen.go("/console#/deadletters", "Dead letters")
    await screen.press("Discard all of response_lost")
    await screen.page.keyboard.press("Escape")
    assert await screen.row("response_lost").count() == 1
    await screen.press("Redrive all of response_lost")
    await screen.press("Cancel", within=screen.dialog())
    await screen.press("Discard all of response_lost")
    await screen.press("Discard", within=screen.dialog())
    await screen.toast("discarded.")
    await screen.row("response_lost").wait_for(state="detached")
    await screen.go("/console#/deadletters/response_lost", "response_lost")
    await screen.page.get_by_text("No dead letters").wait_for()


async def test_route_can_be_probed_held_and_released(screen: Screen) -> None:
    await screen.go("/console#/routes", "Routes")
    held = screen.page.get_by_role("region", name="Route sendgrid")
    await held.get_by_text("The provider does not accept the route's key, certificate or identity.").wait_for()
    await held.get_by_text("The provided authorization grant is invalid").wait_for()
    await screen.screenshot("console-routes")
    await screen.press("Probe sendgrid")
    await screen.toast("sendgrid cannot send: The provider does not accept the route's key")
    inbox = screen.page.get_by_role("region", name="Route inbox")
    await screen.press("Hold inbox")
    dialog = screen.dialog()
    await screen.press("Hold", within=dialog)
    await dialog.get_by_text("Say why, for the people who look at the routes.").wait_for()
    await dialog.get_by_label("Reason").fill("Maintenance of the mail server")
    await screen.press("Hold", within=dialog)
    await inbox.get_by_text("An operator holds the route.").wait_for()
    await inbox.get_by_text("Maintenance of the mail server").wait_for()
    await inbox.get_by_text("Held by").wait_for()
    await inbox.get_by_text("None: release the route to end this hold").wait_for()
    name = await screen.site.send(subject="Waits for the route")
    status, message, _ = await screen.site.relay.call("GET", f"/v1/messages/{name}")
    assert (status, message["state"]) == (200, "held")
    await screen.press("Release inbox")
    await screen.toast("inbox is active. 1 hold ended")
    await inbox.get_by_text("Active: mail is sent by this route.").wait_for()
    await screen.go(f"/console#/messages/{name}", "Waits for the route")
    await screen.page.locator(".heading").get_by_text("sent").wait_for()


async def test_audit_page_shows_filters_and_exports_who_held_the_route_and_why(screen: Screen) -> None:
    until = (datetime.now(EAST) + timedelta(hours=1)).replace(second=0, microsecond=0)
    await screen.go("/console#/routes", "Routes")
    await screen.press("Hold vendor")
    await screen.dialog().get_by_label("Reason").fill("=Maintenance until later")
    await screen.dialog().get_by_label("Until").fill(f"{until:%Y-%m-%dT%H:%M}")
    await screen.press("Hold", within=screen.dialog())
    vendor = screen.page.get_by_role("region", name="Route vendor")
    await vendor.get_by_text(f"{until:%H:%M}").first.wait_for()
    await screen.press("Release vendor")
    await screen.toast("vendor is active.")
    await screen.go("/console#/audit", "Audit")
    await screen.row("HoldRoute", "vendor", "=Maintenance until later", "succeeded").first.wait_for()
    await screen.screenshot("console-audit")
    await screen.page.get_by_label("Operation").fill("ReleaseRoute")
    await screen.page.get_by_label("Target").fill("vendor")
    await screen.press("Search")
    await screen.row("ReleaseRoute", "vendor").first.wait_for()
    await gone(screen.row("HoldRoute"))
    await screen.go("/console#/audit?operation=HoldRoute&target=vendor", "Audit")
    await screen.row("HoldRoute").first.wait_for()
    async with screen.page.expect_download() as download:
        await screen.press("Export CSV")
    lines = (await (await download.value).path()).read_text().splitlines()
    assert [line.split(",")[5] for line in lines[:2]] == ["operation", "HoldRoute"]
    assert "'=Maintenance until later" in lines[1]


async def test_delivery_can_be_paused_and_resumed(screen: Screen) -> None:
    await screen.go("/console#/routes", "Routes")
    await screen.press("Pause delivery")
    await screen.dialog().get_by_label("Reason").fill("Upgrade from the console")
    await screen.press("Pause", within=screen.dialog())
    await screen.toast("Delivery is paused; no attempt runs.")
    inbox = screen.page.get_by_role("region", name="Route inbox")
    await inbox.get_by_text("An operator holds the route.").wait_for()
    await inbox.get_by_text("Upgrade from the console").wait_for()
    await screen.press("Resume delivery")
    await screen.toast("Delivery is resumed.")
    await inbox.get_by_text("Active: mail is sent by this route.").wait_for()
    await screen.page.get_by_role("button", name="Pause delivery").wait_for()


async def test_step_of_a_timer_is_run_from_the_doctors_page(screen: Screen) -> None:
    await screen.go("/console#/doctor", "Doctor")
    await screen.press("Run now: purge")
    await screen.toast("purge: 0 done. Complete.")
    await screen.row("purge", "Complete").wait_for()


async def test_client_can_be_created_disabled_enabled_and_deleted(screen: Screen) -> None:
    await screen.go("/console#/clients", "Clients")
    await screen.row("staging", "redirected").wait_for()
    await screen.screenshot("console-clients")
    await screen.press("New client")
    await screen.dialog().get_by_label("Name").fill("Web Shop")
    await screen.press("Create", within=screen.dialog())
    await screen.dialog().get_by_text("A client's name is 1 to 63 lower-case letters").wait_for()
    await screen.dialog().get_by_label("Name").fill("web-shop")
    await screen.press("Create", within=screen.dialog())
    key = await screen.dialog().locator(".secret").inner_text()
    assert re.fullmatch(r"relay_\w{8}_[\w-]{43}", key)
    await screen.press("Copy", within=screen.dialog())
    assert await screen.page.evaluate("navigator.clipboard.readText()") == key
    await screen.press("Done", within=screen.dialog())
    status, me, _ = await screen.site.relay.call("GET", "/v1/me", headers={"Authorization": f"Bearer {key}"})
    assert (status, me["name"], me["role"]) == (200, "web-shop", "client")
    await screen.page.get_by_role("link", name="web-shop").click()
    await screen.heading("web-shop").wait_for()
    await screen.press("Disable")
    await screen.toast("web-shop is disabled.")
    await screen.press("Enable")
    await screen.toast("web-shop is enabled.")
    await screen.press("Delete")
    await screen.press("Delete", within=screen.dialog())
    await screen.toast("web-shop was deleted.")
    await screen.heading("Clients").wait_for()
    await screen.row("shop").first.wait_for()
    await gone(screen.row("web-shop"))
    screen.log[:] = screen.unexpected_log("status of 400")


async def test_third_key_is_refused_and_a_removed_key_disappears(screen: Screen) -> None:
    await screen.go("/console#/clients/newsletter", "newsletter")
    await screen.press("Add a key")
    await screen.dialog().get_by_label("Expires").select_option("In 30 days")
    await screen.press("Add", within=screen.dialog())
    key = await screen.dialog().locator(".secret").inner_text()
    await screen.press("Done", within=screen.dialog())
    await screen.press("Add a key")
    await screen.press("Add", within=screen.dialog())
    await screen.dialog().get_by_text("Two keys are already active").wait_for()
    await screen.dialog().get_by_label("Role").select_option("viewer")
    await screen.press("Add", within=screen.dialog())
    viewer = await screen.dialog().locator(".secret").inner_text()
    await screen.press("Done", within=screen.dialog())
    await screen.row(f"relay_{viewer.split('_')[1]}_…", "viewer").wait_for()
    for each in (key, viewer):
        await screen.press(f"Remove key {each.split('_')[1]}")
        await screen.press("Remove", within=screen.dialog())
        await screen.toast(f"Key {each.split('_')[1]} was removed.")
        await gone(screen.page.get_by_text(f"relay_{each.split('_')[1]}_…"))
    screen.log[:] = screen.unexpected_log("status of 409")


async def test_operator_deletes_the_webhook_of_a_client(screen: Screen) -> None:
    _, created, _ = await screen.site.relay.call("POST", "/v1/clients", json={"name": "robbed"})
    hook, headers = {"url": "https://thief.example/hook"}, {"Authorization": f"Bearer {created['key']}"}
    await screen.site.relay.call("POST", "/v1/webhooks", json=hook, headers=headers)
    await screen.go("/console#/clients/robbed", "robbed")
    await screen.press("Delete webhook https://thief.example/hook")
    await screen.press("Delete", within=screen.dialog())
    await screen.toast("The webhook was deleted.")
    await screen.page.get_by_text("No webhooks").wait_for()


async def test_held_client_needs_attention_and_is_released_on_its_page(screen: Screen) -> None:
    await screen.site.relay.call("POST", "/v1/clients", json={"name": "mailing"})
    relay = start(screen.site.relay.environment)
    try:
        client = await relay.clients.get("mailing")
        at = datetime.now(UTC)
        figures = Figures(cause="bounce_rate", sent=4000, bounced=512, complained=0, since=at - timedelta(days=1))
        await relay.brakes.hold(client.id, client.name, BrakePolicy.BULK, figures, released_at=None)
    finally:
        await relay.close()
    await screen.go("/console", "Overview")
    attention = screen.page.get_by_role("list", name="Needs attention")
    item = attention.get_by_role("listitem").filter(
        has_text="Bulk mail of mailing is held: 512 of 4,000 copies bounced."
    )
    await item.get_by_role("link", name="Client").click()
    await screen.heading("mailing").wait_for()
    await screen.page.get_by_text("512 of 4,000 copies bounced").wait_for()
    await screen.page.get_by_text("bounce rate").wait_for()
    await screen.press("Release")
    await screen.toast("mailing is released.")
    await gone(screen.page.get_by_role("button", name="Release"))
    await screen.go("/console#/clients", "Clients")
    await screen.row("mailing", "active").wait_for()


async def test_policy_errors_are_shown_at_their_fields_and_a_valid_policy_is_saved(screen: Screen) -> None:
    await screen.go("/console#/clients/staging", "staging")
    await screen.page.get_by_label("Senders").fill("*@shop.example\nnobody")
    await screen.page.get_by_label("Allowed IP ranges").fill("everywhere")
    await screen.press("Save policy")
    senders = screen.page.get_by_label("Senders")
    await screen.page.get_by_text("A pattern is").wait_for()
    assert await senders.get_attribute("aria-invalid") == "true"
    await screen.page.get_by_text("Not a CIDR block").wait_for()
    await screen.page.get_by_label("Senders").fill("*@shop.example")
    await screen.page.get_by_label("Allowed IP ranges").fill("")
    await screen.page.get_by_label("Messages per minute").fill("30")
    await screen.screenshot("console-client")
    await screen.press("Save policy")
    await screen.toast("Policy saved")
    _, client, _ = await screen.site.relay.call("GET", "/v1/clients/staging")
    assert (client["policy"]["senders"], client["policy"]["rate_per_minute"]) == (["*@shop.example"], 30)
    screen.log[:] = screen.unexpected_log("status of 400")


async def test_doctor_lists_problems_with_their_fixes(screen: Screen) -> None:
    await screen.go("/console#/doctor", "Doctor")
    await screen.page.get_by_text("A problem prevents sending or could lose mail.").wait_for()
    finding = screen.page.locator(".finding").filter(has_text="fault").first
    await finding.get_by_text("route sendgrid").wait_for()
    await finding.get_by_text("Fix:").wait_for()
    await screen.screenshot("console-doctor")
    await screen.press("Run again")
    await screen.page.locator(".finding").first.wait_for()
