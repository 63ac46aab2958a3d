"""The budget in storage: never exceeded by several instances, and at most a read and a write for concurrent attempts."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from relay.core.errors import Changed, Unavailable
from relay.core.model import Address
from relay.core.outcomes import NotYet
from relay.core.send_request import SendRequest
from relay.core.settings import Route
from relay.platform.storage.rows import MAX_RACES
from relay.routes.recipient_budget import counting
from relay.routes.recipient_budget.counting import CACHE_SECONDS, TABLE, Counted, ExternalRecipients
from relay.routes.recipient_budget.window import GRACE, HOUR
from tests.doubles import START, Clock, Watched, message_of, settings_of, watched_tables

EXTERNAL, INTERNAL = "ada@example.com", "bob@contoso.com"
LATE_IN_AN_HOUR = START.replace(minute=59)


def route(name: str = "main", **limits: Any) -> Route:
    given = {"internal_domains": ["contoso.com"], **(limits or {"per_tenant": 10})}
    return Route(name=name, provider="graph", settings={"managed_identity": True, "external_recipients": given})


@pytest.fixture
async def tables() -> Watched:
    return await watched_tables(TABLE)


def budget(tables: Any, clock: Clock, *routes: Route) -> ExternalRecipients:
    return ExternalRecipients(settings_of(*(routes or (route(),))), tables, clock)


def request(*to: str, sender: str = "shop@contoso.com", numbers: tuple[int, ...] | None = None) -> SendRequest:
    message = message_of(*to, sender=Address(email=sender))
    return SendRequest(
        id="m",
        message=message,
        recipients=tuple(range(len(to))) if numbers is None else numbers,
        message_id_header="m@contoso.com",
        attempt=1,
        attempt_id="a",
        date=START,
    )


def external(count: int, **fields: Any) -> SendRequest:
    return request(*(f"user{number}@example.com" for number in range(count)), **fields)


async def taken(on: ExternalRecipients, count: int, route: str = "main", **fields: Any) -> bool:
    return isinstance(await on.take(route, external(count, **fields)), Counted)


async def until(on: ExternalRecipients, count: int = 1, route: str = "main") -> datetime | None:
    message = external(count).message
    found = (await on.shortages(message, [route]))(route, range(count))
    return None if found is None or found.until is None else datetime.fromtimestamp(found.until, START.tzinfo)


async def test_only_external_recipients_of_the_attempt_count(tables: Watched, clock: Clock) -> None:
    on = budget(tables, clock)
    mixed = request(INTERNAL, EXTERNAL, "eve@example.com", numbers=(0, 1))
    assert isinstance(await on.take("main", mixed), Counted)
    assert await taken(on, 7)
    assert not await taken(on, 3)
    tables.calls.clear()
    assert isinstance(await on.take("main", request(INTERNAL)), Counted)
    assert tables.calls == {}


async def test_route_without_a_budget_costs_nothing(tables: Watched, clock: Clock) -> None:
    on = budget(tables, clock, Route(name="main", provider="graph", settings={"managed_identity": True}))
    assert await taken(on, 5_000)
    assert await until(on, 5_000) is None
    assert tables.calls == {}


async def test_several_instances_never_exceed_the_limit(tables: Watched, clock: Clock) -> None:
    instances = [budget(tables, clock) for _ in range(5)]
    results = await asyncio.gather(*(taken(on, 1) for on in instances for _ in range(4)))
    # 8 at once, and one of the hour's share of the last fifth.
    assert sum(results) == 8


async def test_concurrent_attempts_of_a_process_count_together(tables: Watched, clock: Clock) -> None:
    on = budget(tables, clock, route(per_tenant=1_000))
    assert all(await asyncio.gather(*(taken(on, count) for count in (1, 2, 3, 40))))
    assert tables.calls == {"get": 1, "insert": 1}
    await until(on)
    assert tables.calls == {"get": 1, "insert": 1}


async def test_planning_reads_a_row_once_in_seconds(tables: Watched, clock: Clock) -> None:
    on = budget(tables, clock)
    await asyncio.gather(until(on), until(on))
    clock.move(CACHE_SECONDS - 1)
    await until(on)
    assert tables.calls == {"get": 1}
    clock.move(1)
    await until(on)
    assert tables.calls == {"get": 2}


async def test_shortage_ends_when_the_hour_leaves_the_window(tables: Watched, clock: Clock) -> None:
    on = budget(tables, clock)
    assert await taken(on, 10)
    hour = START.replace(minute=0, microsecond=0)
    assert await until(on) == hour + timedelta(seconds=HOUR + 86_400 + GRACE)
    message = request(INTERNAL, EXTERNAL).message
    found = (await on.shortages(message, ["main"]))("main", (0, 1))
    assert found is not None
    assert (found.recipients, found.reroutes) == ((1,), True)


async def test_more_recipients_than_the_limit_never_have_room(tables: Watched, clock: Clock) -> None:
    on = budget(tables, clock)
    found = [(await on.shortages(external(count).message, ["main"]))("main", range(count)) for count in (10, 11)]
    assert found[0] is None
    assert found[1] is not None
    assert (found[1].until, found[1].recipients) == (None, tuple(range(11)))


async def test_routes_of_a_tenant_count_together(tables: Watched, clock: Clock) -> None:
    on = budget(tables, clock, route("main"), route("other"), route("third", per_tenant=10, tenant="fabrikam"))
    assert await taken(on, 8)
    assert not await taken(on, 8, "other")
    assert await taken(on, 8, "third")


async def test_every_limit_must_have_room_and_a_refusal_uses_none(tables: Watched, clock: Clock) -> None:
    on = budget(tables, clock, route(per_tenant=10, per_mailbox=4))
    assert await taken(on, 3, sender="a@contoso.com")
    assert not await taken(on, 3, sender="A@contoso.com")
    assert await taken(on, 4, sender="b@contoso.com")
    assert not await taken(on, 4, sender="c@contoso.com")
    # What c counted for its mailbox serves its next attempt.
    tables.calls.clear()
    clock.move(1)
    assert await taken(on, 3, sender="c@contoso.com")
    assert tables.calls == {"get": 1, "merge": 1}


async def test_onmicrosoft_senders_share_a_limit_of_100(tables: Watched, clock: Clock) -> None:
    on = budget(tables, clock, route(per_tenant=1_000))
    assert await taken(on, 60, sender="a@contoso.onmicrosoft.com")
    assert not await taken(on, 50, sender="b@contoso.onmicrosoft.com")
    assert await taken(on, 50, sender="b@contoso.com")


async def test_what_was_not_sent_serves_the_next_attempts_of_the_hour(tables: Watched, clock: Clock) -> None:
    on = budget(tables, clock)
    counted = await on.take("main", external(10))
    assert isinstance(counted, Counted)
    counted.give_back()
    tables.calls.clear()
    assert await until(on) is None
    assert await taken(on, 6)
    assert await taken(on, 4)
    assert tables.calls == {}
    assert not await taken(on, 1)


async def test_what_was_not_sent_is_not_used_in_a_later_hour(tables: Watched, clock: Clock) -> None:
    """It would leave the window before the mail that used it."""
    clock.now = LATE_IN_AN_HOUR
    on = budget(tables, clock)
    first, second = await on.take("main", external(4)), await on.take("main", external(4))
    assert isinstance(first, Counted)
    assert isinstance(second, Counted)
    first.give_back()
    clock.move(120)
    second.give_back()
    tables.calls.clear()
    assert not await taken(on, 3)
    assert tables.calls == {"get": 1}


async def test_process_that_dies_has_counted_too_much(tables: Watched, clock: Clock) -> None:
    assert await taken(budget(tables, clock), 8)
    assert not await taken(budget(tables, clock), 3)


async def test_lost_response_counts_too_much_and_sends_nothing(tables: Watched, clock: Clock) -> None:
    on = budget(tables, clock)
    tables.lose("insert")
    found = await on.take("main", external(6))
    assert isinstance(found, NotYet)
    assert found.seconds > 1
    assert not await taken(on, 6)


async def test_storage_that_is_away_postpones(tables: Watched, clock: Clock) -> None:
    on = budget(tables, clock)
    await taken(on, 1)
    tables.fail("merge", *(Changed("first") for _ in range(MAX_RACES)))
    assert isinstance(await on.take("main", external(1)), NotYet)
    tables.is_away = True
    assert isinstance(await on.take("main", external(1)), NotYet)
    clock.move(CACHE_SECONDS)
    with pytest.raises(Unavailable):
        await until(on)


async def test_remembered_counters_are_bounded(tables: Watched, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MAX_COUNTERS", 3)
    on = budget(tables, clock, route(per_mailbox=2))
    for number in range(5):
        assert await taken(on, 2, sender=f"{number}@contoso.com")
    assert len(on._counters) == 3
    assert not await taken(on, 2, sender="0@contoso.com")
