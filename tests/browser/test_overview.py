"""The overview: how the relay is, what needs somebody, and a chart that can be read without a mouse."""

import re

import pytest

from tests.browser.screen import Screen

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def tile(screen: Screen, name: str) -> int:
    found = screen.page.locator(".tile").filter(has_text=re.compile(f"^{name}"))
    return int(await found.locator("dd").inner_text())


async def test_what_became_of_messages_and_what_needs_somebody(screen: Screen) -> None:
    await screen.go("/console", "Overview")
    attention = screen.page.get_by_role("list", name="Needs attention")
    await attention.get_by_text("Route sendgrid is held: bad credentials").wait_for()
    await attention.get_by_text(re.compile(r"\d+ messages could not be sent")).wait_for()
    parts = [await tile(screen, name) for name in ("Sent", "Moving", "Deferred", "Held", "Failed")]
    assert all(parts[index] >= 1 for index in (0, 1, 3, 4))
    assert await tile(screen, "Accepted") >= sum(parts)
    await screen.row("transactional", "0").first.wait_for()
    await screen.row("sendgrid", "held", "bad credentials").wait_for()
    bar = screen.page.get_by_role("navigation", name="Pages")
    assert await bar.get_by_role("link", name="Routes").inner_text() == "Routes\n1"
    await attention.get_by_role("link", name="Dead letters").click()
    await screen.heading("Dead letters").wait_for()


async def test_the_chart_is_read_with_keys_and_as_a_table(screen: Screen) -> None:
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
    await screen.page.get_by_text("As a table").click()
    await screen.page.get_by_role("table", name="Messages by time").get_by_role("row").nth(1).wait_for()


async def test_the_span_is_chosen_and_kept_in_the_address(screen: Screen) -> None:
    await screen.go("/console", "Overview")
    await screen.press("Week")
    await screen.page.get_by_role("button", name="Week", pressed=True).wait_for()
    await screen.page.reload()
    await screen.page.get_by_role("button", name="Week", pressed=True).wait_for()
    assert await tile(screen, "Accepted") >= 9


async def test_what_changes_elsewhere_is_seen_by_itself(patient: Screen) -> None:
    await patient.go("/console#/clients", "Clients")
    await patient.row("shop").wait_for()
    status, made, _ = await patient.town.relay.call("POST", "/v1/clients", json={"name": "made-elsewhere"})
    assert status == 201, made
    await patient.page.clock.fast_forward(15_000)
    await patient.row("made-elsewhere").wait_for()


async def test_no_answer_is_told_and_asked_for_again(patient: Screen) -> None:
    await patient.go("/console#/routes", "Routes")
    await patient.page.get_by_role("region", name="Route inbox").wait_for()
    await patient.context.set_offline(True)
    await patient.page.clock.fast_forward(5000)
    await patient.page.get_by_text("No answer, trying again").wait_for()
    assert await patient.page.get_by_role("region", name="Route inbox").is_visible()
    await patient.page.get_by_role("link", name="Clients").click()
    await patient.page.get_by_text("Relay does not answer.").wait_for()
    await patient.context.set_offline(False)
    await patient.press("Try again")
    await patient.row("shop").wait_for()
    patient.log[:] = patient.complaints("ERR_INTERNET_DISCONNECTED")
