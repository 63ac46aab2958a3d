"""Pausing delivery: what it holds, when it is quiet, and what resuming gives back."""

from collections.abc import Awaitable
from datetime import datetime, timedelta

import pytest

from relay.core.model import State
from relay.core.outcomes import RouteFault
from relay.core.settings import Route
from relay.operations.pause import SETTLE_SECONDS, Pause, PauseState, paused, resumed
from relay.routes.hold_rows import OPERATOR, Hold, RouteState
from relay.routes.holds import Holds
from tests.doubles import START, Place, place_of, settings_of, submission_of

LATER = START + timedelta(minutes=5)


class Killed(BaseException):
    """The end of a process in the middle of an attempt."""


@pytest.fixture
async def place() -> Place:
    return await place_of()


async def two_routes() -> Place:
    return await place_of(settings_of(Route(name="main", provider="smtp"), Route(name="spare", provider="smtp")))


async def state_of(place: Place, batch: str) -> State:
    return (await place.journal.read(batch)).statuses[0].state


async def hold_of(place: Place, scope: str = "main") -> Hold:
    return (await place.holds.all(fresh=True))[scope]


# ── decisions ──


def wanted(reason: str = "", *, until: datetime | None = None) -> Hold:
    return Hold(route="", owner="boss", reason=reason, until=until)


def test_pause_of_an_active_route_holds_it_without_probes() -> None:
    hold, is_changed = paused(Hold(route="main"), START, wanted("deployment"))
    assert is_changed
    assert hold == Hold(
        route="main",
        state=RouteState.HELD,
        code=OPERATOR,
        owner="boss",
        reason="deployment",
        since=START,
        paused_at=START,
    )


@pytest.mark.parametrize("state", [RouteState.HELD, RouteState.TRIAL])
def test_pause_of_a_faulty_route_keeps_the_fault_and_stops_its_probes(state: RouteState) -> None:
    next_probe_at = LATER if state is RouteState.HELD else None
    fault = Hold(
        route="main", state=state, code="bad_credentials", reply="401", since=START, next_probe_at=next_probe_at
    )
    hold, _ = paused(fault, LATER, wanted("deployment"))
    assert hold is not None
    assert (hold.state, hold.code, hold.reply, hold.since) == (RouteState.HELD, "bad_credentials", "401", START)
    assert (hold.next_probe_at, hold.paused_at) == (None, LATER)


def test_pause_leaves_an_operators_hold_alone() -> None:
    by_operator = Hold(route="main", state=RouteState.HELD, code=OPERATOR, since=START)
    assert paused(by_operator, LATER, wanted("")) == (None, False)
    assert resumed(by_operator, LATER) == (None, False)


def test_second_pause_changes_nothing() -> None:
    hold, _ = paused(Hold(route="main"), START, wanted("first"))
    assert hold is not None
    assert paused(hold, LATER, wanted("second")) == (None, False)


def test_resume_releases_what_the_pause_held() -> None:
    hold, _ = paused(Hold(route="main"), START, wanted(""))
    assert hold is not None
    assert resumed(hold, LATER) == (Hold(route="main", must_wake=True), True)


def test_resume_lets_a_fault_of_before_be_probed_at_once() -> None:
    fault = Hold(
        route="main", state=RouteState.HELD, code="bad_credentials", since=START, next_probe_at=LATER, probes=3
    )
    hold, _ = paused(fault, START, wanted(""))
    assert hold is not None
    again, _ = resumed(hold, LATER)
    assert again == fault


def test_probe_by_an_operator_ends_the_pause_of_a_route() -> None:
    trial = Hold(route="main", state=RouteState.TRIAL, code=OPERATOR, paused_at=START)
    assert not trial.is_paused
    assert resumed(trial, LATER) == (None, False)


def test_pause_with_an_end_is_probed_then() -> None:
    hold, _ = paused(Hold(route="main"), START, wanted("upgrade", until=LATER))
    assert hold is not None
    assert (hold.is_paused, hold.next_probe_at, hold.ends_at, hold.until) == (True, LATER, LATER, None)
    assert paused(hold, START, wanted(until=LATER)) == (None, False)
    endless, is_changed = paused(hold, START, wanted())
    assert endless is not None
    assert (is_changed, endless.ends_at, endless.reason) == (True, None, "upgrade")


@pytest.mark.parametrize("pause_until", [None, START + timedelta(minutes=1), LATER + timedelta(minutes=1)])
def test_operators_hold_with_an_end_outlasts_a_pause(pause_until: datetime | None) -> None:
    held = Hold(
        route="main", state=RouteState.HELD, code=OPERATOR, owner="ops", reason="mail server", until=LATER,
        since=START, next_probe_at=LATER,
    )  # fmt: skip
    hold, _ = paused(held, START, wanted("upgrade", until=pause_until))
    assert hold is not None
    assert (hold.owner, hold.reason) == ("ops", "mail server")
    assert hold.ends_at == (None if pause_until is None else max(pause_until, LATER))
    assert resumed(hold, START) == (held, True)
    after = LATER + timedelta(minutes=5)
    late, _ = resumed(hold, after)
    assert late is not None
    assert (late.next_probe_at, late.is_paused) == (after, False)


# ── the whole ──


async def test_paused_delivery_sends_nothing_and_resuming_sends_what_waited(place: Place) -> None:
    await place.pause.pause("deployment")
    batch = await place.send()
    assert await state_of(place, batch) is State.HELD
    place.time.move(3600)
    await place.recovery.run()
    await place.work()
    assert place.script().sent == []
    assert await place.pause.resume() == 1
    await place.recovery.wake()
    await place.work()
    assert await state_of(place, batch) is State.SENT


async def test_pause_waits_until_no_instance_starts_attempts(place: Place) -> None:
    before = place.time()
    state = await place.pause.pause("deployment", wait_seconds=60)
    assert (state.routes, state.since, state.reason) == (("main",), before, "deployment")
    assert (state.sending, state.is_quiet) == (0, True)
    assert (place.time() - before).total_seconds() >= SETTLE_SECONDS


async def test_pause_without_a_wait_is_not_quiet_yet(place: Place) -> None:
    state = await place.pause.pause()
    assert state.is_paused
    assert not state.is_quiet


async def test_pause_waits_for_a_running_attempt(place: Place) -> None:
    found: list[PauseState] = []

    async def pause_in_the_middle() -> None:
        found.append(await place.pause.pause(wait_seconds=30))

    place.script().before_send = pause_in_the_middle
    await place.send()
    assert [(state.sending, state.is_quiet) for state in found] == [(1, False)]
    state = await place.pause.state()
    assert (state.sending, state.is_quiet) == (0, True)


async def test_pause_waits_for_an_attempt_of_a_message_accepted_days_ago(place: Place) -> None:
    found: list[PauseState] = []

    async def pause_in_the_middle() -> None:
        found.append(await place.pause.pause(wait_seconds=30))

    await place.send(submission_of(send_at=START + timedelta(days=30), expires_at=START + timedelta(days=31)))
    place.time.move(30 * 86_400)
    place.script().before_send = pause_in_the_middle
    await place.recovery.run()
    await place.work()
    assert [(state.sending, state.is_quiet) for state in found] == [(1, False)]
    state = await place.pause.state()
    assert (state.sending, state.is_quiet) == (0, True)


async def test_attempt_of_a_dead_process_does_not_count_as_running(place: Place) -> None:
    async def die() -> None:
        raise Killed

    place.script().before_send = die
    with pytest.raises(Killed):
        await place.send()
    assert (await place.pause.pause(wait_seconds=10)).sending == 1
    place.time.move(600)
    state = await place.pause.state()
    assert (state.sending, state.is_quiet) == (0, True)


async def test_fault_of_an_attempt_that_ends_in_the_pause_does_not_start_probes(place: Place) -> None:
    def pause() -> Awaitable[object]:
        return place.pause.pause()

    place.script().before_send = pause
    place.script().answers.append(RouteFault(code="bad_credentials"))
    await place.send()
    hold = await hold_of(place)
    assert (hold.code, hold.next_probe_at) == (OPERATOR, None)


async def test_pause_and_resume_of_several_routes_leave_other_holds() -> None:
    place = await two_routes()
    await place.holds.hold_for_operator("spare")
    place.time.move(60)
    state = await place.pause.pause(wait_seconds=60)
    assert (state.routes, state.is_quiet) == (("main",), True)
    assert await place.pause.resume() == 1
    assert (await hold_of(place)).state is RouteState.ACTIVE
    assert (await hold_of(place, "spare")).state is RouteState.HELD
    assert not (await place.pause.state()).is_paused


async def test_released_route_is_not_quiet() -> None:
    place = await two_routes()
    await place.pause.pause(wait_seconds=60)
    await place.holds.release("spare", "operator")
    state = await place.pause.state()
    assert (state.routes, state.is_quiet) == (("main",), False)
    assert await place.pause.resume() == 1


async def test_resume_without_a_pause_changes_nothing(place: Place) -> None:
    await place.holds.hold("main", "bad_credentials")
    assert await place.pause.resume() == 0
    assert (await hold_of(place)).code == "bad_credentials"


async def test_paused_delivery_resumes_by_itself_at_its_end(place: Place) -> None:
    state = await place.pause.pause("upgrade", owner="boss", until=START + timedelta(minutes=10), wait_seconds=30)
    assert (state.is_quiet, state.owner, state.until) == (True, "boss", START + timedelta(minutes=10))
    batch = await place.send()
    place.time.move(300)
    await place.probes.run_all()
    await place.recovery.run()
    await place.work()
    assert (place.script().probes, await state_of(place, batch)) == (0, State.HELD)
    place.time.move(300)
    for _ in range(3):
        await place.recovery.run()
        await place.work()
    assert (place.script().probes, await state_of(place, batch)) == (1, State.SENT)
    assert not (await place.pause.state()).is_paused
    hold = await hold_of(place)
    assert hold == Hold(route="main", reopened_at=hold.reopened_at, etag=hold.etag)


# ── routes that the settings name later ──


def with_new_route(place: Place) -> tuple[Pause, Holds]:
    """The pause and the holds of a process that was started with the settings of two routes, on the same storage."""
    settings = settings_of(Route(name="main", provider="smtp"), Route(name="new", provider="smtp"))
    holds = Holds(place.memory.tables, place.time, settings.routes)
    pause = Pause(
        settings=settings,
        holds=holds,
        journal=place.journal,
        pending=place.pending,
        clock=place.time,
        sleep=place.time.sleep,
    )
    return pause, holds


async def test_route_that_is_added_in_a_pause_is_paused(place: Place) -> None:
    await place.pause.pause("deployment", until=LATER)
    pause, holds = with_new_route(place)
    assert (await pause.state()).routes == ("main", "new")
    new = (await holds.all(fresh=True))["new"]
    assert (new.state, new.reason, new.ends_at) == (RouteState.HELD, "deployment", LATER)
    assert await pause.resume() == 2
    released = (await holds.all(fresh=True))["new"]
    assert (released.state, released.must_wake) == (RouteState.ACTIVE, True)


async def test_route_that_comes_back_in_a_pause_is_paused(place: Place) -> None:
    _, holds = with_new_route(place)
    await holds.hold("new", "bad_credentials")
    await holds.release("new", "operator")
    await place.pause.pause()
    assert (await holds.all(fresh=True))["new"].is_paused


async def test_added_route_is_paused_until_the_pause_ends(place: Place) -> None:
    await place.pause.pause(until=LATER)
    _, holds = with_new_route(place)
    new = (await holds.all(fresh=True))["new"]
    await holds.hold("new", "bad_credentials")
    assert (await holds.all(fresh=True))["new"] == new
    claimed = await holds.claim_probe(new)
    assert claimed is not None
    assert not claimed.is_paused
    assert await holds.begin_trial(claimed)


async def test_added_route_is_released_by_an_operator(place: Place) -> None:
    await place.pause.pause()
    _, holds = with_new_route(place)
    await holds.all(fresh=True)
    released = await holds.release("new", "operator")
    assert released is not None
    assert released.must_wake
    assert (await holds.all(fresh=True))["new"].state is RouteState.ACTIVE
