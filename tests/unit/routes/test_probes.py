"""Probes that deliveries make: early ones after a transient fault, by one process."""

import pytest

from relay.core.outcomes import RouteFault
from relay.routes.hold_rows import RouteState
from relay.routes.holds import Holds
from tests.doubles import Place


async def state(place: Place, scope: str = "main") -> RouteState:
    return (await place.holds.all(fresh=True))[scope].state


async def test_delivery_after_an_outage_probes_early_and_is_the_canary(place: Place) -> None:
    await place.holds.hold("main", "repeated_failure")
    await place.send()
    assert place.script().probes == 0
    place.time.move(6)
    await place.send()
    assert (place.script().probes, len(place.script().sent)) == (1, 1)
    assert await state(place) is RouteState.ACTIVE


async def test_early_probes_end_and_the_timer_goes_on(place: Place) -> None:
    place.script().health = RouteFault(code="unreachable")
    await place.holds.hold("main", "repeated_failure")
    for _ in range(60):
        place.time.move(5)
        await place.send()
    assert place.script().probes == 3
    assert place.script().sent == []
    await place.recovery.run()
    assert place.script().probes == 4


@pytest.mark.parametrize(("code", "sender"), [("bad_credentials", ""), ("repeated_failure", "shop@example.org")])
async def test_other_holds_get_no_early_probe(place: Place, code: str, sender: str) -> None:
    await place.holds.hold("main", code, sender=sender)
    place.time.move(3600)
    await place.send()
    assert place.script().probes == 0
    assert {hold.state for hold in (await place.holds.all(fresh=True)).values()} == {RouteState.HELD}


async def test_probe_that_hangs_delays_a_delivery_by_seconds(place: Place) -> None:
    place.script().health = TimeoutError()
    await place.holds.hold("main", "repeated_failure")
    place.time.move(6)
    await place.send()
    hold = (await place.holds.all(fresh=True))["main"]
    assert (hold.probes, hold.state, hold.reply) == (1, RouteState.HELD, "TimeoutError")


async def test_process_that_loses_the_claim_does_not_probe(place: Place) -> None:
    await place.holds.hold("main", "repeated_failure")
    place.time.move(6)
    # Another process claims the probe between our read of the row and our write.
    elsewhere = Holds(place.memory.tables, place.time, place.settings.routes)
    due = (await elsewhere.all())["main"]
    place.tables.before("merge", lambda: elsewhere.claim_probe(due))
    await place.probes.run_early()
    assert place.script().probes == 0
    assert await state(place) is RouteState.HELD
