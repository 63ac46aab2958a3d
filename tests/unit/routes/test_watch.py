"""How outcomes change routes: holds, releases, the circuit breaker, and failover."""

from datetime import timedelta
from typing import Any

import pytest

from relay.core.entries import BatchEntry
from relay.core.errors import Unavailable
from relay.core.model import Part, State, Submission
from relay.core.outcomes import Deferred, Outcome, PerRecipient, Rejected, RouteFault, Sent, Unknown
from relay.core.parts import part_states
from relay.core.parts.attempt_results import RouteHold
from relay.core.settings import Lane, Route, Rule, Settings
from relay.routes.circuit_breaker import FAILURES, CircuitBreaker
from relay.routes.hold_rows import RouteState
from relay.routes.watch import RouteWatch
from tests.doubles import (
    START,
    Place,
    batch_of,
    changed,
    entry_of,
    message_of,
    place_of,
    settings_of,
    submission_of,
)

TWO = settings_of(
    Route(name="main", provider="smtp"),
    Route(name="spare", provider="smtp"),
    rules=(Rule(routes=("main", "spare")),),
)
SENDING = part_states.begin(Part(route="", state=State.QUEUED), "main", START)
FAULT = RouteFault(code="bad_credentials", reply="401")
BUSY = Deferred(code="rate_limited", retry_after_seconds=3_600)


class Watch:
    """A route watch over a `Place`, with defaults for most arguments."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._watch = RouteWatch(place.settings, place.holds, CircuitBreaker())

    async def note(
        self,
        answer: Outcome | PerRecipient,
        part: Part = SENDING,
        submission: Submission | None = None,
        *,
        entry: BatchEntry | None = None,
    ) -> RouteHold | None:
        submission = submission or submission_of()
        entry, now = entry or batch_of(entry_of(submission)), self.place.time()
        return await self._watch.note(entry, part, submission, submission.message, index=0, answer=answer, now=now)

    async def held(
        self, answer: Outcome | PerRecipient, part: Part = SENDING, submission: Submission | None = None
    ) -> RouteHold:
        hold = await self.note(answer, part, submission)
        assert hold is not None
        return hold

    async def spare_route(
        self, part: Part = SENDING, submission: Submission | None = None, answer: Outcome = BUSY
    ) -> str | None:
        submission = submission or submission_of()
        entry, now = batch_of(entry_of(submission)), self.place.time()
        return await self._watch.spare_route(
            entry, part, submission, submission.message, answer=answer, lane=Lane(), now=now
        )

    async def states(self) -> dict[str, RouteState]:
        return {scope: hold.state for scope, hold in (await self.place.holds.all(fresh=True)).items()}


async def watch_of(settings: Settings | None = None) -> Watch:
    return Watch(await place_of(settings))


async def canary(watch: Watch, **fields: Any) -> None:
    hold = await watch.place.holds.hold("main", "bad_credentials", **fields)
    assert await watch.place.holds.begin_trial((await watch.place.holds.all(fresh=True))[hold.scope])


async def test_route_fault_holds_the_route_until_its_probe() -> None:
    watch = await watch_of()
    held = await watch.held(FAULT)
    hold = (await watch.place.holds.all(fresh=True))["main"]
    assert (held.scope, held.until, held.other_route) == ("main", hold.next_probe_at, None)
    assert (hold.code, hold.reply) == ("bad_credentials", "401")


async def test_sender_fault_holds_only_that_sender() -> None:
    watch = await watch_of()
    held = await watch.held(RouteFault(code="sender_not_verified"))
    assert held.scope == "main|shop@example.org"
    assert await watch.states() == {"main|shop@example.org": RouteState.HELD}


async def test_route_fault_of_one_recipient_holds_the_route() -> None:
    watch = await watch_of()
    held = await watch.held(PerRecipient(outcomes=(((0,), Sent()), ((1,), FAULT))))
    assert held.scope == "main"


@pytest.mark.parametrize(
    ("part", "other"),
    [
        (SENDING, "spare"),
        (changed(SENDING, route="spare"), "main"),
        (changed(SENDING, is_pinned=True), None),
        (changed(SENDING, recipients=(0,)), "spare"),
        (changed(SENDING, recipients=(7,)), None),
    ],
)
async def test_part_that_is_not_pinned_fails_over(part: Part, other: str | None) -> None:
    watch = await watch_of(TWO)
    assert (await watch.held(FAULT, part)).other_route == other


async def test_pinned_submission_does_not_fail_over() -> None:
    watch = await watch_of(TWO)
    assert (await watch.held(FAULT, SENDING, submission_of(route="main"))).other_route is None


async def test_purged_content_does_not_fail_over() -> None:
    watch = await watch_of(TWO)
    gone = changed(submission_of(), message=None)
    assert (await watch.held(FAULT, SENDING, gone)).other_route is None


@pytest.mark.parametrize("answer", [Sent(), Rejected(code="invalid_recipient")])
async def test_canary_that_reached_the_provider_releases_the_route(answer: Outcome) -> None:
    watch = await watch_of()
    await canary(watch)
    await watch.note(answer)
    assert await watch.states() == {"main": RouteState.ACTIVE}


@pytest.mark.parametrize("answer", [Deferred(code="rate_limited"), Unknown(code="response_lost")])
async def test_inconclusive_canary_keeps_the_trial(answer: Outcome) -> None:
    watch = await watch_of()
    await canary(watch)
    await watch.note(answer)
    assert await watch.states() == {"main": RouteState.TRIAL}


async def test_sender_canary_releases_that_sender() -> None:
    watch = await watch_of()
    await canary(watch, sender="shop@example.org")
    await watch.note(Sent(), SENDING, submission_of(message_of(sender=message_of("SHOP@example.org").to[0])))
    assert await watch.states() == {"main|shop@example.org": RouteState.ACTIVE}


async def test_success_does_not_release_a_held_route() -> None:
    watch = await watch_of()
    await watch.note(FAULT)
    await watch.note(Sent())
    assert await watch.states() == {"main": RouteState.HELD}


@pytest.mark.parametrize("answer", [Deferred(code="unreachable"), Unknown(code="response_lost")])
async def test_consecutive_failures_trip_the_breaker(answer: Outcome) -> None:
    watch = await watch_of()
    for number in range(FAILURES):
        assert await watch.states() == {}, number
        assert await watch.note(answer) is None
        watch.place.time.move(1)
    assert (await watch.place.holds.all(fresh=True))["main"].code == "repeated_failure"


@pytest.mark.parametrize("answer", [Deferred(code="unreachable"), Unknown(code="response_lost")])
async def test_retries_of_one_message_hold_no_route(answer: Outcome) -> None:
    watch, entry = await watch_of(), batch_of(entry_of(submission_of()))
    per_recipient = PerRecipient(outcomes=tuple(((number,), answer) for number in range(FAILURES)))
    for _ in range(2 * FAILURES):
        await watch.note(answer, entry=entry)
        await watch.note(per_recipient, entry=entry)
        watch.place.time.move(60)
    assert await watch.states() == {}


async def test_route_that_asks_for_a_long_wait_has_a_spare(caplog: pytest.LogCaptureFixture) -> None:
    watch = await watch_of(TWO)
    assert await watch.spare_route() == "spare"
    assert caplog.messages == ['failed_over {"route":"main","to":"spare","code":"rate_limited"}']
    assert await watch.states() == {}


@pytest.mark.parametrize(
    ("part", "submission"),
    [
        (changed(SENDING, is_pinned=True), submission_of()),
        (SENDING, submission_of(route="main")),
        (SENDING, changed(submission_of(), message=None)),
        (changed(SENDING, busy={"spare": START + timedelta(seconds=1)}), submission_of()),
    ],
)
async def test_part_without_another_free_route_has_no_spare(part: Part, submission: Submission) -> None:
    assert await (await watch_of(TWO)).spare_route(part, submission) is None


@pytest.mark.parametrize(("sender", "other"), [("", None), ("shop@example.org", None), ("x@example.org", "spare")])
async def test_held_route_is_no_spare(sender: str, other: str | None) -> None:
    watch = await watch_of(TWO)
    await watch.place.holds.hold("spare", "bad_credentials", sender=sender)
    assert await watch.spare_route() == other


async def test_unavailable_storage_gives_no_spare_route() -> None:
    watch = await watch_of(TWO)
    watch.place.tables.fail("query", Unavailable("away"))
    assert await watch.spare_route() is None


async def test_unavailable_storage_holds_nothing() -> None:
    watch = await watch_of(TWO)
    watch.place.tables.fail("get", Unavailable("away"))
    assert await watch.note(FAULT) is None
    assert await watch.states() == {}
