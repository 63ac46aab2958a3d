"""Sign in with a key or with Entra."""

import base64
import json
import re

import pytest

from tests.browser.sample_data import GRACE, TENANT
from tests.browser.screen import REFUSED, Screen, Site

pytestmark = pytest.mark.asyncio(loop_scope="session")
CLIENT_PAGES = ["Messages", "Suppressions", "Topics", "Templates", "Webhooks", "Inbox ↗", "API ↗"]


@pytest.mark.parametrize(("page", "title", "inside"), [("/console", "Console", "Overview"), ("/inbox", "Inbox", None)])
async def test_key_signs_in_and_stays_in_this_tab(
    visitor: Screen, site: Site, page: str, title: str, inside: str | None
) -> None:
    key, field = site.relay.key, visitor.page.get_by_label("Key")
    await visitor.go(page, title)
    assert await field.evaluate("field => field === document.activeElement")
    await visitor.press("Sign in")
    await visitor.page.get_by_text("Enter a key").wait_for()
    await field.fill("relay_00000000_wrong")
    await field.press("Enter")
    await visitor.page.get_by_text("The key is not known, was removed or has expired.").wait_for()
    await field.fill(key)
    await visitor.press("Sign in")
    arrived = visitor.heading(inside) if inside else visitor.page.get_by_text("Select a message")
    await arrived.wait_for()
    await visitor.page.reload()
    await arrived.wait_for()
    assert key not in visitor.page.url
    assert await visitor.context.cookies() == []
    assert await visitor.page.evaluate("localStorage.length") == 0
    other = await visitor.context.new_page()
    await other.goto(f"{site.relay.url}{page}")
    await other.get_by_label("Key").wait_for()
    await other.close()
    await visitor.press("Sign out")
    await field.wait_for()
    assert await visitor.page.evaluate("sessionStorage.getItem('relay-key')") is None
    visitor.log[:] = visitor.unexpected_log(REFUSED)


@pytest.mark.parametrize(("page", "inside"), [("/console", "Overview"), ("/inbox", None)])
async def test_address_with_a_key_signs_in_and_keeps_no_trace_of_it(
    visitor: Screen, site: Site, page: str, inside: str | None
) -> None:
    await visitor.page.goto(f"{site.relay.url}{page}#key={site.relay.key}")
    await (visitor.heading(inside) if inside else visitor.page.get_by_text("Select a message")).wait_for()
    assert visitor.page.url == f"{site.relay.url}{page}"
    assert not [url for url in visitor.requested if site.relay.key in url]


async def test_address_of_the_reference_with_a_key_authorizes_its_calls(visitor: Screen, site: Site) -> None:
    await visitor.page.goto(f"{site.relay.url}/docs#key={site.relay.key}")
    await visitor.page.locator("svg.locked").first.wait_for()
    assert visitor.page.url == f"{site.relay.url}/docs"


async def test_client_key_opens_only_the_pages_of_a_client(visitor: Screen, site: Site) -> None:
    await visitor.sign_in_as(site.clients["newsletter"])
    await visitor.go("/console", "Messages")
    assert await pages_of(visitor) == CLIENT_PAGES


async def test_entra_user_needs_no_key(visitor: Screen) -> None:
    names = "http://schemas.microsoft.com/identity/claims"
    claims = [{"typ": f"{names}/objectidentifier", "val": GRACE}, {"typ": f"{names}/tenantid", "val": TENANT}]
    principal = base64.b64encode(json.dumps({"auth_typ": "aad", "claims": claims}).encode()).decode()
    await visitor.page.set_extra_http_headers({"X-MS-CLIENT-PRINCIPAL": principal})
    await visitor.go("/console#/routes", "Routes")
    await visitor.page.get_by_text("Signed in as grace").wait_for()
    await visitor.press("Probe inbox")
    await visitor.toast("inbox can send.")


async def test_signed_out_user_gets_a_link_to_entra_sign_in(visitor: Screen) -> None:
    await visitor.go("/console#/routes", "Console")
    link = visitor.page.get_by_role("link", name="Sign in with Microsoft")
    assert await link.get_attribute("href") == "/.auth/login/aad?post_login_redirect_uri=%2Fconsole%23%2Froutes"
    visitor.log[:] = visitor.unexpected_log(REFUSED)


async def test_removed_key_ends_the_session(visitor: Screen, site: Site) -> None:
    _, created, _ = await site.relay.call("POST", "/v1/clients", json={"name": "leaving", "role": "operator"})
    await visitor.go("/console", "Console")
    await visitor.page.get_by_label("Key").fill(created["key"])
    await visitor.press("Sign in")
    await visitor.heading("Overview").wait_for()
    await site.relay.call("DELETE", "/v1/clients/leaving")
    await visitor.page.get_by_role("link", name="Doctor").click()
    await visitor.page.get_by_label("Key").wait_for()
    visitor.log[:] = visitor.unexpected_log(REFUSED)


# ── roles ──


async def sign_in_with_role(visitor: Screen, role: str) -> None:
    """Sign in with a new key of this role."""
    _, created, _ = await visitor.site.relay.call("POST", "/v1/clients", json={"name": f"a-{role}", "role": role})
    await visitor.sign_in_as(created["key"])


async def pages_of(screen: Screen) -> list[str]:
    links = screen.page.get_by_role("navigation", name="Pages").get_by_role("link")
    return [re.sub(r"\s*[\d+]*$", "", text) for text in await links.all_inner_texts()]


async def test_viewer_sees_states_and_no_content_or_buttons(visitor: Screen, site: Site) -> None:
    await sign_in_with_role(visitor, "viewer")
    await visitor.go("/console", "Overview")
    assert await pages_of(visitor) == ["Overview", "Messages", "Dead letters", "Routes", "API ↗"]
    name = site.messages["Your voucher"]
    await visitor.go("/console#/messages", "Messages")
    await visitor.page.get_by_role("link", name=name).wait_for()
    assert await visitor.page.get_by_label("Recipient").count() == 0
    await visitor.go(f"/console#/messages/{name}", name)
    await visitor.page.get_by_text("Your role sees states, and no content.").wait_for()
    assert await visitor.page.get_by_text("Your voucher").count() == 0
    assert await visitor.page.get_by_text("rejected@relay.test").count() == 0
    for button in ("Redrive", "Discard"):
        assert await visitor.page.get_by_role("button", name=button).count() == 0
    await visitor.go("/console#/routes", "Routes")
    await visitor.page.get_by_role("heading", name="inbox").wait_for()
    assert await visitor.page.get_by_role("button", name=re.compile("Probe|Hold|Pause")).count() == 0
    await visitor.go("/console#/clients", "Overview")


async def test_support_reads_content_and_redrives_a_message_as_it_was(visitor: Screen, site: Site) -> None:
    name = await site.send(to="rejected@relay.test", subject="Please resend")
    await sign_in_with_role(visitor, "support")
    await visitor.go(f"/console#/messages/{name}", "Please resend")
    assert await pages_of(visitor) == ["Overview", "Messages", "Dead letters", "Routes", "API ↗"]
    assert await visitor.page.get_by_role("button", name="Discard").count() == 0
    await visitor.press("Redrive")
    assert await visitor.dialog().get_by_role("combobox").count() == 0
    await visitor.press("Redrive", within=visitor.dialog())
    await visitor.toast("1 message queued again.")
    await visitor.go("/console#/deadletters", "Dead letters")
    assert await visitor.page.get_by_role("button", name=re.compile("all|Resend")).count() == 0


async def test_auditor_sees_the_audit_log_alone(visitor: Screen) -> None:
    await sign_in_with_role(visitor, "auditor")
    await visitor.go("/console", "Audit")
    assert await pages_of(visitor) == ["Audit", "API ↗"]
    await visitor.page.get_by_text("CreateClient").first.wait_for()
