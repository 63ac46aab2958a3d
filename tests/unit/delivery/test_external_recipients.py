"""Mail whose route has no budget left: internal recipients go on, the others take the next route, or wait within their expiry."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from relay.core.model import Part, State
from relay.core.outcomes import Deferred, Sent, Unknown
from relay.core.settings import Route, Rule, Settings
from relay.routes.recipient_budget.window import COUNTED_SECONDS
from tests.doubles import START, Place, message_of, place_of, settings_of, submission_of

CODE = "external_recipient_limit"
INTERNAL = "bob@contoso.com"
EXTERNAL = tuple(f"user{number}@example.com" for number in range(10))
OPENS = START.replace(minute=0) + timedelta(seconds=COUNTED_SECONDS)


def limited(limit: int = 10, *, backup: bool = False, **budget: Any) -> Settings:
    given = {"per_tenant": limit, "internal_domains": ["contoso.com"], **budget}
    main = Route(name="main", provider="graph", settings={"managed_identity": True, "external_recipients": given})
    others = (Route(name="backup", provider="smtp"),) if backup else ()
    return settings_of(main, *others, rules=[Rule(routes=("main", *(each.name for each in others)))])


async def parts(place: Place, batch: str) -> Sequence[Part]:
    return (await place.journal.read(batch)).statuses[0].parts


async def send(place: Place, *to: str, **fields: Any) -> str:
    return await place.send(
        submission_of(message_of(*to), **{"expires_at": place.time() + timedelta(days=2), **fields})
    )


async def spent(**budget: Any) -> Place:
    """A place whose budget of 10 is spent."""
    place = await place_of(limited(**budget))
    [part] = await parts(place, await send(place, *EXTERNAL))
    assert part.state is State.SENT
    return place


async def test_external_mail_waits_with_the_cause_until_the_window_has_rolled() -> None:
    place = await spent()
    batch = await send(place, EXTERNAL[0])
    [part] = await parts(place, batch)
    assert (part.state, part.code, part.attempt, part.due_at) == (State.DEFERRED, CODE, 0, OPENS)
    assert part.held_since is None
    assert [listed.due.at async for listed in place.pending.until(OPENS + timedelta(seconds=1))] == [OPENS]
    place.time.now = OPENS
    await place.recovery.run()
    await place.work()
    [part] = await parts(place, batch)
    assert (part.state, part.attempt, len(place.script().sent)) == (State.SENT, 1, 2)


async def test_internal_mail_goes_on_while_external_mail_waits() -> None:
    place = await spent()
    await send(place, EXTERNAL[0])
    [part] = await parts(place, await send(place, INTERNAL))
    assert part.state is State.SENT


async def test_mixed_message_goes_to_internal_recipients_at_once() -> None:
    place = await spent()
    batch = await send(place, EXTERNAL[0], INTERNAL, EXTERNAL[1])
    internal, external = await parts(place, batch)
    assert (internal.recipients, internal.state) == ((1,), State.SENT)
    assert (external.recipients, external.state, external.code) == ((0, 2), State.DEFERRED, CODE)
    assert place.script().sent[-1].recipients == (1,)


async def test_external_recipients_take_the_next_route() -> None:
    place = await spent(backup=True)
    batch = await send(place, EXTERNAL[0], INTERNAL)
    assert [(part.recipients, part.route, part.state) for part in await parts(place, batch)] == [
        ((1,), "main", State.SENT),
        ((0,), "backup", State.SENT),
    ]


async def test_mail_waits_for_its_route_if_the_budget_says_hold() -> None:
    place = await spent(backup=True, when_spent="hold")
    [part] = await parts(place, await send(place, EXTERNAL[0]))
    assert (part.route, part.state, part.code) == ("main", State.DEFERRED, CODE)
    assert place.script("backup").sent == []


async def test_mail_whose_other_route_is_held_waits_for_the_earlier_one() -> None:
    place = await spent(backup=True)
    hold = await place.holds.hold("backup", "bad_credentials")
    assert hold.next_probe_at is not None
    [part] = await parts(place, await send(place, EXTERNAL[0]))
    assert (part.state, part.route) == (State.HELD, "backup")
    await place.holds.hold_for_operator("backup", until=OPENS + timedelta(days=1))
    place.time.move(10)
    [part] = await parts(place, await send(place, EXTERNAL[0]))
    assert (part.state, part.route, part.code) == (State.DEFERRED, "main", CODE)


async def test_mail_that_expires_before_there_is_room_expires_at_once_with_the_cause() -> None:
    place = await spent()
    for own_expiry, state in ((OPENS, State.EXPIRED), (OPENS + timedelta(minutes=1), State.DEFERRED)):
        [part] = await parts(place, await send(place, EXTERNAL[0], expires_at=own_expiry, has_own_expiry=True))
        assert (part.state, part.code) == (state, CODE)
    assert await place.dead_letters.counts() == {CODE: 1}


async def test_mail_that_expires_before_there_is_room_waits_for_a_held_route() -> None:
    place = await spent(backup=True)
    await place.holds.hold("backup", "bad_credentials")
    expiry = START + timedelta(hours=1)
    [part] = await parts(place, await send(place, EXTERNAL[0], expires_at=expiry, has_own_expiry=True))
    assert (part.state, part.route) == (State.HELD, "backup")


async def test_mail_that_finds_no_room_for_a_week_expires() -> None:
    """Other mail is always first: the expiry of two days stops for seven."""
    place = await spent()
    batch = await send(place, *EXTERNAL)
    days = 0
    while (part := (await parts(place, batch))[0]).state is State.DEFERRED:
        days += 1
        assert days < 15
        # A recipient an hour leaves no room for ten.
        for _ in range(24):
            place.time.move(3_600)
            await send(place, EXTERNAL[0], expires_at=place.time() + timedelta(minutes=1), has_own_expiry=True)
            await place.recovery.run()
            await place.work()
    assert (part.state, part.code, part.attempt) == (State.EXPIRED, CODE, 0)
    assert 8 <= days <= 9


async def test_race_for_the_last_of_a_budget_sends_no_more_than_it_has() -> None:
    """Planning found room for each message of the batch; counting finds it for some."""
    place = await place_of(limited())
    messages = [submission_of(message_of(*EXTERNAL[:4])) for _ in range(3)]
    batch = await place.send(*messages)
    record = await place.journal.read(batch)
    assert Counter(part.state for status in record.statuses for part in status.parts) == {
        State.SENT: 2,
        State.DEFERRED: 1,
    }
    place.time.move(1)
    await place.work()
    record = await place.journal.read(batch)
    [waiting] = [part for status in record.statuses for part in status.parts if part.state is State.DEFERRED]
    assert (waiting.code, waiting.attempt, waiting.due_at) == (CODE, 0, OPENS)
    assert len(place.script().sent) == 2


async def test_message_with_more_recipients_than_the_limit_takes_another_route() -> None:
    place = await place_of(limited(5, backup=True))
    [part] = await parts(place, await send(place, *EXTERNAL))
    assert (part.state, part.route) == (State.SENT, "backup")


async def test_message_with_more_recipients_than_every_limit_fails_at_once() -> None:
    """The limit was lowered after the message was accepted: submission would have refused it."""
    place = await place_of(limited(5))
    internal, external = await parts(place, await send(place, *EXTERNAL, INTERNAL))
    assert (internal.state, internal.recipients) == (State.SENT, (10,))
    assert (external.state, external.code, external.attempt) == (State.FAILED, "too_many_external_recipients", 0)


async def test_message_with_more_recipients_than_the_limit_waits_for_a_held_route() -> None:
    place = await place_of(limited(5, backup=True, when_spent="hold"))
    await place.holds.hold("backup", "bad_credentials")
    [part] = await parts(place, await send(place, *EXTERNAL))
    assert (part.state, part.route) == (State.HELD, "backup")


async def test_attempt_that_was_certainly_not_sent_uses_no_budget() -> None:
    place = await place_of(limited())
    place.script().answers.append(Deferred(code="unreachable"))
    batch = await send(place, *EXTERNAL)
    place.time.move(60)
    await place.work()
    [part] = await parts(place, batch)
    assert (part.state, part.attempt) == (State.SENT, 2)


async def test_attempt_that_may_have_been_sent_keeps_its_budget() -> None:
    """The provider is asked about it all the same, and the mail is sent again when there is room."""
    place = await place_of(limited())
    place.script().answers.append(Unknown(code="response_lost"))
    batch = await send(place, *EXTERNAL[:6], expires_at=START + timedelta(days=2))
    place.time.move(120)
    await place.work()
    [part] = await parts(place, batch)
    assert (part.state, part.code, len(place.script().verified)) == (State.DEFERRED, CODE, 1)
    assert (part.due_at, len(place.script().sent)) == (OPENS.replace(microsecond=0), 1)
    place.time.now = OPENS
    await place.recovery.run()
    await place.work()
    [part] = await parts(place, batch)
    assert (part.state, len(place.script().verified), len(place.script().sent)) == (State.SENT, 2, 2)


async def test_mail_that_turns_out_to_be_sent_needs_no_budget() -> None:
    place = await place_of(limited())
    place.script().answers.append(Unknown(code="response_lost"))
    place.script().verdicts.append(Sent(provider_id="p"))
    batch = await send(place, *EXTERNAL[:6])
    place.time.move(120)
    await place.work()
    [part] = await parts(place, batch)
    assert (part.state, len(place.script().sent)) == (State.SENT, 1)


async def test_expired_mail_that_may_have_been_sent_is_asked_about_without_budget() -> None:
    place = await place_of(limited())
    place.script().answers.append(Unknown(code="response_lost"))
    batch = await send(place, *EXTERNAL[:6], expires_at=START + timedelta(hours=1))
    for seconds in (120, 3_500):
        place.time.move(seconds)
        await place.recovery.run()
        await place.work()
    [part] = await parts(place, batch)
    assert (part.state, len(place.script().verified), len(place.script().sent)) == (State.UNKNOWN, 2, 1)
