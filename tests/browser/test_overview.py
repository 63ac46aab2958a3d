"""The overview: problems, totals, chart, and live updates."""

import re

import pytest
from playwright.async_api import Route

from tests.browser.screen import Screen

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def tile(screen: Screen, name: str) -> int:
    found = screen.page.locator(".tile").filter(has_text=re.compile(f"^{name}"))
    return int(await found.locator("dd").inner_text())


async def test_overview_shows_totals_and_problems(screen: Screen) -> None:
    await screen.go("/console", "Overview")
    attention = screen.page.get_by_role("list", name="Needs attention")
    await attention.get_by_text("Route sendgrid is held: bad credentials").wait_for()
    await attention.get_by_text(re.compile(r"\d+ messages could not be sent")).wait_for()
    parts = [await tile(screen, name) for name in ("Sent", "In progress", "Deferred", "Held", "Failed")]
    assert all(parts[index] >= 1 for index in (0, 1, 3, 4))
    assert await tile(screen, "Accepted") >= sum(parts)
    await screen.row("transactional", "0").first.wait_for()
    await screen.row("sendgrid", "held", "bad credentials").wait_for()
    bar = screen.page.get_by_role("navigation", name="Pages")
    assert await bar.get_by_role("link", name="Routes").inner_text() == "Routes\n1"
    await attention.get_by_role("link", name="Dead letters").click()
    await screen.heading("Dead letters").wait_for()


async def test_unreadable_messages_need_attention_and_are_linked(screen: Screen) -> None:
    async def damaged(route: Route) -> None:
        response = await route.fetch()
        await route.fulfill(response=response, json={**await response.json(), "unreadable": 2})

    await screen.page.route("**/v1/overview*", damaged)
    await screen.go("/console", "Overview")
    attention = screen.page.get_by_role("list", name="Needs attention")
    await attention.get_by_text("2 messages cannot be read").wait_for()
    await attention.get_by_role("link", name="Messages").click()
    await screen.heading("Messages").wait_for()
    assert screen.page.url.endswith("#/messages?age=3600")


async def test_high_rates_are_red_and_need_attention(screen: Screen) -> None:
    rates = {
        "sent": 1_000,
        "hard_bounced": 70,
        "soft_bounced": 10,
        "complained": 2,
        "bounce_rate": 0.08,
        "complaint_rate": 0.002,
    }

    async def bounced(route: Route) -> None:
        response = await route.fetch()
        overview = await response.json()
        await route.fulfill(response=response, json={**overview, "arrivals": {**overview["arrivals"], **rates}})

    await screen.page.route("**/v1/overview*", bounced)
    await screen.go("/console", "Overview")
    attention = screen.page.get_by_role("list", name="Needs attention")
    await attention.get_by_text("8 % of the mail of the last 24 hours bounced.").wait_for()
    high, low = (screen.page.locator(".tile").filter(has_text=name) for name in ("Bounced, 24 h", "Spam reports, 24 h"))
    assert (await high.locator("dd").inner_text(), await low.locator("dd").inner_text()) == ("8 %", "0.2 %")
    # Red as failed messages are; a rate within the limits has no color.
    failed = screen.page.locator(".tile").filter(has_text=re.compile("^Failed"))
    color = "swatch => getComputedStyle(swatch).backgroundColor"
    assert await high.locator(".swatch").evaluate(color) == await failed.locator(".swatch").evaluate(color)
    assert await low.locator(".swatch").count() == 0


async def test_chart_can_be_read_with_arrow_keys_and_as_a_table(screen: Screen) -> None:
    await screen.go("/console", "Overview")
    chart = screen.page.get_by_role("img", name=re.compile("accepted, at most"))
    await chart.focus()
    readout = screen.page.locator(".readout")
    await chart.press("End")
    last = await readout.inner_text()
    assert re.search(r"\d\d:\d\d – \d\d:\d\d: \d+ accepted", last)
    await chart.press("ArrowLeft")
    assert await readout.inner_text() != last
    assert await chart.evaluate("chart => chart === document.activeElement")
    await screen.page.get_by_text("Show as table").click()
    await screen.page.get_by_role("table", name="Messages by time").get_by_role("row").nth(1).wait_for()


async def test_selected_span_survives_a_reload(screen: Screen) -> None:
    await screen.go("/console", "Overview")
    await screen.press("Week")
    await screen.page.get_by_role("button", name="Week", pressed=True).wait_for()
    await screen.page.reload()
    await screen.page.get_by_role("button", name="Week", pressed=True).wait_for()
    assert await tile(screen, "Accepted") >= 9


async def test_change_made_elsewhere_appears_without_reload(clock_screen: Screen) -> None:
    await clock_screen.go("/console#/clients", "Clients")
    await clock_screen.row("shop").wait_for()
    status, created, _ = await clock_screen.site.relay.call("POST", "/v1/clients", json={"name": "made-elsewhere"})
    assert status == 201, created
    await clock_screen.page.clock.fast_forward(15_000)
    await clock_screen.row("made-elsewhere").wait_for()


async def test_lost_connection_is_shown_and_retried(clock_screen: Screen) -> None:
    await clock_screen.go("/console#/routes", "Routes")
    await clock_screen.page.get_by_role("region", name="Route inbox").wait_for()
    await clock_screen.context.set_offline(True)
    await clock_screen.page.clock.fast_forward(5000)
    await clock_screen.page.get_by_text("No connection, retrying").wait_for()
    assert await clock_screen.page.get_by_role("region", name="Route inbox").is_visible()
    await clock_screen.page.get_by_role("link", name="Clients").click()
    await clock_screen.page.get_by_text("Relay does not respond.").wait_for()
    await clock_screen.context.set_offline(False)
    await clock_screen.press("Try again")
    await clock_screen.row("shop").wait_for()
    clock_screen.log[:] = clock_screen.unexpected_log("ERR_INTERNET_DISCONNECTED")
