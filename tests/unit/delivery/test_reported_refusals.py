"""Reports that refuse the account: the route is held, the recipients go back once, and only trusted reports count."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from relay.core import ids
from relay.core.errors import Unavailable
from relay.core.events import BounceClass, EventSource
from relay.core.model import Address, Part, State
from relay.core.outcomes import RouteFault, Sent, Unknown
from relay.core.settings import Route, Rule, Settings
from relay.events.provider_events import QUEUE, ProviderEvent
from relay.operations.message_changes import Redrive
from relay.routes.hold_changes import REPORT_SECONDS
from relay.routes.hold_rows import RouteState
from tests.doubles import Place, message_of, place_of, settings_of, submission_of

LIMIT = "550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit"
DAY = 86_400
LEASE_SECONDS = 600.0
"""The host's lease of an entry, longer than that of an attempt."""
ADA, BOB, EVE = "ada@example.org", "bob@example.org", "eve@example.org"


def routes(*more: Route, **settings: Any) -> Settings:
    main = Route(name="main", provider="graph", settings=settings)
    return settings_of(main, *more, rules=[Rule(routes=("main", *(route.name for route in more)))])


@pytest.fixture
async def place() -> Place:
    return await place_of(routes())


async def sent(place: Place, *to: str, **fields: Any) -> str:
    """Send a message to these addresses; its id."""
    batch = await place.send(submission_of(message_of(*(to or (ADA,))), **fields))
    record = await place.journal.read(batch)
    return record.message_id(0, record.entry())


def report(place: Place, message: str, recipient: str = ADA, **fields: Any) -> ProviderEvent:
    values: dict[str, Any] = {
        "kind": "bounced",
        "at": place.time(),
        "key": f"{message}-{recipient}-{fields.get('attempt', 1)}",
        "provider": "graph",
        "message": message,
        "recipient": recipient,
        "code": "5.7.233",
        "bounce_class": BounceClass.ACCOUNT,
        "reply": LIMIT,
        "source": EventSource.PROVIDER,
        "attempt": 1,
    }
    return ProviderEvent(**{**values, **fields})


async def apply(place: Place, *found: ProviderEvent) -> None:
    place.time.move(30)
    await place.events.enqueue(found)
    for entry in await place.memory.queues.receive(QUEUE, limit=32):
        await place.events.apply(entry.body, is_redelivery=entry.dequeue_count > 1)
        await place.memory.queues.delete(QUEUE, entry)


async def parts(place: Place, message: str) -> Sequence[Part]:
    name = ids.parse(message)
    return (await place.journal.read(name.batch)).statuses[name.index].parts


async def states(place: Place, message: str) -> list[State]:
    return [part.state for part in await parts(place, message)]


async def go_on(place: Place, seconds: float = 10.0) -> None:
    """Let time pass, run recovery, and deliver what is due."""
    place.time.move(seconds)
    await place.recovery.run()
    await place.work()


# ── hold and put back ──


async def test_refusal_holds_the_route_for_a_day_and_puts_the_recipient_back(place: Place) -> None:
    name = await sent(place)
    await apply(place, report(place, name))
    hold = (await place.holds.all(fresh=True))["main"]
    assert (hold.state, hold.code, hold.reply) == (RouteState.HELD, "credits_exhausted", LIMIT)
    assert hold.next_probe_at == place.time() + timedelta(seconds=DAY)
    await go_on(place)
    assert await states(place, name) == [State.HELD]
    assert len(place.script().sent) == 1


async def test_mail_goes_on_when_the_window_has_passed(place: Place) -> None:
    first, second = await sent(place), await sent(place, BOB)
    await apply(place, report(place, first), report(place, second, BOB))
    await go_on(place)
    place.time.move(DAY)
    await go_on(place)
    assert sorted([*(await states(place, first)), *(await states(place, second))]) == [State.HELD, State.SENT]
    await go_on(place, REPORT_SECONDS + 1)
    await go_on(place)
    assert await states(place, first) == await states(place, second) == [State.SENT]
    assert len(place.script().sent) == 4


async def test_refusal_of_an_attempt_that_was_only_verified_puts_its_recipient_back_once() -> None:
    """The response was lost, the provider said that it has the mail, and then it refused the account."""
    place = await place_of(routes(Route(name="backup", provider="smtp"), mailbox="relay@example.org"))
    script = place.script()
    script.answers.append(Unknown(code="response_lost"))
    script.verdicts.append(Sent(provider_id="p-1"))
    name = await sent(place, ADA, BOB)
    while await states(place, name) != [State.SENT]:
        await go_on(place, 60)
    assert [(each.number, each.verified) for each in (await parts(place, name))[0].attempts] == [(1, 0), (2, 1)]
    for _ in range(2):
        await apply(place, report(place, name, BOB))
        await go_on(place)
    assert (await place.holds.all(fresh=True))["main"].state is RouteState.HELD
    assert [(part.recipients, part.state) for part in await parts(place, name)] == [
        ((0,), State.SENT),
        ((1,), State.SENT),
    ]
    assert [request.recipients for request in place.script("backup").sent] == [(1,)]
    # It is not asked again about what it refused.
    assert len(script.verified) == 1


async def test_report_about_the_attempt_that_only_verified_puts_nobody_back(place: Place) -> None:
    script = place.script()
    script.answers.append(Unknown(code="response_lost"))
    script.verdicts.append(Sent(provider_id="p-1"))
    name = await sent(place)
    while await states(place, name) != [State.SENT]:
        await go_on(place, 60)
    await apply(place, report(place, name, attempt=2))
    assert (await states(place, name), len(script.sent)) == ([State.SENT], 1)


async def test_canary_that_is_refused_by_a_report_too_keeps_the_route_held(place: Place) -> None:
    first, second = await sent(place), await sent(place, BOB)
    await apply(place, report(place, first), report(place, second, BOB))
    await go_on(place)
    place.time.move(DAY)
    await go_on(place)
    canary, to = (first, ADA) if await states(place, first) == [State.SENT] else (second, BOB)
    await apply(place, report(place, canary, to, attempt=2))
    await go_on(place, REPORT_SECONDS + 1)
    assert await states(place, first) == await states(place, second) == [State.HELD]
    assert len(place.script().sent) == 3


async def test_next_route_of_the_rule_takes_the_recipients() -> None:
    place = await place_of(routes(Route(name="backup", provider="smtp")))
    name = await sent(place)
    await apply(place, report(place, name))
    await go_on(place)
    assert await states(place, name) == [State.SENT]
    assert (len(place.script().sent), len(place.script("backup").sent)) == (1, 1)


async def test_other_recipients_get_no_second_copy() -> None:
    place = await place_of(routes(Route(name="backup", provider="smtp")))
    name = await sent(place, ADA, BOB, EVE)
    await apply(place, report(place, name, BOB), report(place, name, EVE))
    await go_on(place)
    again = place.script("backup").sent
    assert [request.recipients for request in again] == [(1, 2)]
    assert [part.recipients for part in await parts(place, name)] == [(0,), (1, 2)]


async def test_recipients_that_are_reported_one_by_one_stay_together(place: Place) -> None:
    """A status has no room for a part per recipient."""
    name = await sent(place, ADA, BOB, EVE)
    for recipient in (EVE, ADA, BOB):
        await apply(place, report(place, name, recipient))
        await go_on(place, 1)
    assert [(part.recipients, part.state) for part in await parts(place, name)] == [((0, 1, 2), State.HELD)]


@pytest.mark.parametrize("budget", [{}, {"external_recipients": {"per_tenant": 500}}])
async def test_report_about_many_recipients_costs_as_much_as_one(budget: dict[str, Any]) -> None:
    many = [f"user{number}@example.org" for number in range(50)]
    costs = []
    for to in (many[:1], many):
        place = await place_of(routes(**budget))
        name = await sent(place, *to)
        place.tables.calls.clear()
        await apply(place, *(report(place, name, recipient) for recipient in to))
        assert await states(place, name) == [State.DEFERRED]
        costs.append(place.tables.calls.total())
    assert costs[1] <= costs[0] + 2


async def test_repeated_report_changes_nothing(place: Place) -> None:
    name = await sent(place)
    await apply(place, report(place, name))
    await go_on(place)
    await place.holds.release("main", "operator")
    await go_on(place)
    await go_on(place)
    await apply(place, report(place, name), report(place, name, key="another key of the same report"))
    await go_on(place)
    assert await states(place, name) == [State.SENT]
    assert (await place.holds.all(fresh=True))["main"].state is RouteState.ACTIVE
    assert len(place.script().sent) == 2


async def test_message_keeps_its_expiry(place: Place) -> None:
    name = await sent(place, has_own_expiry=True)
    await apply(place, report(place, name))
    await go_on(place)
    await go_on(place, DAY)
    await go_on(place)
    assert await states(place, name) == [State.EXPIRED]


async def test_at_most_once_message_is_sent_again_because_nothing_arrived() -> None:
    place = await place_of(routes(Route(name="backup", provider="smtp")))
    name = await sent(place, delivery="at_most_once")
    await apply(place, report(place, name))
    await go_on(place)
    assert await states(place, name) == [State.SENT]


# ── attempts whose outcome is not known ──


async def test_report_about_an_unknown_attempt_on_a_held_route_is_applied_at_once() -> None:
    """Who refuses a mail later has accepted it before, so nobody else gets a second copy."""
    place = await place_of(routes(Route(name="backup", provider="smtp"), mailbox="relay@example.org"))
    place.script().answers.append(Unknown(code="response_lost"))
    name = await sent(place, ADA, BOB)
    await place.holds.hold_for_operator("main")
    await go_on(place, 120)
    assert await states(place, name) == [State.HELD]
    await apply(place, report(place, name, BOB))
    assert place.memory.queues.bodies(QUEUE) == []
    await go_on(place)
    assert [(part.recipients, part.state, part.route) for part in await parts(place, name)] == [
        ((0,), State.SENT, "main"),
        ((1,), State.SENT, "backup"),
    ]
    assert (len(place.script().sent), len(place.script().verified)) == (1, 0)
    # The other one is reported later, and the first report comes again.
    await apply(place, report(place, name, ADA), report(place, name, BOB, key="again"))
    await go_on(place)
    assert [request.recipients for request in place.script("backup").sent] == [(1,), (0,)]
    assert await states(place, name) == [State.SENT, State.SENT]


async def test_report_about_an_unknown_attempt_that_is_asked_about_waits_for_the_answer() -> None:
    place = await place_of(routes(Route(name="backup", provider="smtp"), mailbox="relay@example.org"))
    script = place.script()
    script.answers.append(Unknown(code="response_lost"))
    name = await sent(place)
    lost = script.sent[0].attempt_id

    async def refuse() -> None:
        script.before_send = None
        assert await states(place, name) == [State.SENDING]
        await apply(place, report(place, name, attempt=0, attempt_id=lost))

    script.before_send = refuse
    while not await place.memory.queues.receive(QUEUE, limit=1) and script.before_send is not None:
        await go_on(place, 60)
    assert await states(place, name) == [State.SENT]
    for _ in range(2):
        place.time.move(LEASE_SECONDS)
        await apply(place)
        await go_on(place)
    assert await states(place, name) == [State.SENT]
    # The attempt after the unknown one was accepted too, and no report is about that one.
    assert (len(script.sent), len(place.script("backup").sent)) == (2, 0)


# ── dead letters whose outcome is not known ──


async def unaskable() -> Place:
    """A route of Exchange Online that cannot say what became of an attempt, and another one."""
    main = Route(name="main", provider="smtp", settings={"host": "smtp.office365.com"})
    backup = Route(name="backup", provider="smtp")
    return await place_of(settings_of(main, backup, rules=[Rule(routes=("main", "backup"))]))


async def unknown_message(place: Place, *to: str) -> str:
    place.script().answers.append(Unknown(code="response_lost"))
    name = await sent(place, *to, delivery="at_most_once")
    assert await states(place, name) == [State.UNKNOWN]
    return name


async def dead_letters(place: Place) -> dict[str, int]:
    return {code: count for code, count in (await place.dead_letters.counts()).items() if count}


async def test_unknown_message_that_was_refused_is_sent_once_by_the_next_route() -> None:
    place = await unaskable()
    name = await unknown_message(place)
    for key in ("first", "second"):
        await apply(place, report(place, name, key=key))
        await go_on(place)
    assert await states(place, name) == [State.SENT]
    assert (len(place.script().sent), len(place.script("backup").sent)) == (1, 1)
    assert await dead_letters(place) == {}
    assert (await place.holds.all(fresh=True))["main"].state is RouteState.HELD


async def test_unknown_message_stays_unknown_without_the_providers_word() -> None:
    place = await unaskable()
    name = await unknown_message(place)
    await apply(place, report(place, name, source=EventSource.MAIL), report(place, name, key="2", attempt=7))
    await go_on(place)
    assert await states(place, name) == [State.UNKNOWN]
    assert await dead_letters(place) == {"response_lost": 1}


async def test_report_about_a_lost_attempt_counts_although_another_one_was_sent() -> None:
    """The reports on two lost attempts come one by one, and the last one is about the first attempt again."""
    place = await unaskable()
    name = await unknown_message(place, ADA, BOB, EVE)
    place.script().answers.append(Unknown(code="response_lost"))
    parsed = ids.parse(name)
    await place.message_changes.redrive(parsed.batch, parsed.index, Redrive())
    await go_on(place)
    for recipient, attempt in ((EVE, 1), (ADA, 2), (BOB, 2), (ADA, 1), (BOB, 1)):
        await apply(place, report(place, name, recipient, attempt=attempt))
        await go_on(place)
    assert {request.recipients for request in place.script("backup").sent} == {(0,), (1,)}
    assert await dead_letters(place) == {"response_lost": 1}


async def test_unknown_message_that_expired_is_not_sent() -> None:
    place = await unaskable()
    name = await unknown_message(place)
    place.time.move(2 * DAY)
    await apply(place, report(place, name))
    await go_on(place)
    assert await states(place, name) == [State.EXPIRED]
    assert place.script("backup").sent == []


async def test_cancelled_message_that_was_refused_is_not_sent() -> None:
    place = await place_of(routes(Route(name="backup", provider="smtp"), mailbox="relay@example.org"))
    place.script().answers.append(Unknown(code="response_lost"))
    name = await sent(place)
    parsed = ids.parse(name)
    assert not await place.message_changes.cancel(parsed.batch, parsed.index)
    assert await dead_letters(place) == {"cancelled": 1}
    for _ in range(2):
        await apply(place, report(place, name))
        await go_on(place)
    assert await states(place, name) == [State.CANCELLED]
    assert (len(place.script().sent), len(place.script("backup").sent)) == (1, 0)
    assert await dead_letters(place) == {}


# ── budgets ──


def limited(*more: Route, **budget: Any) -> Settings:
    given = {"internal_domains": ["example.com"], **(budget or {"per_tenant": 100})}
    return routes(*more, external_recipients=given, mailbox="relay@example.com")


async def test_limit_of_external_recipients_marks_the_budget_as_spent_and_holds_no_route() -> None:
    place = await place_of(limited())
    name = await sent(place, ADA, "in@example.com")
    for _ in range(2):
        await apply(place, report(place, name))
    await go_on(place)
    assert await place.holds.all(fresh=True) == {}
    [use] = (await place.recipient_usage.read())["main"]
    assert (use.limit, use.used) == (100, 100)
    kept, waiting = await parts(place, name)
    assert (kept.recipients, kept.state) == ((1,), State.SENT)
    assert (waiting.recipients, waiting.state, waiting.code) == ((0,), State.DEFERRED, "external_recipient_limit")
    assert await states(place, await sent(place, "in@example.com")) == [State.SENT]
    assert await states(place, await sent(place, BOB)) == [State.DEFERRED]
    for _ in range(3):
        await go_on(place, DAY / 2 + 2_400)
    assert await states(place, name) == [State.SENT, State.SENT]
    assert len(place.script().sent) == 4


async def test_recipients_beyond_the_limit_take_the_next_route() -> None:
    place = await place_of(limited(Route(name="backup", provider="smtp")))
    name = await sent(place)
    await apply(place, report(place, name, code="5.7.232"))
    await go_on(place)
    assert [part.route for part in await parts(place, name)] == ["backup"]
    assert await states(place, await sent(place, "in@example.com")) == [State.SENT]
    assert (len(place.script().sent), len(place.script("backup").sent)) == (2, 1)


async def test_report_about_an_attempt_before_the_budget_was_marked_marks_it_no_more() -> None:
    """Otherwise a report that comes late or twice would use up what has returned since."""
    place = await place_of(limited())
    first, second = await sent(place), await sent(place, BOB)
    await apply(place, report(place, first))
    place.time.move(26 * 3_600)
    await apply(place, report(place, second, BOB))
    [use] = (await place.recipient_usage.read())["main"]
    assert use.used == 0
    third = await sent(place, EVE, expires_at=place.time() + timedelta(days=1))
    await apply(place, report(place, third, EVE))
    [use] = (await place.recipient_usage.read())["main"]
    assert use.used == 100


@pytest.mark.parametrize(
    ("code", "recipient", "budget", "scope"),
    [
        # What the budget does not count would go back to the same route at once.
        ("5.7.233", "in@example.com", {"per_tenant": 100}, "main"),
        ("5.7.233", ADA, {"per_mailbox": 100}, "main"),
        ("5.7.236", ADA, {"per_tenant": 100}, "main|shop@example.org"),
        ("5.1.90", ADA, {"per_tenant": 100}, "main"),
    ],
)
async def test_limit_that_no_budget_counts_holds_the_route(
    code: str, recipient: str, budget: dict[str, int], scope: str
) -> None:
    place = await place_of(limited(**budget))
    await apply(place, report(place, await sent(place, recipient), recipient, code=code))
    assert [*await place.holds.all(fresh=True)] == [scope]


async def test_limit_of_onmicrosoft_senders_marks_their_budget_as_spent() -> None:
    place = await place_of(limited(per_tenant=1_000))
    sender = Address(email="shop@contoso.onmicrosoft.com")
    batch = await place.send(submission_of(message_of(ADA, sender=sender)))
    record = await place.journal.read(batch)
    await apply(place, report(place, record.message_id(0, record.entry()), code="5.7.236"))
    assert await place.holds.all(fresh=True) == {}
    uses = (await place.recipient_usage.read())["main"]
    assert [(str(use.scope), use.left) for use in uses] == [("tenant", 999), ("sender_domain", 0)]


# ── scope ──


@pytest.mark.parametrize(
    ("code", "settings", "scope"),
    [
        ("5.1.90", {}, "main|shop@example.org"),
        ("5.1.90", {"mailbox": "relay@example.org"}, "main"),
        ("5.7.236", {"mailbox": "relay@example.org"}, "main|shop@example.org"),
        ("5.7.705", {}, "main"),
    ],
)
async def test_what_is_held_follows_from_the_code(code: str, settings: dict[str, str], scope: str) -> None:
    place = await place_of(routes(**settings))
    await apply(place, report(place, await sent(place), code=code))
    assert [name for name, hold in (await place.holds.all(fresh=True)).items() if hold.state is RouteState.HELD] == [
        scope
    ]


# ── trust ──


@pytest.mark.parametrize(
    "changes",
    [
        {"source": EventSource.MAIL},
        {"source": EventSource.CLIENT, "client_id": "5e2f0a9b1c7d4e36"},
        {"bounce_class": BounceClass.POLICY},
        {"recipient": "stranger@example.org"},
        {"attempt": 7},
        {"attempt": 0, "attempt_id": "4a8b38f4-9e2a-5e3e-8d1f-50a1a5b3c001"},
        {"provider": "sendgrid", "code": "", "reply": "Recipient List over Package Quota"},
    ],
)
async def test_report_without_trust_or_attempt_holds_nothing(place: Place, changes: dict[str, Any]) -> None:
    name = await sent(place)
    await apply(place, report(place, name, **changes))
    assert await place.holds.all(fresh=True) == {}
    assert await states(place, name) == [State.SENT]


FABRIKAM = {"mailbox": "bounces@fabrikam.com", "read_by": "fabrikam"}


async def test_report_in_a_mailbox_of_another_tenant_holds_nothing_and_hides_no_other() -> None:
    """Whoever administers that tenant can write into its mailboxes what looks like Exchange's own report."""
    place = await place_of(routes(Route(name="fabrikam", provider="graph", settings={"tenant_id": "f"}), tenant_id="c"))
    name = await sent(place, ADA, BOB)
    await apply(place, report(place, name, **FABRIKAM), report(place, name, BOB, **FABRIKAM))
    assert await place.holds.all(fresh=True) == {}
    assert await states(place, name) == [State.SENT]
    record, events = await place.journal.history(ids.parse(name).batch)
    assert [(each.kind, each.source) for each in events] == [("bounced", "mail")] * 2
    assert record.statuses[0].vouched == ()
    # The tenant's own report, with everything else alike.
    await apply(place, report(place, name, mailbox="relay@contoso.com", read_by="main"))
    assert [*await place.holds.all(fresh=True)] == ["main"]
    assert await states(place, name) == [State.SENT, State.DEFERRED]


async def test_tenant_of_a_report_is_compared_with_the_route_of_its_attempt() -> None:
    """The message went by both tenants: first by the one that refused it in its reply."""
    fabrikam = Route(name="fabrikam", provider="graph", settings={"tenant_id": "f"})
    place = await place_of(routes(fabrikam, tenant_id="c"))
    place.script().answers.append(RouteFault(code="bad_credentials"))
    name = await sent(place)
    await go_on(place)
    assert [(each.number, each.route) for each in (await parts(place, name))[0].attempts] == [
        (1, "main"),
        (1, "fabrikam"),
    ]
    await apply(place, report(place, name, key="foreign", mailbox="bounces@contoso.com", read_by="main"))
    assert await states(place, name) == [State.SENT]
    await apply(place, report(place, name, **FABRIKAM))
    assert (await place.holds.all(fresh=True))["fabrikam"].code == "credits_exhausted"


@pytest.mark.parametrize(("host", "is_held"), [("smtp.office365.com", True), ("mx.example.org", False)])
async def test_report_of_exchange_holds_an_smtp_route_only_to_exchange(host: str, is_held: bool) -> None:
    place = await place_of(settings_of(Route(name="main", provider="smtp", settings={"host": host})))
    await apply(place, report(place, await sent(place)))
    assert ("main" in await place.holds.all(fresh=True)) == is_held


async def test_attempt_is_found_by_its_id_after_the_part_was_split() -> None:
    place = await place_of(routes(Route(name="backup", provider="graph")))
    name = await sent(place, ADA, BOB)
    await apply(place, report(place, name, BOB, attempt=0, attempt_id=place.script().sent[0].attempt_id))
    await go_on(place)
    late, again = place.script().sent[0].attempt_id, place.script("backup").sent[0].attempt_id
    await apply(place, report(place, name, BOB, attempt=0, attempt_id=late, key="late"))
    assert await states(place, name) == [State.SENT, State.SENT]
    await apply(place, report(place, name, BOB, attempt=0, attempt_id=again, key="again"))
    assert await states(place, name) == [State.SENT, State.DEFERRED]


# ── crashes ──


@pytest.mark.parametrize("skipped", range(3))
@pytest.mark.parametrize("operation", ["get", "query", "merge", "upsert", "insert"])
async def test_failure_between_the_writes_is_repaired_by_the_repetition(operation: str, skipped: int) -> None:
    place = await place_of(routes(Route(name="backup", provider="smtp")))
    name = await sent(place)
    place.tables.fail(operation, *[None] * skipped, Unavailable("away"))
    await apply(place, report(place, name))
    for _ in range(4):
        place.time.move(LEASE_SECONDS)
        with suppress(Unavailable):
            await apply(place)
            await go_on(place)
    assert await states(place, name) == [State.SENT]
    assert len(place.script("backup").sent) == 1


async def test_report_that_is_faster_than_the_record_of_its_attempt_comes_again() -> None:
    place = await place_of(routes(Route(name="backup", provider="smtp")))

    async def refuse() -> None:
        name = place.script().sent[-1].id
        batch = ids.parse(name).batch
        assert (await place.journal.read(batch)).statuses[0].state is State.SENDING
        attempt_id = place.script().sent[-1].attempt_id
        await apply(place, report(place, name, attempt=0, attempt_id=attempt_id))

    place.script().before_send = refuse
    name = await sent(place)
    assert await states(place, name) == [State.SENT]
    place.script().before_send = None
    place.time.move(60)
    await apply(place)
    await go_on(place)
    assert await states(place, name) == [State.SENT]
    assert len(place.script("backup").sent) == 1


async def test_report_of_an_attempt_before_the_route_was_reopened_does_not_hold_it_again(place: Place) -> None:
    first, second = await sent(place), await sent(place, BOB)
    await apply(place, report(place, first))
    await place.holds.release("main", "operator")
    await apply(place, report(place, second, BOB))
    assert (await place.holds.all(fresh=True))["main"].state is RouteState.ACTIVE
    assert await states(place, second) == [State.DEFERRED]


async def test_refusal_of_the_account_outlasts_a_provider_that_is_away(place: Place) -> None:
    name = await sent(place)
    await place.holds.hold("main", "repeated_failure")
    await apply(place, report(place, name))
    assert (await place.holds.all(fresh=True))["main"].code == "credits_exhausted"


async def test_operators_hold_stays_as_it_is(place: Place) -> None:
    name = await sent(place)
    await place.holds.hold_for_operator("main")
    await apply(place, report(place, name))
    hold = (await place.holds.all(fresh=True))["main"]
    assert (hold.code, hold.next_probe_at) == ("operator", None)
