"""Lost responses that the message trace resolves: found, certainly not sent, or not known, and when it may say which."""

from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest

from relay.core.errors import Unavailable
from relay.core.events import BounceClass, EventSource
from relay.core.model import DeliveryGuarantee, Message, State
from relay.core.outcomes import Sent, Unknown
from relay.delivery.send_request import send_request_of
from relay.events.message_trace.budget import LIMIT, TraceBudget
from relay.events.message_trace.lost_responses import SPARE, SURE_AFTER
from relay.events.provider_events import ProviderEvent
from relay.operations.message_changes import Redrive
from tests.doubles import Scripted, message_of, submission_of
from tests.unit.events.message_trace.tenant import ROUTE, Tenant, tenant_of

ONCE = DeliveryGuarantee.AT_MOST_ONCE
SURE_MINUTES = SURE_AFTER / timedelta(minutes=1) + 1


@pytest.fixture
async def tenant() -> AsyncIterator[Tenant]:
    async with tenant_of() as opened:
        yield opened


class Away:
    """Lost responses whose storage is away."""

    async def ask(self, *_: object) -> Unknown:
        raise Unavailable("away")


def provider(tenant: Tenant) -> Scripted:
    return tenant.place.script(ROUTE)


async def lose(tenant: Tenant, message: Message | None = None, guarantee: DeliveryGuarantee = ONCE) -> tuple[str, str]:
    """Send a message whose response is lost; its batch and its name."""
    provider(tenant).answers.append(Unknown(code="response_lost"))
    batch, (name,) = await tenant.send(submission_of(message, delivery=guarantee))
    return batch, name


async def pass_minutes(tenant: Tenant, minutes: float, *, reads: bool = True) -> None:
    """Let the minute timers run: recovery, delivery and, unless it is off, the trace."""
    for _ in range(int(minutes)):
        tenant.clock.move(60)
        if reads:
            await tenant.place.message_traces.run()
        await tenant.place.recovery.run()
        await tenant.place.work()


async def other_mail_of_relay(tenant: Tenant) -> None:
    """Let the trace have a later mail that kept Relay's Message-ID."""
    _, (name,) = await tenant.send(submission_of())
    tenant.add(name, "ada@example.com")


async def state(tenant: Tenant, batch: str) -> tuple[State, list[str]]:
    (status,) = (await tenant.place.journal.read(batch)).statuses
    (part,) = status.parts
    return part.state, [attempt.outcome for attempt in part.attempts]


async def test_attempt_in_the_trace_was_sent(tenant: Tenant) -> None:
    batch, name = await lose(tenant)
    tenant.add(name, "ada@example.com", "pending")
    await pass_minutes(tenant, 9, reads=False)
    assert await state(tenant, batch) == (State.DEFERRED, ["unknown"])
    assert tenant.trace.requests == []
    await pass_minutes(tenant, 4, reads=False)
    assert await state(tenant, batch) == (State.SENT, ["unknown", "sent"])
    assert (len(provider(tenant).sent), len(tenant.trace.requests)) == (1, 1)


async def test_attempt_that_is_not_in_the_trace_is_sent_again_when_that_is_certain(tenant: Tenant) -> None:
    batch, _ = await lose(tenant)
    tenant.clock.move(60)
    await other_mail_of_relay(tenant)
    await pass_minutes(tenant, SURE_MINUTES - 3)
    assert await state(tenant, batch) == (State.DEFERRED, ["unknown"])
    await pass_minutes(tenant, 5)
    assert await state(tenant, batch) == (State.SENT, ["not_sent", "sent"])
    assert len(provider(tenant).sent) == 3


@pytest.mark.parametrize(
    "why", ["no other mail", "only earlier mail", "ids are rewritten", "the trace is not read", "raw", "own id"]
)
async def test_absence_proves_nothing_without_evidence(tenant: Tenant, why: str) -> None:
    raw = b"From: shop@example.org\r\nMessage-ID: <own@example.org>\r\nSubject: x\r\n\r\nHi.\r\n"
    messages = {
        "raw": message_of(raw=raw, text=None),
        "own id": message_of(headers={"Message-ID": "<own@example.org>"}),
    }
    if why == "only earlier mail":
        await other_mail_of_relay(tenant)
        tenant.clock.move(60)
    batch, _ = await lose(tenant, messages.get(why))
    tenant.clock.move(60)
    if why == "ids are rewritten":
        await tenant.send(submission_of())
        tenant.add("", "ada@example.com", id="t1", message_id="<1@prod.outlook.com>")
    elif why not in ("no other mail", "only earlier mail"):
        await other_mail_of_relay(tenant)
    await pass_minutes(tenant, SURE_MINUTES + 30, reads=why != "the trace is not read")
    final, outcomes = await state(tenant, batch)
    assert (final, set(outcomes)) == (State.UNKNOWN, {"unknown"})


async def test_row_of_another_recipient_proves_neither(tenant: Tenant) -> None:
    batch, name = await lose(tenant)
    tenant.add(name, "primary@example.com")
    tenant.clock.move(60)
    await other_mail_of_relay(tenant)
    await pass_minutes(tenant, SURE_MINUTES + 30)
    assert (await state(tenant, batch))[0] is State.UNKNOWN


async def test_row_of_an_earlier_attempt_proves_nothing_about_a_later_one(tenant: Tenant) -> None:
    early, (name,) = await tenant.send(submission_of(delivery=ONCE))
    tenant.add(name, "ada@example.com")
    tenant.clock.move(3600)
    record = await tenant.place.journal.read(early)
    entry = record.entry()
    (status,) = record.statuses
    (part,) = status.parts
    (attempt,) = part.attempts
    late = msgspec.structs.replace(attempt, number=2, at=tenant.clock(), outcome="unknown", code="response_lost")
    lost = tenant.place.lost_responses
    assert lost is not None
    message = entry.messages[0].message
    assert message is not None
    request = send_request_of(record, entry, 0, part, message)
    tenant.clock.move(SURE_AFTER.total_seconds())
    unanswered = msgspec.structs.replace(part, attempts=())
    assert isinstance(await lost.ask(unanswered, request, late), Unknown)
    assert isinstance(await lost.ask(unanswered, request, msgspec.structs.replace(late, at=attempt.at)), Sent)


async def refuse(tenant: Tenant, batch: str, name: str, attempt: int) -> None:
    """Let Exchange report that it refuses the account's mail after all, and open the route again, an hour before it may be."""
    event = ProviderEvent(
        kind="bounced",
        at=tenant.clock(),
        key=f"refused-{attempt}",
        provider="graph",
        message=name,
        recipient="ada@example.com",
        attempt=attempt,
        code="5.7.233",
        bounce_class=BounceClass.ACCOUNT,
        source=EventSource.PROVIDER,
    )
    await tenant.place.events.enqueue([event])
    await tenant.events(batch)
    await tenant.place.holds.release(ROUTE, "operator")


async def test_row_of_a_refused_attempt_proves_nothing_about_the_one_after_it(tenant: Tenant) -> None:
    batch, (name,) = await tenant.send(submission_of(delivery=ONCE))
    tenant.add(name, "ada@example.com", "failed")
    await refuse(tenant, batch, name, 1)
    provider(tenant).answers.append(Unknown(code="response_lost"))
    await pass_minutes(tenant, 1, reads=False)
    assert await state(tenant, batch) == (State.DEFERRED, ["sent", "route_fault", "unknown"])
    await pass_minutes(tenant, SURE_MINUTES + 20, reads=False)
    assert await state(tenant, batch) == (State.UNKNOWN, ["sent", "route_fault", "unknown", "unknown"])


async def test_row_of_a_refused_attempt_proves_nothing_about_the_one_before_it(tenant: Tenant) -> None:
    batch, name = await lose(tenant, guarantee=DeliveryGuarantee.AT_LEAST_ONCE)
    await pass_minutes(tenant, 2, reads=False)
    assert await state(tenant, batch) == (State.SENT, ["unknown", "sent"])
    tenant.add(name, "ada@example.com", "failed")
    await refuse(tenant, batch, name, 2)
    tenant.clock.move(20 * 60)
    await tenant.place.recovery.run()
    await tenant.place.work()
    assert await state(tenant, batch) == (State.SENT, ["unknown", "sent", "route_fault", "sent"])
    assert len(provider(tenant).sent) == 3


async def test_row_is_that_of_the_last_attempt_before_it(tenant: Tenant) -> None:
    """Exchange refuses the first attempt after all: the message goes back, although the second had been asked about."""
    batch, name = await lose(tenant, guarantee=DeliveryGuarantee.AT_LEAST_ONCE)
    tenant.add(name, "ada@example.com")
    provider(tenant).answers.append(Unknown(code="response_lost"))
    await pass_minutes(tenant, 2, reads=False)
    assert await state(tenant, batch) == (State.DEFERRED, ["unknown", "unknown"])
    tenant.clock.move(20 * 60)
    await tenant.place.recovery.run()
    await tenant.place.work()
    assert await state(tenant, batch) == (State.SENT, ["unknown", "unknown", "sent"])
    await refuse(tenant, batch, name, 1)
    assert (await state(tenant, batch))[0] is State.DEFERRED


@pytest.mark.parametrize("minutes", [3, 60])
async def test_row_long_after_a_refusal_is_that_of_the_next_attempt(tenant: Tenant, minutes: int) -> None:
    batch, (name,) = await tenant.send(submission_of(delivery=ONCE))
    tenant.add(name, "ada@example.com", "failed")
    await refuse(tenant, batch, name, 1)
    provider(tenant).answers.append(Unknown(code="response_lost"))
    await pass_minutes(tenant, 1, reads=False)
    tenant.clock.move(minutes * 60)
    tenant.add(name, "ada@example.com")
    await pass_minutes(tenant, 15, reads=False)
    assert await state(tenant, batch) == (State.SENT, ["sent", "route_fault", "unknown", "sent"])
    assert len(provider(tenant).sent) == 2


async def test_redrive_looks_for_the_attempt_itself_and_not_for_the_one_that_asked(tenant: Tenant) -> None:
    batch, name = await lose(tenant)
    sent_at = tenant.clock()
    await pass_minutes(tenant, SURE_MINUTES + 20, reads=False)
    assert await state(tenant, batch) == (State.UNKNOWN, ["unknown", "unknown"])
    tenant.add(name, "ada@example.com", received_at=sent_at)
    await tenant.place.message_changes.redrive(batch, 0, Redrive())
    await tenant.place.work()
    assert await state(tenant, batch) == (State.SENT, ["unknown", "unknown", "sent"])
    assert len(provider(tenant).sent) == 1


async def test_message_that_may_arrive_twice_does_not_wait_for_the_trace(tenant: Tenant) -> None:
    batch, _ = await lose(tenant, guarantee=DeliveryGuarantee.AT_LEAST_ONCE)
    await pass_minutes(tenant, 3)
    assert await state(tenant, batch) == (State.SENT, ["unknown", "sent"])
    assert len(provider(tenant).sent) == 2


async def test_message_that_may_arrive_twice_is_not_sent_again_if_the_trace_has_it_by_then(tenant: Tenant) -> None:
    batch, name = await lose(tenant, guarantee=DeliveryGuarantee.AT_LEAST_ONCE)
    tenant.add(name, "ada@example.com")
    tenant.clock.move(20 * 60)
    await tenant.place.recovery.run()
    await tenant.place.work()
    assert await state(tenant, batch) == (State.SENT, ["unknown", "sent"])
    assert len(provider(tenant).sent) == 1


async def test_message_that_expires_is_asked_about_a_last_time(tenant: Tenant) -> None:
    expires = tenant.clock() + timedelta(minutes=5)
    provider(tenant).answers.append(Unknown(code="response_lost"))
    batch, _ = await tenant.send(submission_of(delivery=ONCE, expires_at=expires, has_own_expiry=True))
    await pass_minutes(tenant, 15)
    assert (await state(tenant, batch))[0] is State.UNKNOWN


async def test_question_waits_for_the_budget_that_windows_need(tenant: Tenant) -> None:
    batch, name = await lose(tenant)
    tenant.add(name, "ada@example.com")
    tenant.clock.move(11 * 60)
    budget = TraceBudget(tenant.place.storage.tables, tenant.place.message_traces.readers[0].name, tenant.clock)
    for _ in range(LIMIT - SPARE):
        assert await budget.take()
    await tenant.place.recovery.run()
    await tenant.place.work()
    assert (await state(tenant, batch))[0] is State.DEFERRED
    assert tenant.trace.requests == []
    await pass_minutes(tenant, 9, reads=False)
    assert (await state(tenant, batch))[0] is State.SENT


async def test_storage_that_is_away_postpones_the_question(tenant: Tenant) -> None:
    tenant.place.__dict__["lost_responses"] = Away()
    batch, _ = await lose(tenant)
    await pass_minutes(tenant, 5, reads=False)
    assert await state(tenant, batch) == (State.DEFERRED, ["unknown"])
    assert len(provider(tenant).sent) == 1
