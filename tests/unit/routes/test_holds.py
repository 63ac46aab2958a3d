"""Every transition of a hold's state diagram, over table rows that several instances share."""

import json
import logging
from datetime import timedelta

import pytest

from relay.core.errors import Changed, Unavailable
from relay.platform.storage.memory.memory_storage import memory_storage
from relay.platform.storage.rows import MAX_RACES
from relay.routes.hold_changes import (
    CANARY_SECONDS,
    MAX_SUSPECTS,
    MAX_WAIT_SECONDS,
    PROBE_CLAIM_SECONDS,
    PROBE_DELAYS,
    probe_delay,
)
from relay.routes.hold_rows import TABLE, Hold, RouteState, scope_of
from relay.routes.holds import CACHE_SECONDS, Holds, scope_for
from tests.doubles import START, Clock, Watched, changed


@pytest.fixture
async def tables(clock: Clock) -> Watched:
    memory = memory_storage(clock)
    await memory.tables.create(TABLE)
    return Watched(memory.tables)


@pytest.fixture
def holds(tables: Watched, clock: Clock) -> Holds:
    return Holds(tables, clock, ("main",))


async def state_of(holds: Holds, scope: str = "main") -> RouteState:
    known = (await holds.all(fresh=True)).get(scope)
    return RouteState.ACTIVE if known is None else known.state


async def row(holds: Holds, scope: str = "main") -> Hold:
    return (await holds.all(fresh=True))[scope]


async def canary(holds: Holds) -> Hold:
    """Bring a route into `trial`."""
    await holds.hold("main", "bad_credentials")
    assert await holds.begin_trial(await row(holds))
    return await row(holds)


# ── open ──


async def test_route_without_a_row_is_active(holds: Holds) -> None:
    assert await holds.all() == {}
    assert await holds.release("main", "operator") is None
    assert await holds.claim_canary("main", "a")


async def test_route_fault_holds_the_route(holds: Holds, clock: Clock) -> None:
    held = await holds.hold("main", "bad_credentials", "401 no")
    assert (held.state, held.code, held.reply, held.since) == (RouteState.HELD, "bad_credentials", "401 no", START)
    assert held.next_probe_at == START + timedelta(seconds=PROBE_DELAYS[0])
    assert changed(await row(holds), etag="") == held
    assert not await holds.claim_canary("main", "a")


async def test_sender_fault_holds_only_that_sender(holds: Holds) -> None:
    route, sender = scope_for("sender_not_verified", "main", "Shop@Example.org")
    held = await holds.hold(route, "sender_not_verified", sender=sender)
    assert held.scope == "main|shop@example.org"
    assert await state_of(holds, held.scope) is RouteState.HELD
    assert await state_of(holds) is RouteState.ACTIVE
    assert scope_for("bad_credentials", "main", "shop@example.org") == ("main", "")


@pytest.mark.parametrize("sender", ["a/b@example.org", "a#b?c@example.org", "a|b\\c@example.org", "bücher@example.org"])
async def test_any_sender_address_can_be_held(holds: Holds, sender: str) -> None:
    held = await holds.hold("main", "mailbox_unavailable", sender=sender)
    assert (await row(holds, scope_of("main", sender))).sender == sender
    assert await holds.release(held.scope, "operator") is not None


# ── held ──


async def test_held_route_is_unchanged_by_faults_before_its_probe(holds: Holds, clock: Clock) -> None:
    first = await holds.hold("main", "bad_credentials")
    clock.move(59)
    again = await holds.hold("main", "credits_exhausted")
    assert (again.code, again.since, again.next_probe_at) == ("bad_credentials", START, first.next_probe_at)


async def test_fault_after_the_probe_was_due_prolongs_the_hold(holds: Holds, clock: Clock) -> None:
    await holds.hold("main", "bad_credentials")
    clock.move(60)
    again = await holds.hold("main", "credits_exhausted")
    assert (again.code, again.since, again.probes) == ("credits_exhausted", START, 1)
    assert again.next_probe_at == clock.now + timedelta(seconds=PROBE_DELAYS[1])


@pytest.mark.parametrize(
    ("code", "probed", "shown"),
    [
        ("bad_credentials", "unreachable", "bad_credentials"),
        ("bad_credentials", "missing_permission", "missing_permission"),
        ("repeated_failure", "unreachable", "unreachable"),
        ("repeated_failure", "bad_credentials", "bad_credentials"),
        ("repeated_failure", "", "repeated_failure"),
    ],
)
async def test_provider_that_is_away_does_not_hide_a_wrong_configuration(
    holds: Holds, code: str, probed: str, shown: str
) -> None:
    await holds.hold("main", code)
    await holds.postpone_probe(await row(holds), probed, "")
    assert (await row(holds)).code == shown


async def test_failed_probes_back_off(holds: Holds, clock: Clock) -> None:
    held = await holds.hold("main", "bad_credentials")
    waits = []
    for _ in range(6):
        assert held.next_probe_at is not None
        waits.append((held.next_probe_at - clock.now).total_seconds())
        clock.now = held.next_probe_at
        assert await holds.postpone_probe(await row(holds), "account_restricted", "403 vetting")
        held = await row(holds)
    assert waits == [60, 120, 300, 600, 900, 900]
    assert (held.code, held.reply, held.since, held.state) == (
        "account_restricted",
        "403 vetting",
        START,
        RouteState.HELD,
    )
    assert probe_delay(10_000, "bad_credentials") == timedelta(seconds=900)
    assert probe_delay(10_000, "repeated_failure") == timedelta(seconds=900)


async def test_first_probes_come_early_while_the_provider_is_away(holds: Holds, clock: Clock) -> None:
    held = await holds.hold("main", "repeated_failure")
    waits, early = [], []
    for _ in range(9):
        assert held.next_probe_at is not None
        waits.append((held.next_probe_at - clock.now).total_seconds())
        early.append(held.has_early_probe)
        clock.now = held.next_probe_at
        assert await holds.postpone_probe(await row(holds), "unreachable", "")
        held = await row(holds)
    assert waits == [5, 15, 30, 60, 120, 300, 600, 900, 900]
    assert early == [True] * 3 + [False] * 6


async def test_one_process_claims_a_probe(holds: Holds, tables: Watched, clock: Clock) -> None:
    await holds.hold("main", "repeated_failure")
    seen, elsewhere = await row(holds), Holds(tables, clock, ("main",))
    clock.move(5)
    claimed = await elsewhere.claim_probe(seen)
    assert claimed is not None
    assert await holds.claim_probe(seen) is None
    assert claimed.next_probe_at == clock.now + timedelta(seconds=PROBE_CLAIM_SECONDS)
    assert await elsewhere.begin_trial(claimed)
    assert await state_of(holds) is RouteState.TRIAL


async def test_process_that_dies_in_its_probe_leaves_it_to_the_next(holds: Holds, clock: Clock) -> None:
    await holds.hold("main", "repeated_failure")
    clock.move(5)
    assert await holds.claim_probe(await row(holds)) is not None
    clock.move(PROBE_CLAIM_SECONDS)
    again = await row(holds)
    assert again.next_probe_at == clock.now
    assert await holds.claim_probe(again) is not None


@pytest.mark.parametrize(("wish", "wait"), [(30, 30), (7200, 7200), (1e300, MAX_WAIT_SECONDS), (0, 60), (None, 60)])
async def test_retry_after_sets_the_first_probe(holds: Holds, wish: float | None, wait: float) -> None:
    held = await holds.hold("main", "credits_exhausted", retry_after_seconds=wish)
    assert held.next_probe_at == START + timedelta(seconds=wait)


async def test_operator_hold_ends_only_by_release(holds: Holds, clock: Clock) -> None:
    await holds.hold("main", "bad_credentials")
    await holds.hold_for_operator("main")
    clock.move(10 * 86_400)
    assert (await holds.hold("main", "bad_credentials")).code == "operator"
    assert (await row(holds)).next_probe_at is None
    released = await holds.release("main", "operator")
    assert released is not None
    assert released.must_wake
    assert await state_of(holds) is RouteState.ACTIVE


# ── canary ──


async def test_only_one_batch_is_the_canary(holds: Holds, tables: Watched, clock: Clock) -> None:
    await canary(holds)
    elsewhere = Holds(tables, clock, ("main",))
    assert await holds.claim_canary("main", "a")
    assert await holds.claim_canary("main", "a")
    assert not await elsewhere.claim_canary("main", "b")
    clock.move(CANARY_SECONDS + 0.001)
    assert await elsewhere.claim_canary("main", "b")
    assert not await holds.claim_canary("main", "a")


async def test_inconclusive_canary_lets_another_batch_try(holds: Holds, tables: Watched, clock: Clock) -> None:
    await canary(holds)
    elsewhere = Holds(tables, clock, ("main",))
    assert await holds.claim_canary("main", "a")
    await elsewhere.release_canary("main", "b")
    assert not await elsewhere.claim_canary("main", "b")
    await holds.release_canary("main", "a")
    assert await elsewhere.claim_canary("main", "b")


async def test_concurrent_claims_give_one_canary(holds: Holds, tables: Watched, clock: Clock) -> None:
    await canary(holds)
    elsewhere = Holds(tables, clock, ("main",))
    tables.before("merge", lambda: elsewhere.claim_canary("main", "b"))
    assert not await holds.claim_canary("main", "a")
    assert (await row(holds)).canary_batch == "b"


async def test_successful_canary_releases_the_route(holds: Holds) -> None:
    await canary(holds)
    released = await holds.release("main", "canary", is_by_canary=True)
    assert released is not None
    opened = await row(holds)
    assert (opened.state, opened.must_wake, opened.code, opened.since, opened.probes) == (
        RouteState.ACTIVE,
        True,
        "",
        None,
        0,
    )
    assert await holds.mark_woken(opened)
    assert not (await row(holds)).must_wake


async def test_failed_canary_increases_the_probe_delay(holds: Holds, clock: Clock) -> None:
    await canary(holds)
    clock.move(5)
    held = await holds.hold("main", "account_restricted")
    assert (held.state, held.since, held.probes, held.canary_batch) == (RouteState.HELD, START, 1, "")
    assert held.next_probe_at == clock.now + timedelta(seconds=PROBE_DELAYS[1])


async def test_late_canary_success_does_not_release_a_route_held_again(
    holds: Holds, tables: Watched, clock: Clock
) -> None:
    await canary(holds)
    elsewhere = Holds(tables, clock, ("main",))
    await elsewhere.hold_for_operator("main")
    assert await holds.release("main", "canary", is_by_canary=True) is None
    assert await state_of(holds) is RouteState.HELD


# ── suspects ──


async def test_message_that_met_the_fault_is_not_the_canary(holds: Holds) -> None:
    await holds.hold("main", "missing_permission", suspect="a-00")
    assert await holds.begin_trial(await row(holds))
    assert not await holds.claim_canary("main", "a")
    assert await holds.claim_canary("main", "b")
    await holds.release_canary("main", "b", suspect="b-01")
    assert (await row(holds)).suspects == ("a-00", "b-01")
    assert not await holds.claim_canary("main", "b")
    await holds.forget_suspects("main")
    assert await holds.claim_canary("main", "a")


async def test_suspect_does_not_hold_a_route_that_others_use(holds: Holds) -> None:
    await holds.hold("main", "missing_permission", suspect="a-00")
    assert await holds.begin_trial(await row(holds))
    await holds.release("main", "canary", is_by_canary=True, message="b-00")
    assert (await holds.hold("main", "missing_permission", suspect="a-00")).state is RouteState.ACTIVE
    assert await state_of(holds) is RouteState.ACTIVE
    assert (await holds.hold("main", "missing_permission", suspect="a-01")).state is RouteState.HELD
    assert (await row(holds)).suspects == ("a-00", "a-01")


async def test_suspect_that_is_sent_and_a_release_by_an_operator_end_the_suspicion(holds: Holds) -> None:
    for options in ({"is_by_canary": True, "message": "a-00"}, {}):
        await holds.hold("main", "missing_permission", suspect="a-00")
        assert await holds.begin_trial(await row(holds))
        await holds.release("main", "x", **options)  # type: ignore[arg-type] # two sets of options
        assert (await row(holds)).suspects == ()


async def test_number_of_suspects_is_limited(holds: Holds, clock: Clock) -> None:
    for number in range(MAX_SUSPECTS + 3):
        await holds.hold("main", "missing_permission", suspect=f"b{number}-00")
        clock.move(1_000)
    suspects = (await row(holds)).suspects
    assert (len(suspects), suspects[-1]) == (MAX_SUSPECTS, f"b{MAX_SUSPECTS + 2}-00")


# ── races ──


async def test_concurrent_operator_hold_wins(holds: Holds, tables: Watched, clock: Clock) -> None:
    elsewhere = Holds(tables, clock, ("main",))
    tables.before("insert", lambda: elsewhere.hold_for_operator("main"))
    # Our first insert waits until theirs is done.
    assert (await holds.hold("main", "bad_credentials")).code == "operator"
    assert (await row(holds)).next_probe_at is None


async def test_release_retries_after_a_concurrent_write(holds: Holds, tables: Watched, clock: Clock) -> None:
    await canary(holds)
    elsewhere = Holds(tables, clock, ("main",))
    tables.before("merge", lambda: elsewhere.hold_for_operator("main"))
    assert await holds.release("main", "canary", is_by_canary=True) is None
    assert (await row(holds)).code == "operator"


async def test_stale_row_is_not_written(holds: Holds) -> None:
    await holds.hold("main", "bad_credentials")
    stale = await row(holds)
    await holds.release("main", "operator")
    assert not await holds.begin_trial(stale)
    assert not await holds.postpone_probe(stale, "x", "")
    assert not await holds.mark_woken(stale)
    assert await state_of(holds) is RouteState.ACTIVE


async def test_row_that_always_changes_raises_unavailable(holds: Holds, tables: Watched) -> None:
    await holds.hold("main", "bad_credentials")
    tables.fail("merge", *(Changed("first") for _ in range(MAX_RACES)))
    with pytest.raises(Unavailable):
        await holds.release("main", "operator")


# ── reading ──


async def test_rows_are_cached_for_seconds(holds: Holds, tables: Watched, clock: Clock) -> None:
    for _ in range(5):
        await holds.all()
    assert tables.calls["query"] == 1
    clock.move(CACHE_SECONDS)
    await holds.all()
    assert tables.calls["query"] == 2


async def test_own_change_is_read_at_once(holds: Holds) -> None:
    await holds.all()
    await holds.hold("main", "bad_credentials")
    assert (await holds.all())["main"].state is RouteState.HELD


# ── what alerts read ──


async def test_each_hold_and_release_is_logged_once_with_its_reason(
    holds: Holds, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await holds.hold("main", "sender_not_verified", "403 of a@example.org", sender="a@example.org")
    await holds.hold("main", "sender_not_verified", sender="a@example.org")
    clock.move(90)
    await holds.release(scope_of("main", "a@example.org"), "operator")
    await holds.release(scope_of("main", "a@example.org"), "operator")
    texts = [record.getMessage().partition(" ") for record in caplog.records]
    assert [(event, json.loads(fields)) for event, _, fields in texts] == [
        ("route_held", {"route": "main", "code": "sender_not_verified", "one_sender": True}),
        ("route_released", {"route": "main", "why": "operator", "held_seconds": 90.0}),
    ]
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
