"""The scenarios that are run with every fault at every operation."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec

from relay.bootstrap import configuration
from relay.core.arrival.arrivals import reported_of
from relay.core.events import RecordedEvent
from relay.core.model import MessageStatus, State
from relay.core.outcomes import Deferred, PerRecipient, Rejected, RouteFault, Sent
from relay.core.send_request import SendRequest
from relay.core.settings import Settings
from tests.crash_points.providers import Account, Answer, LostResponse, Script
from tests.crash_points.trial import Scenario, Stage

SENT, FAILED, UNKNOWN = State.SENT, State.FAILED, State.UNKNOWN
RETRY_LANE = {"transactional": {"retry_min_seconds": 15, "retry_max_seconds": 60}}
VETTING = RouteFault(code="account_restricted", reply="403 access forbidden")
AWAY = Deferred(code="provider_unavailable", reply="503")
BUSY = Deferred(code="rate_limited", reply="429", retry_after_seconds=86_400)


def settings_of(routes: Mapping[str, Any], rules: list[Any] | None = None, **more: str) -> Settings:
    """Create settings with these routes, one lane, and `more` settings by name."""
    return configuration.load(
        {
            "RELAY_ROUTES": msgspec.json.encode(routes).decode(),
            "RELAY_ROUTING": "" if rules is None else msgspec.json.encode(rules).decode(),
            "RELAY_LANES": msgspec.json.encode(RETRY_LANE).decode(),
            "SENDGRID_API_KEY": "SG.proof",
            **more,
        }
    )


ONE_ROUTE = settings_of({"main": {"provider": "capture"}})
ASKABLE = settings_of({"main": {"provider": "sendgrid", "activity_feed": True}})
TWO_ROUTES = settings_of(
    {"main": {"provider": "capture"}, "backup": {"provider": "capture"}}, [{"routes": ["main", "backup"]}]
)
SHORT_LIVED = settings_of({"main": {"provider": "capture"}}, RELAY_EXPIRES_IN_SECONDS="300")
LONG_RETRY = settings_of(
    {"main": {"provider": "capture"}},
    RELAY_LANES=msgspec.json.encode({"transactional": {"retry_min_seconds": 200, "retry_max_seconds": 300}}).decode(),
)
PACED = settings_of({"main": {"provider": "capture", "paces": [{"count": 2, "seconds": 40}]}})


def first(*answers: Answer) -> Script:
    """Return these outcomes for the first sends of each message, and accept later ones."""

    def script(request: SendRequest, number: int) -> Answer:
        return answers[number - 1] if number <= len(answers) else Sent()

    return script


def always(answer: Answer) -> Script:
    """Return this outcome for every send."""
    return lambda _request, _number: answer


def for_subject(subject: str, script: Script) -> Script:
    """Use a script for messages with this subject, and accept others."""

    def chosen(request: SendRequest, number: int) -> Answer:
        return script(request, number) if request.message.subject == subject else Sent()

    return chosen


def one(script: Script | None = None, *, knows_attempts: bool = True) -> Callable[[], Mapping[str, Account]]:
    """Create one route with this script."""
    return lambda: {"main": Account(script or first(), knows_attempts=knows_attempts)}


# ── the courses ──


async def fresh_batch(stage: Stage) -> None:
    await stage.caller.submit_all("one", "two", "three")
    await stage.caller.submit("four")


async def pair(stage: Stage) -> None:
    await stage.caller.submit_all("one", "two")


async def one_message(stage: Stage) -> None:
    await stage.caller.submit("one")


async def careful_pair(stage: Stage) -> None:
    await stage.caller.submit_all("one", "two", delivery="at_most_once")


async def vetting(stage: Stage) -> None:
    """A new account is still under review when the first messages arrive."""
    stage.main.script, stage.main.probe = always(VETTING), VETTING
    await stage.caller.submit_all("one", "two")
    await asyncio.sleep(20)
    await stage.caller.submit("three")
    await asyncio.sleep(60)
    stage.main.script, stage.main.probe = first(), Sent()


async def held_past_expiry(stage: Stage, seconds: int | None = None) -> None:
    """The route is held for longer than the message may wait."""
    stage.main.script, stage.main.probe = always(VETTING), VETTING
    own: dict[str, Any] = {} if seconds is None else {"expires_in_seconds": seconds}
    await stage.caller.submit("one", **own)
    await asyncio.sleep(600)
    stage.main.script, stage.main.probe = first(AWAY), Sent()


async def away_past_expiry(stage: Stage) -> None:
    """The provider is away for longer than the messages may wait; the circuit breaker holds its route."""
    stage.main.script, stage.main.probe = always(AWAY), RouteFault(code="provider_unavailable", reply="503")
    await stage.caller.submit_all(*MANY_AWAY)
    await asyncio.sleep(6)
    await stage.caller.submit("late")
    await asyncio.sleep(400)
    stage.main.script, stage.main.probe = first(), Sent()


async def away_for_a_while(stage: Stage) -> None:
    """The circuit breaker holds the route; mail that comes later probes it."""
    stage.main.script = always(AWAY)
    await stage.caller.submit_all(*MANY_AWAY)
    await asyncio.sleep(6)
    await stage.caller.submit("late")
    await asyncio.sleep(1)
    stage.main.script = first()
    await asyncio.sleep(6)
    await stage.caller.submit("prober")


async def vetting_with_deceptive_probe(stage: Stage) -> None:
    """The probe succeeds although the account may not send."""
    stage.main.script = always(VETTING)
    await stage.caller.submit("one")
    await asyncio.sleep(10)
    await stage.caller.submit("two")
    await asyncio.sleep(100)
    stage.main.script = first()


async def unverified_sender(stage: Stage) -> None:
    def script(request: SendRequest, number: int) -> Answer:
        is_bad = request.message.sender.email == "new@sender.example"
        return RouteFault(code="sender_not_verified") if is_bad else Sent()

    stage.main.script = script
    unverified: dict[str, Any] = {"from": "new@sender.example"}
    await stage.caller.submit("new", **unverified)
    await stage.caller.submit("known")
    await asyncio.sleep(60)
    stage.main.script = first()


async def held_by_operator(stage: Stage) -> None:
    await stage.caller.insist("POST", "/v1/routes/main/hold", {})
    await stage.caller.submit_all("one", "two")
    await asyncio.sleep(120)
    await stage.caller.insist("POST", "/v1/routes/main/release", {})


async def held_until(stage: Stage) -> None:
    end = stage.world.clock() + timedelta(seconds=90)
    terms = {"reason": "maintenance", "until": end.isoformat()}
    await stage.caller.insist("POST", "/v1/routes/main/hold", terms)
    await stage.caller.submit_all("one", "two")


async def three_recipients(stage: Stage) -> None:
    await stage.caller.submit("one", to=["ann@example.net", "bob@example.net", "cleo@example.net"])


def by_recipient(request: SendRequest, number: int) -> Answer:
    """The first message is accepted, the second deferred once, the third refused."""
    if request.recipients != (0, 1, 2):
        return Sent()
    refused = Rejected(code="recipient_refused", reply="550 no such user")
    return PerRecipient(outcomes=(((0,), Sent()), ((1,), Deferred(code="recipient_deferred")), ((2,), refused)))


async def scheduled(stage: Stage) -> None:
    now = stage.world.clock()
    await stage.caller.submit("soon", send_at=(now + timedelta(seconds=70)).isoformat())
    await stage.caller.submit("later", send_at=(now + timedelta(seconds=250)).isoformat())


async def large(stage: Stage) -> None:
    await stage.caller.submit("one", text="A long letter. " * 4000)


async def many_recipients(stage: Stage) -> None:
    domain = ".".join(["department-with-a-very-long-name-for-a-label"] * 4)
    names = [f"somebody-with-a-long-name-{n:03d}@{domain}.example" for n in range(220)]
    await stage.caller.submit("one", to=names)


async def idempotent(stage: Stage) -> None:
    await asyncio.gather(stage.caller.submit("one", key="first"), stage.caller.submit("one", key="first"))
    await stage.caller.submit("one", key="first")


async def cancelled(stage: Stage) -> None:
    await stage.caller.submit("one", send_at=(stage.world.clock() + timedelta(seconds=400)).isoformat())
    await stage.caller.cancel("one")


async def cancelled_while_deferred(stage: Stage) -> None:
    await stage.caller.submit("one")
    await asyncio.sleep(5)
    await stage.caller.cancel("one")


async def cancelled_while_sent(stage: Stage) -> None:
    """Cancel repeatedly while the provider is slow."""
    await stage.caller.submit("one")
    await asyncio.sleep(6)
    await stage.caller.cancel("one")


async def cancelled_at_once(stage: Stage) -> None:
    """Cancel while the message may still be queued."""
    await stage.caller.submit_all("one", "two")
    await stage.caller.cancel("one")


async def batches(stage: Stage) -> None:
    """Send a request with more messages than an entry holds."""
    await stage.caller.submit_batch(MANY, key="many")


async def grouped(stage: Stage, how: str) -> str:
    """Schedule two messages of a group, and stop the group before they are due. Returns the group."""
    made = await stage.caller.insist("POST", "/v3/mail/batch")
    group = str(msgspec.json.decode(made.body)["batch_id"])
    send_at = int(stage.world.clock().timestamp()) + 200
    for label in ("one", "two"):
        await stage.caller.submit_grouped(label, group, send_at=send_at)
    await stage.caller.insist("POST", "/v3/user/scheduled_sends", {"batch_id": group, "status": how})
    return group


async def cancelled_group(stage: Stage) -> None:
    await grouped(stage, "cancel")


async def paused_group(stage: Stage) -> None:
    """Release the group after its messages were due."""
    group = await grouped(stage, "pause")
    await asyncio.sleep(400)
    await stage.caller.insist("DELETE", f"/v3/user/scheduled_sends/{group}")


async def redriven(stage: Stage) -> None:
    await stage.caller.submit("one")
    await asyncio.sleep(700)
    stage.main.script = first()
    for _ in range(2):
        await stage.caller.insist("POST", "/v1/deadletters/redrive", {"code": "content_refused"})
    await asyncio.sleep(700)
    name = stage.caller.submissions["one"].id
    if name is not None:
        # It is sent by now: neither way puts it back.
        await stage.caller.insist("POST", "/v1/deadletters/redrive", {"ids": [name]})
        await stage.caller.ask("POST", f"/v1/messages/{name}/redrive", {})


async def resent(stage: Stage) -> None:
    """Resend a sent message, in one call that is repeated before and after the second copy is sent."""
    await stage.caller.submit("one")
    await asyncio.sleep(700)
    name = stage.caller.submissions["one"].id
    if name is None:
        return
    shown = await stage.caller.insist("GET", f"/v1/messages/{name}")
    until = msgspec.json.decode(shown.body)["attempts"][-1]["at"]
    await stage.caller.resend("one", until)
    await asyncio.sleep(700)
    await stage.caller.resend("one", until)
    batch, index = stage.world.place_of(name)
    [part] = (await stage.world.witness.journal.read(batch)).statuses[index].parts
    if (part.state, part.redriven) != (SENT, 1):
        stage.caller.broken_promises.append(
            f"one: is {part.state} after it was resent, and was put back {part.redriven} times"
        )


async def erased(stage: Stage) -> None:
    """Create a person's mail in every final or waiting state, some of it shared with another, with events of both."""
    later = (stage.world.clock() + timedelta(days=1)).isoformat()
    await asyncio.gather(
        stage.caller.submit("hers", to=[ADA, "bob@example.net"]),
        stage.caller.submit("hers, refused", to=[ADA]),
        stage.caller.submit("another's"),
        stage.caller.submit("hers, large", to=[ADA], text="A long letter. " * 4000),
        stage.caller.submit("hers, later", cc=[ADA], send_at=later),
    )
    await asyncio.sleep(700)
    for label in ("hers", "another's"):
        await reported(stage, label)
    await stage.caller.erase(ADA)


async def reported(stage: Stage, label: str) -> None:
    """Build one delivery event for each message of the batch."""
    name, journal = stage.caller.submissions[label].id, stage.world.witness.journal
    if name is None:
        return
    batch, _ = stage.world.place_of(name)
    record = await journal.read(batch)
    events, marked = list[RecordedEvent](), dict[int, MessageStatus]()
    for index, submission in enumerate(record.entry().messages):
        if submission.message is None:
            continue
        emails = [address.email.lower() for address in submission.message.recipients]
        at, key = stage.world.clock(), f"{index}"
        event = RecordedEvent(index=index, kind="delivered", at=at, key=key, recipient=emails[0])
        events.append(event)
        marked[index] = msgspec.structs.replace(record.statuses[index], reported=reported_of([event], emails))
    await journal.note_reported(record, events, marked)


async def erased_while_sent(stage: Stage) -> None:
    """Erase while the provider is slow, and once more for messages that were still queued."""
    await stage.caller.submit_all("one", "two", to=[ADA])
    await asyncio.sleep(6)
    await stage.caller.erase(ADA)
    await asyncio.sleep(1500)
    await stage.caller.erase(ADA)


async def foreign_entries(stage: Stage) -> None:
    """Another program writes to our queues."""
    for queue in stage.world.queue_names:
        await stage.world.queues.put(queue, b'{"hello": "world"}')
    await stage.caller.submit("one")


NOT_VERIFIED = {"new": {SENT}, "known": {SENT}}
ADA = "ada@example.net"
ONE, TWO = {"one": {SENT}}, {"one": {SENT}, "two": {SENT}}
MAYBE_ONE, MAYBE_TWO = {"one": {UNKNOWN}}, {"one": {UNKNOWN}, "two": {UNKNOWN}}

MANY_AWAY = [f"one of ten {n}" for n in range(10)]
MANY = [f"one of many {n}" for n in range(34)]

SCENARIOS = (
    Scenario(
        name="fresh batch",
        settings=ONE_ROUTE,
        accounts=one(),
        play=fresh_batch,
        ends={**TWO, "three": {SENT}, "four": {SENT}},
        attempts={"one": 1, "two": 1, "three": 1, "four": 1},
    ),
    Scenario(
        name="retry",
        settings=ONE_ROUTE,
        accounts=one(for_subject("one", first(AWAY, AWAY))),
        play=pair,
        ends=TWO,
        attempts={"one": 3, "two": 1},
    ),
    Scenario(
        name="retry after minutes",
        settings=LONG_RETRY,
        accounts=one(for_subject("one", first(AWAY, AWAY))),
        play=pair,
        ends=TWO,
        attempts={"one": 3, "two": 1},
    ),
    Scenario(
        name="hold and release",
        settings=ONE_ROUTE,
        accounts=one(),
        play=vetting,
        ends={**TWO, "three": {SENT}},
        attempts={"one": 1, "two": 1, "three": 1},
    ),
    Scenario(
        name="held past its expiry",
        settings=SHORT_LIVED,
        accounts=one(),
        play=held_past_expiry,
        ends=ONE,
        may_end={"one": {UNKNOWN, State.EXPIRED}},
    ),
    Scenario(
        name="held past the expiry that its caller asked for",
        settings=ONE_ROUTE,
        accounts=one(),
        play=lambda stage: held_past_expiry(stage, 90),
        ends={"one": {State.EXPIRED}},
        may_end=MAYBE_ONE,
    ),
    Scenario(
        name="provider away past the expiry",
        settings=SHORT_LIVED,
        accounts=one(),
        play=away_past_expiry,
        ends={label: {State.EXPIRED} for label in (*MANY_AWAY, "late")},
        may_end={label: {SENT, UNKNOWN} for label in (*MANY_AWAY, "late")},
    ),
    Scenario(
        name="early probe",
        settings=ONE_ROUTE,
        accounts=one(),
        play=away_for_a_while,
        ends={label: {SENT} for label in (*MANY_AWAY, "late", "prober")},
        attempts={"prober": 1},
    ),
    Scenario(
        name="canary that fails",
        settings=ONE_ROUTE,
        accounts=one(),
        play=vetting_with_deceptive_probe,
        ends=TWO,
        attempts={"one": 1, "two": 1},
    ),
    Scenario(
        name="one sender held",
        settings=ONE_ROUTE,
        accounts=one(),
        play=unverified_sender,
        ends=NOT_VERIFIED,
        attempts={"new": 1, "known": 1},
    ),
    Scenario(
        name="held by an operator",
        settings=ONE_ROUTE,
        accounts=one(),
        play=held_by_operator,
        ends=TWO,
        attempts={"one": 1, "two": 1},
    ),
    Scenario(
        name="operator's hold with an end",
        settings=ONE_ROUTE,
        accounts=one(),
        play=held_until,
        ends=TWO,
        attempts={"one": 1, "two": 1},
    ),
    Scenario(
        name="failover",
        settings=TWO_ROUTES,
        accounts=lambda: {"main": Account(always(VETTING)), "backup": Account()},
        play=pair,
        ends=TWO,
    ),
    Scenario(
        name="failover from a route that asks for a day",
        settings=TWO_ROUTES,
        accounts=lambda: {"main": Account(always(BUSY)), "backup": Account()},
        play=pair,
        ends=TWO,
        # After an interrupted attempt by the first route no other one is certain to be the only one.
        may_end=MAYBE_TWO,
        attempts={"one": 2, "two": 2},
    ),
    Scenario(
        name="paced",
        settings=PACED,
        accounts=one(),
        play=fresh_batch,
        ends={**TWO, "three": {SENT}, "four": {SENT}},
        attempts={"one": 1, "two": 1, "three": 1, "four": 1},
    ),
    Scenario(
        name="partial recipients",
        settings=ONE_ROUTE,
        accounts=one(by_recipient),
        play=three_recipients,
        ends={"one": {SENT, FAILED}},
        may_end=MAYBE_ONE,
    ),
    Scenario(
        name="at most once",
        settings=ONE_ROUTE,
        accounts=one(),
        play=careful_pair,
        ends=TWO,
        may_end=MAYBE_TWO,
    ),
    Scenario(
        name="at most once, response lost",
        settings=ONE_ROUTE,
        accounts=one(for_subject("one", first(LostResponse(was_accepted=True)))),
        play=careful_pair,
        ends={"one": {UNKNOWN}, "two": {SENT}},
        may_end={"one": {SENT}, "two": {UNKNOWN}},
    ),
    Scenario(
        name="at most once, response lost, provider can verify",
        settings=ASKABLE,
        accounts=one(for_subject("one", first(LostResponse(was_accepted=True)))),
        play=careful_pair,
        ends=TWO,
        may_end=MAYBE_TWO,
    ),
    Scenario(
        name="at most once, request lost, provider can verify",
        settings=ASKABLE,
        accounts=one(for_subject("one", first(LostResponse(was_accepted=False)))),
        play=careful_pair,
        ends=TWO,
        may_end=MAYBE_TWO,
    ),
    Scenario(
        name="at least once, response lost",
        settings=ONE_ROUTE,
        accounts=one(for_subject("one", first(LostResponse(was_accepted=True)))),
        play=pair,
        ends=TWO,
    ),
    Scenario(
        name="at least once, provider that can verify and does not know",
        settings=ASKABLE,
        accounts=one(for_subject("one", first(LostResponse(was_accepted=True), AWAY)), knows_attempts=False),
        play=pair,
        ends=TWO,
    ),
    Scenario(
        name="scheduled",
        settings=ONE_ROUTE,
        accounts=one(),
        play=scheduled,
        ends={"soon": {SENT}, "later": {SENT}},
        attempts={"soon": 1, "later": 1},
    ),
    Scenario(name="claim check", settings=ONE_ROUTE, accounts=one(), play=large, ends=ONE),
    Scenario(name="envelope in the blob", settings=ASKABLE, accounts=one(), play=many_recipients, ends=ONE),
    Scenario(name="idempotent submission", settings=ONE_ROUTE, accounts=one(), play=idempotent, ends=ONE),
    Scenario(
        name="cancelled",
        settings=ONE_ROUTE,
        accounts=one(),
        play=cancelled,
        ends={"one": {State.CANCELLED}},
        may_end=ONE,
    ),
    Scenario(
        name="cancelled while deferred",
        settings=ONE_ROUTE,
        accounts=one(first(AWAY)),
        play=cancelled_while_deferred,
        ends={"one": {State.CANCELLED}},
        may_end={"one": {SENT, UNKNOWN}},
    ),
    Scenario(
        name="cancelled at once",
        settings=ONE_ROUTE,
        accounts=one(),
        play=cancelled_at_once,
        ends={"one": {State.CANCELLED}, "two": {SENT}},
        may_end={"one": {SENT, UNKNOWN}},
    ),
    Scenario(
        name="cancelled while it is sent",
        settings=ONE_ROUTE,
        accounts=lambda: {"main": Account(seconds=9.0)},
        play=cancelled_while_sent,
        ends=ONE,
        may_end={"one": {State.CANCELLED, UNKNOWN}},
    ),
    Scenario(
        name="batch of several entries",
        settings=ONE_ROUTE,
        accounts=one(),
        play=batches,
        ends={label: {SENT} for label in MANY},
    ),
    Scenario(
        # Cut elsewhere, the repetition would have other batch ids, and everybody would get the mail twice.
        name="batch whose repetition is larger",
        settings=ONE_ROUTE,
        accounts=one(),
        play=lambda stage: stage.caller.submit_batch(MANY, key="many", text="x" * 1_900, traced=True),
        ends={label: {SENT} for label in MANY},
    ),
    Scenario(
        # The stop is confirmed before any attempt: no fault may let one of them go.
        name="cancelled group",
        settings=ONE_ROUTE,
        accounts=one(),
        play=cancelled_group,
        ends={"one": {State.CANCELLED}, "two": {State.CANCELLED}},
        may_end=MAYBE_TWO,
    ),
    Scenario(name="paused group", settings=ONE_ROUTE, accounts=one(), play=paused_group, ends=TWO),
    Scenario(
        name="redriven",
        settings=ONE_ROUTE,
        accounts=one(always(Rejected(code="content_refused"))),
        play=redriven,
        ends=ONE,
    ),
    Scenario(name="resent", settings=ONE_ROUTE, accounts=one(), play=resent, ends=ONE),
    Scenario(
        name="poison",
        settings=ONE_ROUTE,
        accounts=lambda: {"main": Account(kills=lambda request: request.message.subject == "two")},
        play=pair,
        ends={"one": {SENT, UNKNOWN}, "two": {UNKNOWN}},
    ),
    Scenario(
        name="expired",
        settings=ONE_ROUTE,
        accounts=one(always(AWAY)),
        play=lambda stage: stage.caller.submit("one", expires_in_seconds=90),
        ends={"one": {State.EXPIRED}},
        may_end=MAYBE_ONE,
    ),
    Scenario(
        name="expired in doubt",
        settings=ONE_ROUTE,
        accounts=one(lambda _, number: LostResponse(was_accepted=True) if number == 1 else AWAY),
        play=lambda stage: stage.caller.submit("one", expires_in_seconds=120),
        ends={"one": {UNKNOWN}},
        may_end={"one": {State.EXPIRED}},
    ),
    Scenario(
        name="erased",
        settings=ONE_ROUTE,
        accounts=one(for_subject("hers, refused", always(Rejected(code="content_refused", reply=f"550 {ADA}")))),
        play=erased,
        ends={
            "hers": {SENT},
            "hers, refused": {FAILED},
            "another's": {SENT},
            "hers, large": {SENT},
            "hers, later": {State.CANCELLED},
        },
        may_end={"hers, refused": {UNKNOWN}},
    ),
    Scenario(
        name="erased while it is sent",
        settings=ONE_ROUTE,
        accounts=lambda: {"main": Account(seconds=9.0)},
        play=erased_while_sent,
        ends=TWO,
        may_end={"one": {State.CANCELLED, UNKNOWN}, "two": {State.CANCELLED, UNKNOWN}},
    ),
    Scenario(name="foreign entries", settings=ONE_ROUTE, accounts=one(), play=foreign_entries, ends=ONE),
)

DEADLY = (
    Scenario(
        name="deadly at its second attempt",
        settings=ONE_ROUTE,
        accounts=lambda: {"main": Account(first(AWAY), kills=lambda request: request.attempt > 1)},
        play=one_message,
        ends={"one": {UNKNOWN}},
        most_deaths=5,
    ),
)
"""Run without a further fault, since these scenarios already kill processes."""
