"""Sign in with a key or with Entra."""

import base64
import json
import re

import pytest
from playwright.async_api import Browser

from tests.browser.sample_data import GRACE, TENANT
from tests.browser.screen import Screen, Site

pytestmark = pytest.mark.asyncio(loop_scope="session")
REFUSED = "status of 401"
"""What the browser logs about a response 401."""


@pytest.mark.parametrize(("page", "title", "inside"), [("/console", "Console", "Overview"), ("/inbox", "Inbox", None)])
async def test_key_signs_in_and_stays_in_this_tab(
    browser: Browser, site: Site, page: str, title: str, inside: str | None
) -> None:
    screen = await Screen.open(browser, site)
    key, field = site.relay.key, screen.page.get_by_label("Key")
    await screen.go(page, title)
    assert await field.evaluate("field => field === document.activeElement")
    await screen.press("Sign in")
    await screen.page.get_by_text("Enter a key").wait_for()
    await field.fill("relay_00000000_wrong")
    await field.press("Enter")
    await screen.page.get_by_text("The key is not known, was removed or has expired.").wait_for()
    await field.fill(key)
    await screen.press("Sign in")
    arrived = screen.heading(inside) if inside else screen.page.get_by_text("Select a message")
    await arrived.wait_for()
    await screen.page.reload()
    await arrived.wait_for()
    assert key not in screen.page.url
    assert await screen.context.cookies() == []
    assert await screen.page.evaluate("localStorage.length") == 0
    other = await screen.context.new_page()
    await other.goto(f"{site.relay.url}{page}")
    await other.get_by_label("Key").wait_for()
    await screen.press("Sign out")
    await field.wait_for()
    assert await screen.page.evaluate("sessionStorage.getItem('relay-key')") is None
    assert screen.unexpected_log(REFUSED) == []
    await screen.close()


@pytest.mark.parametrize(("page", "inside"), [("/console", "Overview"), ("/inbox", None)])
async def test_address_with_a_key_signs_in_and_keeps_no_trace_of_it(
    browser: Browser, site: Site, page: str, inside: str | None
) -> None:
    screen, requested = await Screen.open(browser, site), list[str]()
    screen.page.on("request", lambda request: requested.append(request.url))
    await screen.page.goto(f"{site.relay.url}{page}#key={site.relay.key}")
    await (screen.heading(inside) if inside else screen.page.get_by_text("Select a message")).wait_for()
    assert screen.page.url == f"{site.relay.url}{page}"
    assert not [url for url in requested if site.relay.key in url]
    assert screen.log == []
    await screen.close()


async def test_address_of_the_reference_with_a_key_authorizes_its_calls(browser: Browser, site: Site) -> None:
    screen = await Screen.open(browser, site)
    await screen.page.goto(f"{site.relay.url}/docs#key={site.relay.key}")
    await screen.page.locator("svg.locked").first.wait_for()
    assert screen.page.url == f"{site.relay.url}/docs"
    await screen.close()


async def test_client_key_opens_only_the_pages_of_a_client(browser: Browser, site: Site) -> None:
    screen = await Screen.open(browser, site, key=site.clients["newsletter"])
    await screen.go("/console", "Messages")
    assert await pages_of(screen) == ["Messages", "Suppressions", "Topics", "Templates", "Webhooks", "Inbox ↗", "API ↗"]
    assert screen.log == []
    await screen.close()


async def test_entra_user_needs_no_key(browser: Browser, site: Site) -> None:
    names = "http://schemas.microsoft.com/identity/claims"
    claims = [{"typ": f"{names}/objectidentifier", "val": GRACE}, {"typ": f"{names}/tenantid", "val": TENANT}]
    principal = base64.b64encode(json.dumps({"auth_typ": "aad", "claims": claims}).encode()).decode()
    screen = await Screen.open(browser, site, headers={"X-MS-CLIENT-PRINCIPAL": principal})
    await screen.go("/console#/routes", "Routes")
    await screen.page.get_by_text("Signed in as grace").wait_for()
    await screen.press("Probe inbox")
    await screen.toast("inbox can send.")
    assert screen.log == []
    await screen.close()


async def test_signed_out_user_gets_a_link_to_entra_sign_in(browser: Browser, site: Site) -> None:
    screen = await Screen.open(browser, site)
    await screen.go("/console#/routes", "Console")
    link = screen.page.get_by_role("link", name="Sign in with Microsoft")
    assert await link.get_attribute("href") == "/.auth/login/aad?post_login_redirect_uri=%2Fconsole%23%2Froutes"
    await screen.close()


async def test_removed_key_ends_the_session(browser: Browser, site: Site) -> None:
    _, created, _ = await site.relay.call("POST", "/v1/clients", json={"name": "leaving", "role": "operator"})
    screen = await Screen.open(browser, site)
    await screen.go("/console", "Console")
    await screen.page.get_by_label("Key").fill(created["key"])
    await screen.press("Sign in")
    await screen.heading("Overview").wait_for()
    await site.relay.call("DELETE", "/v1/clients/leaving")
    await screen.page.get_by_role("link", name="Doctor").click()
    await screen.page.get_by_label("Key").wait_for()
    assert screen.unexpected_log(REFUSED) == []
    await screen.close()


# ── roles ──


async def signed_in_as(browser: Browser, site: Site, role: str) -> Screen:
    """Open a window with a new key of this role."""
    _, created, _ = await site.relay.call("POST", "/v1/clients", json={"name": f"a-{role}", "role": role})
    return await Screen.open(browser, site, key=created["key"])


async def pages_of(screen: Screen) -> list[str]:
    links = screen.page.get_by_role("navigation", name="Pages").get_by_role("link")
    return [re.sub(r"\s*[\d+]*$", "", text) for text in await links.all_inner_texts()]


async def test_viewer_sees_states_and_no_content_or_buttons(browser: Browser, site: Site) -> None:
    screen, requested = await signed_in_as(browser, site, "viewer"), list[str]()
    screen.page.on("response", lambda response: requested.append(f"{response.status} {response.url}"))
    await screen.go("/console", "Overview")
    assert await pages_of(screen) == ["Overview", "Messages", "Dead letters", "Routes", "API ↗"]
    name = site.messages["Your voucher"]
    await screen.go("/console#/messages", "Messages")
    await screen.page.get_by_role("link", name=name).wait_for()
    assert await screen.page.get_by_label("Recipient").count() == 0
    await screen.go(f"/console#/messages/{name}", name)
    await screen.page.get_by_text("Your role sees states, and no content.").wait_for()
    assert await screen.page.get_by_text("Your voucher").count() == 0
    assert await screen.page.get_by_text("rejected@relay.test").count() == 0
    for button in ("Redrive", "Discard"):
        assert await screen.page.get_by_role("button", name=button).count() == 0
    await screen.go("/console#/routes", "Routes")
    await screen.page.get_by_role("heading", name="inbox").wait_for()
    assert await screen.page.get_by_role("button", name=re.compile("Probe|Hold|Pause")).count() == 0
    await screen.go("/console#/clients", "Overview")
    assert not [each for each in requested if each.startswith("403")]
    assert screen.log == []
    await screen.close()


async def test_support_reads_content_and_redrives_a_message_as_it_was(browser: Browser, site: Site) -> None:
    name = await site.send(to="rejected@relay.test", subject="Please resend")
    screen = await signed_in_as(browser, site, "support")
    await screen.go(f"/console#/messages/{name}", "Please resend")
    assert await pages_of(screen) == ["Overview", "Messages", "Dead letters", "Routes", "API ↗"]
    assert await screen.page.get_by_role("button", name="Discard").count() == 0
    await screen.press("Redrive")
    assert await screen.dialog().get_by_role("combobox").count() == 0
    await screen.press("Redrive", within=screen.dialog())
    await screen.toast("1 message queued again.")
    await screen.go("/console#/deadletters", "Dead letters")
    assert await screen.page.get_by_role("button", name=re.compile("all|Resend")).count() == 0
    assert screen.log == []
    await screen.close()


async def test_auditor_sees_the_audit_log_alone(browser: Browser, site: Site) -> None:
    screen = await signed_in_as(browser, site, "auditor")
    await screen.go("/console", "Audit")
    assert await pages_of(screen) == ["Audit", "API ↗"]
    await screen.page.get_by_text("CreateClient").first.wait_for()
    assert screen.log == []
    await screen.close()
