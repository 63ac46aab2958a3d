"""Attempts: all of a batch at once, each with its own outcome, and what is asked, paced and put off."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from relay.core.errors import Unavailable
from relay.core.model import Address, Attachment, DeliveryGuarantee, MessageStatus, Part, State, Submission
from relay.core.outcomes import Deferred, Outcome, PerRecipient, Rejected, RouteFault, Sent, Unknown
from relay.core.parts import part_history, part_states
from relay.core.settings import Pace, Route, Rule
from relay.delivery.attempts import MIN_SECONDS_LEFT, OwnedPart
from relay.platform.resources import ATTACHMENTS_CONTAINER, CONTENT_CONTAINER
from tests.doubles import START, Place, batch_of, changed, entry_of, message_of, place_of, settings_of, submission_of

BEGUN = part_states.begin(Part(route="", state=State.QUEUED), "main", START)
AT_MOST_ONCE = submission_of(delivery=DeliveryGuarantee.AT_MOST_ONCE)
VERIFIABLE = settings_of(Route(name="main", provider="sendgrid", settings={"activity_feed": True}))


async def make(
    place: Place, *submissions: Submission, part: Part = BEGUN, sender: Address | None = None
) -> list[tuple[Part, ...]]:
    """Make the first attempts of a batch of these; what became of each."""
    body = entry_of(*submissions)
    entry = batch_of(body)
    statuses = [MessageStatus(parts=(part,), sender=sender) for _ in entry.messages]
    record = await place.journal.open(entry, body, statuses)
    ours = [OwnedPart(index=index, part=part) for index in range(len(statuses))]
    changes = await place.attempts.make(record, entry, ours)
    assert sorted(change.index for change in changes) == list(range(len(statuses)))
    assert all(change.before == part for change in changes)
    return [change.after for change in sorted(changes, key=lambda change: change.index)]


async def outcome(place: Place, submission: Submission | None = None, **fields: Any) -> Part:
    ((part,),) = await make(place, submission or submission_of(), **fields)
    return part


def doubtful(attempt: int = 1, provider_id: str | None = "p-1") -> Part:
    """A part whose attempt before this one may have arrived."""
    part = part_states.interrupt(BEGUN, START)
    doubt = changed(part.attempts[0], number=attempt, provider_id=provider_id)
    return part_states.begin(changed(part, attempts=(doubt,), attempt=attempt), "main", START)


# ── outcomes ──


async def test_each_message_of_a_batch_has_its_own_outcome(place: Place) -> None:
    answers: list[Outcome] = [Sent(provider_id="x"), Rejected(code="invalid_recipient"), Deferred(code="unreachable")]
    place.script().answers.extend(answers)
    made = await make(place, submission_of(), submission_of(), submission_of(), submission_of())
    assert [part.state for (part,) in made] == [State.SENT, State.FAILED, State.DEFERRED, State.SENT]
    assert made[0][0].provider_id == "x"


async def test_messages_deferred_together_return_together(place: Place) -> None:
    place.script().answers.extend([Deferred(code="unreachable")] * 3)
    made = await make(place, submission_of(), submission_of(), submission_of())
    assert len({part.due_at for (part,) in made}) == 1


async def test_recipients_with_different_outcomes_become_separate_parts(place: Place) -> None:
    answer = PerRecipient(outcomes=(((0,), Sent()), ((1,), Deferred(code="recipient_deferred"))))
    place.script().answers.append(answer)
    (parts,) = await make(place, submission_of(message_of("a@example.com", "b@example.com")))
    assert [(part.recipients, part.state) for part in parts] == [((0,), State.SENT), ((1,), State.DEFERRED)]


async def test_send_request_leaves_out_suppressed_recipients(place: Place) -> None:
    message = message_of("a@example.com", "b@example.com", "c@example.com")
    await make(place, submission_of(message, suppressed={1: "bounced"}))
    (request,) = place.script().sent
    assert (request.message, request.recipients, request.attempt) == (message, (0, 2), 1)
    assert request.message_id_header == f"{request.id}@example.org"
    assert request.date == START.replace(microsecond=250_000)


@pytest.mark.parametrize("bug", [ZeroDivisionError("secret"), TimeoutError()])
async def test_exception_in_a_provider_makes_one_message_unknown(place: Place, bug: Exception) -> None:
    place.script().answers.extend([bug, Sent()])
    (broken,), (sent,) = await make(place, submission_of(), submission_of())
    assert broken.state is State.DEFERRED
    assert part_history.is_uncertain(broken)
    assert "secret" not in broken.attempts[0].reply
    assert sent.state is State.SENT


async def test_exception_in_an_attempt_keeps_the_other_outcomes(place: Place) -> None:
    place.blobs.fail("get", ZeroDivisionError())
    broken = submission_of(blob="20260301/x")
    made = await make(place, submission_of(), broken, submission_of())
    assert [part.state for (part,) in made] == [State.SENT, State.DEFERRED, State.SENT]
    assert made[1][0].code == "poisoned"


async def test_route_fault_holds_the_route_for_later_messages(place: Place) -> None:
    place.script().answers.append(RouteFault(code="bad_credentials"))
    held = await outcome(place)
    assert (held.state, held.attempt, held.held_scope) == (State.HELD, 0, "main")
    assert list(await place.holds.all(fresh=True)) == ["main"]


TWO_ROUTES = settings_of(
    Route(name="main", provider="smtp"),
    Route(name="spare", provider="smtp"),
    rules=(Rule(routes=("main", "spare")),),
)


async def test_long_wait_of_one_route_sends_by_the_next_at_once() -> None:
    place = await place_of(TWO_ROUTES)
    place.script().answers.append(Deferred(code="rate_limited", retry_after_seconds=86_400))
    batch = await place.send()
    assert await place.work() == 1
    (part,) = (await place.journal.read(batch)).statuses[0].parts
    assert [(attempt.route, attempt.outcome) for attempt in part.attempts] == [("main", "deferred"), ("spare", "sent")]


async def test_routes_that_all_ask_to_wait_are_waited_for() -> None:
    place = await place_of(TWO_ROUTES)
    for name, seconds in (("main", 600), ("spare", 1_200)):
        place.script(name).answers.append(Deferred(code="rate_limited", retry_after_seconds=seconds))
    batch = await place.send()
    assert await place.work() == 1
    place.time.move(590)
    assert await place.work() == 0
    place.time.move(20)
    await place.recovery.run()
    await place.work()
    (part,) = (await place.journal.read(batch)).statuses[0].parts
    assert [(attempt.route, attempt.outcome) for attempt in part.attempts][2:] == [("main", "sent")]


async def test_doubtful_message_is_not_sent_by_another_route_because_of_a_wait() -> None:
    place = await place_of(TWO_ROUTES)
    lost, busy = Unknown(code="response_lost"), Deferred(code="rate_limited", retry_after_seconds=86_400)
    place.script().answers.extend([lost, busy])
    await place.send()
    place.time.move(30)
    assert await place.work() == 1
    assert await place.work() == 0
    assert place.script("spare").sent == []


# ── content ──


async def test_missing_content_fails_the_message(place: Place) -> None:
    part = await outcome(place, submission_of(blob="20260301/gone"))
    assert (part.state, part.code) == (State.FAILED, "content_missing")


async def test_damaged_content_fails_the_message(place: Place) -> None:
    await place.memory.blobs.put(CONTENT_CONTAINER, "20260301/x", b"{")
    part = await outcome(place, submission_of(blob="20260301/x"))
    assert (part.state, part.code) == (State.FAILED, "content_missing")


async def test_unavailable_content_is_retried_without_counting_an_attempt(place: Place) -> None:
    place.blobs.fail("get", Unavailable("away"))
    part = await outcome(place, submission_of(blob="20260301/x"))
    assert (part.state, part.code, part.attempt) == (State.DEFERRED, "content_unavailable", 0)
    assert part.due_at == START + timedelta(seconds=30)
    assert place.script().sent == []


async def test_send_request_contains_uploaded_attachments(place: Place) -> None:
    await place.memory.blobs.put(ATTACHMENTS_CONTAINER, "20260301/a", b"there")
    await outcome(place, submission_of(message_of(attachments=(Attachment(name="a", blob="20260301/a", size=5),))))
    assert place.script().sent[0].message.attachments[0].content == b"there"


async def test_redrive_uses_its_sender_and_holds_that_sender_on_a_fault(place: Place) -> None:
    place.script().answers.append(RouteFault(code="sender_not_verified"))
    part = await outcome(place, sender=Address(email="Other@example.net"))
    (request,) = place.script().sent
    assert request.message.sender.email == "Other@example.net"
    assert request.message_id_header.endswith("@example.net")
    assert part.held_scope == "main|other@example.net"


# ── doubts ──


async def test_uncertain_attempt_is_verified_before_a_resend() -> None:
    place = await place_of(VERIFIABLE)
    place.script().verdicts.append(Sent(provider_id="found"))
    part = await outcome(place, part=doubtful())
    assert (part.state, part.provider_id) == (State.SENT, "found")
    assert place.script().sent == []
    ((request, provider_id),) = place.script().verified
    assert (request.attempt, provider_id) == (1, "p-1")


async def test_uncertain_attempt_is_asked_about_by_its_own_id_after_its_part_was_split() -> None:
    place = await place_of(VERIFIABLE)
    pair = submission_of(message_of("a@example.com", "b@example.com"))
    lost, split = Unknown(code="response_lost"), (((0,), Sent()), ((1,), Deferred(code="recipient_deferred")))
    place.script().answers += [lost, PerRecipient(outcomes=split)]
    uncertain = await outcome(place, pair)
    ((_, waiting),) = await make(place, pair, part=part_states.begin(uncertain, "main", START))
    await make(place, pair, part=part_states.begin(waiting, "main", START))
    asked = [request for request, _ in place.script().verified]
    assert [(request.recipients, request.attempt) for request in asked] == [((0, 1), 1), ((1,), 1)]
    assert [request.attempt_id for request in asked] == [
        part_history.latest_attempt_id(request.id, BEGUN) for request in asked
    ]


@pytest.mark.parametrize(
    ("verdict", "submission", "state", "sends"),
    [
        (Deferred(code="unreachable"), submission_of(), State.SENT, 1),
        (Deferred(code="unreachable"), AT_MOST_ONCE, State.SENT, 1),
        (Unknown(code="response_lost"), submission_of(), State.SENT, 1),
        (Unknown(code="response_lost"), AT_MOST_ONCE, State.UNKNOWN, 0),
    ],
)
async def test_verification_decides_about_the_resend(
    verdict: Outcome, submission: Submission, state: State, sends: int
) -> None:
    place = await place_of(VERIFIABLE)
    place.script().verdicts.append(verdict)
    assert (await outcome(place, submission, part=doubtful())).state is state
    assert len(place.script().sent) == sends


async def test_provider_without_verification_is_not_asked(place: Place) -> None:
    assert (await outcome(place, part=doubtful())).state is State.SENT
    assert place.script().verified == []


async def test_redriven_part_is_sent_after_an_inconclusive_verification() -> None:
    place = await place_of(VERIFIABLE)
    part = await outcome(place, AT_MOST_ONCE, part=changed(doubtful(), may_resend=True))
    assert part.state is State.SENT
    assert len(place.script().verified) == len(place.script().sent) == 1


async def test_expired_part_is_verified_and_not_sent() -> None:
    place = await place_of(VERIFIABLE)
    old = submission_of(expires_at=START)
    assert (await outcome(place, old, part=doubtful())).state is State.UNKNOWN
    place.script().verdicts.append(Deferred(code="unreachable"))
    assert (await outcome(place, old, part=doubtful())).state is State.EXPIRED
    assert place.script().sent == []


# ── time and pace ──


async def test_attempt_is_not_begun_near_the_end_of_its_lease(place: Place) -> None:
    place.time.move(part_states.LEASE_SECONDS - MIN_SECONDS_LEFT + 1)
    part = await outcome(place)
    assert (part.state, part.attempt) == (State.DEFERRED, 0)
    assert place.script().sent == []


async def test_waiting_for_a_slot_uses_up_the_lease() -> None:
    place = await place_of(settings_of(Route(name="main", provider="smtp", concurrency=1)))

    async def take_the_whole_lease() -> None:
        place.time.move(part_states.LEASE_SECONDS - 60)

    place.script().before_send = take_the_whole_lease
    made = await make(place, submission_of(), submission_of())
    assert [part.state for (part,) in made] == [State.SENT, State.DEFERRED]


PACED = settings_of(
    Route(name="main", provider="smtp", paces=(Pace(count=10, seconds=60, resource="mailbox {sender}"),))
)


async def test_paced_message_waits_for_its_slot_without_an_attempt() -> None:
    place = await place_of(PACED)
    made = await make(place, *(submission_of() for _ in range(4)))
    assert [(part.state, part.attempt) for (part,) in made] == [
        (State.SENT, 1),
        (State.SENT, 1),
        (State.DEFERRED, 0),
        (State.DEFERRED, 0),
    ]
    paced = made[2][0]
    assert (paced.code, paced.slot_at) == ("paced", paced.due_at)
    assert paced.due_at is not None
    assert paced.due_at.timestamp() == pytest.approx(START.timestamp() + 7.5, abs=1e-5)


async def test_reserved_slot_is_used_without_another_reservation() -> None:
    place = await place_of(PACED)
    slot = changed(BEGUN, slot_at=START)
    for _ in range(5):
        assert (await outcome(place, part=slot)).state is State.SENT
    assert len(place.memory.tables.rows("pacing")) == 0


async def test_expired_slot_is_reserved_again() -> None:
    place = await place_of(PACED)
    lapsed = changed(BEGUN, slot_at=START - timedelta(seconds=21))
    await outcome(place, part=lapsed)
    assert len(place.memory.tables.rows("pacing")) == 1


async def test_each_sender_has_its_own_pace() -> None:
    place = await place_of(PACED)
    senders = [submission_of(message_of(sender=Address(email=f"s{number}@example.org"))) for number in range(4)]
    made = await make(place, *senders, *senders)
    assert {part.state for (part,) in made} == {State.SENT}


async def test_unavailable_pace_row_defers_the_message() -> None:
    place = await place_of(PACED)
    place.tables.fail("get", Unavailable("away"))
    part = await outcome(place)
    assert (part.state, part.code, part.due_at) == (State.DEFERRED, "paced", START + timedelta(seconds=30))
    assert place.script().sent == []


async def test_concurrent_attempts_of_a_route_are_limited() -> None:
    place = await place_of(settings_of(Route(name="main", provider="smtp", concurrency=3)))
    under_way: list[int] = []
    counts: list[int] = []

    async def count() -> None:
        under_way.append(1)
        counts.append(len(under_way))
        for _ in range(5):
            await asyncio.sleep(0)
        under_way.pop()

    place.script().before_send = count
    await make(place, *(submission_of() for _ in range(10)))
    assert max(counts) == 3
