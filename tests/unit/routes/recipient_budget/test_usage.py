"""What operators see of the budgets of external recipients."""

from typing import Any

import pytest

from relay.core.model import Address
from relay.core.settings import Route
from relay.routes.recipient_budget import usage
from relay.routes.recipient_budget.window import HOUR
from tests.doubles import START, Place, message_of, place_of, settings_of, submission_of


def route(name: str, **limits: Any) -> Route:
    return Route(name=name, provider="graph", settings={"managed_identity": True, "external_recipients": limits})


async def used(place: Place) -> dict[str, list[tuple[str, str, int, int, int | None]]]:
    """Return scope, name, used, left and the hours until there is room, of each limit by route."""
    return {
        name: [
            (
                str(use.scope),
                use.name,
                use.used,
                use.left,
                None if use.opens_at is None else round((use.opens_at - START).total_seconds() / HOUR),
            )
            for use in uses
        ]
        for name, uses in (await place.recipient_usage.read()).items()
    }


async def send(place: Place, sender: str, count: int = 1) -> None:
    to = [f"user{number}@example.com" for number in range(count)]
    await place.send(submission_of(message_of(*to, sender=Address(email=sender))))


async def test_route_without_a_budget_costs_nothing(place: Place) -> None:
    assert await used(place) == {}
    assert place.tables.calls == {}


async def test_each_limit_shows_what_is_used_and_left() -> None:
    place = await place_of(settings_of(route("main", per_tenant=100, per_mailbox=5), route("same", per_tenant=100)))
    assert await used(place) == {"main": [("tenant", "", 0, 100, None)], "same": [("tenant", "", 0, 100, None)]}
    await send(place, "a@contoso.com", 2)
    await send(place, "b@contoso.onmicrosoft.com", 5)
    place.tables.calls.clear()
    shared = [("tenant", "", 7, 93, None), ("sender_domain", "onmicrosoft.com", 5, 95, None)]
    mailboxes = [("mailbox", "b@contoso.onmicrosoft.com", 5, 0, 25), ("mailbox", "a@contoso.com", 2, 3, None)]
    assert await used(place) == {"main": [*shared, *mailboxes], "same": shared}
    assert place.tables.calls == {"query": 1}


async def test_mailboxes_that_used_most_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "MAX_MAILBOXES", 2)
    place = await place_of(settings_of(route("main", per_mailbox=50)))
    for count in (1, 3, 2):
        await send(place, f"m{count}@contoso.com", count)
    assert [name for _, name, *_ in (await used(place))["main"]] == ["m3@contoso.com", "m2@contoso.com"]


async def test_health_log_writes_a_line_for_each_limit(caplog: pytest.LogCaptureFixture) -> None:
    place = await place_of(settings_of(route("main", per_tenant=100, per_mailbox=50)))
    for sender in ("a@contoso.com", "b@contoso.com"):
        await send(place, sender, 3)
    with caplog.at_level("INFO", logger="relay"):
        await place.health_log.write()
    lines = [line for line in caplog.messages if line.startswith("external_recipients ")]
    assert len(lines) == 2
    assert all("contoso" not in line for line in lines)
    assert '"used": 6, "left": 94' in lines[0] or '"used":6,"left":94' in lines[0]
