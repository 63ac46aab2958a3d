"""Sent checks: the effect of each answer on a part, and crashes in between."""

from datetime import datetime, timedelta

import pytest

from relay.core.errors import Changed, StorageError, Unavailable
from relay.core.model import Part, State
from relay.core.outcomes import Deferred, Outcome, PerRecipient, Rejected, RouteFault, Sent, Unknown
from relay.core.parts import attempt_results, part_states, put_back
from relay.core.parts.attempt_results import AttemptResult
from relay.core.send_request import SendRequest
from relay.core.settings import Lane, Route
from relay.journal import records
from relay.journal.pending import SHARDS
from relay.journal.record_rows import partition
from relay.operations import sent_checks
from relay.operations.sent_checks import CHECK_FOR, FIRST_DELAY, checked
from relay.platform.concurrency import Deadline
from relay.platform.storage.ports import Entity
from tests.doubles import START, Place, Scripted, place_of, settings_of, submission_of

TAKEN = Sent(provider_id="op", check_after_seconds=60)
GIVEN_UP = Rejected(code="suppressed", reply="Failed")
MINUTE = timedelta(minutes=1)
type Given = tuple[Outcome, State, datetime | None]


def sent(at: datetime = START) -> Part:
    begun = part_states.begin(Part(route="", state=State.QUEUED), "main", at)
    result = AttemptResult(answer=TAKEN, provider="acs", at=at, now=at, lane=Lane(), jitter=0.5)
    (part,) = attempt_results.settle(begun, submission_of(), result)
    return part


def test_accepted_part_is_sent_and_due_for_a_check() -> None:
    part = sent()
    assert (part.state, part.due_at, part.check_at, part.provider_id) == (State.SENT, None, START + MINUTE, "op")


AFTER: dict[str, Given] = {
    "sent": (Sent(provider_id="op"), State.SENT, None),
    "not known to the provider": (Deferred(code="provider_unavailable"), State.SENT, None),
    "still in progress": (TAKEN, State.SENT, START + 2 * MINUTE),
    "lost response": (Unknown(code="response_lost"), State.SENT, START + 2 * MINUTE),
    "route fault": (RouteFault(code="bad_credentials"), State.SENT, START + 2 * MINUTE),
    "given up": (GIVEN_UP, State.FAILED, None),
}


@pytest.mark.parametrize(("answer", "state", "check_at"), AFTER.values(), ids=AFTER)
def test_answer_sets_state_and_next_check(answer: Outcome, state: State, check_at: datetime | None) -> None:
    (part,) = checked(sent(), answer, START + MINUTE)
    assert (part.state, part.check_at, part.provider_id) == (state, check_at, "op")


def test_failed_check_is_recorded_beside_the_attempt() -> None:
    (part,) = checked(sent(), GIVEN_UP, START + MINUTE)
    assert part.code == "suppressed"
    assert [(each.outcome, each.code, each.reply) for each in part.attempts] == [
        ("sent", "", ""),
        ("rejected", "suppressed", "Failed"),
    ]
    assert put_back.redrive(part, START, 60, None) is not None


def test_checks_back_off_and_end_after_a_day() -> None:
    part, times = sent(), []
    while part.check_at is not None:
        times.append((part.check_at - START).total_seconds())
        (part,) = checked(part, Unknown(code="response_lost"), part.check_at)
    assert times[:4] == [60, 120, 240, 480]
    assert FIRST_DELAY.total_seconds() == times[0]
    assert CHECK_FOR.total_seconds() / 2 < times[-1] <= CHECK_FOR.total_seconds()
    assert part.state is State.SENT


def test_different_answers_split_the_part() -> None:
    answer = PerRecipient(outcomes=(((2,), Sent()), ((0,), GIVEN_UP), ((1,), Sent())))
    went, stayed = checked(sent(), answer, START + MINUTE)
    assert (went.recipients, went.state, stayed.recipients, stayed.state) == ((1, 2), State.SENT, (0,), State.FAILED)


@pytest.fixture
async def place() -> Place:
    return await place_of(settings_of(Route(name="main", provider="acs")))


async def part_of(place: Place, batch: str) -> Part:
    (part,) = (await place.journal.read(batch)).statuses[0].parts
    return part


async def rows(place: Place) -> list[str]:
    return [listed.due.kind async for listed in place.pending.until(place.time() + timedelta(days=2))]


async def dead(place: Place) -> list[str]:
    return list(await place.dead_letters.counts())


async def taken(place: Place) -> str:
    """Send one message whose check is due."""
    place.script().answers.append(TAKEN)
    batch = await place.send(submission_of())
    place.time.move(61)
    return batch


async def test_no_check_is_made_before_its_time(place: Place) -> None:
    await taken(place)
    place.time.move(-2)
    await place.sent_checks.run()
    assert (place.script().verified, await rows(place)) == ([], ["sent"])


async def test_confirmed_part_is_not_checked_again(place: Place) -> None:
    batch = await taken(place)
    place.script().verdicts.append(Sent(provider_id="op"))
    await place.sent_checks.run()
    ((request, provider_id),) = place.script().verified
    assert (provider_id, request.attempt_id) == ("op", place.script().sent[0].attempt_id)
    assert ((await part_of(place, batch)).state, await rows(place), await dead(place)) == (State.SENT, [], [])


async def test_failed_check_makes_a_dead_letter(place: Place) -> None:
    batch = await taken(place)
    place.script().verdicts.append(GIVEN_UP)
    await place.sent_checks.run()
    assert ((await part_of(place, batch)).state, await rows(place), await dead(place)) == (
        State.FAILED,
        [],
        ["suppressed"],
    )


class Broken(Scripted):
    """Raise, as a provider with a bug."""

    async def verify(self, request: SendRequest, provider_id: str | None) -> Outcome:
        raise RuntimeError("a bug")


async def test_failing_provider_is_checked_again(place: Place) -> None:
    place.scripted["main"] = Broken()
    batch = await taken(place)
    await place.sent_checks.run()
    part = await part_of(place, batch)
    assert (part.state, part.check_at, await rows(place)) == (State.SENT, START + timedelta(seconds=122), ["sent"])


async def test_recovery_ignores_rows_of_checks(place: Place) -> None:
    await taken(place)
    place.time.move(3600)
    assert (await place.recovery.recover()).done == 0
    assert place.waiting() == []


async def test_lost_race_records_the_answer_on_the_new_record(place: Place) -> None:
    batch = await taken(place)
    place.script().verdicts.append(GIVEN_UP)
    place.tables.fail("merge", Changed("first"))
    await place.sent_checks.run()
    assert ((await part_of(place, batch)).state, await rows(place)) == (State.FAILED, [])
    assert len(place.script().verified) == 1


async def test_part_erased_during_the_question_stays_sent(place: Place) -> None:
    batch = await taken(place)
    place.script().verdicts.append(GIVEN_UP)
    message = submission_of().message
    assert message is not None
    place.tables.before("merge", lambda: place.erasure.step(message.recipients[0].email))
    await place.sent_checks.run()
    assert ((await part_of(place, batch)).state, await dead(place), await rows(place)) == (State.SENT, [], [])


async def test_interrupted_follow_up_is_finished_by_the_next_run(place: Place) -> None:
    batch = await taken(place)
    place.script().verdicts.append(GIVEN_UP)
    # The process dies after the settlement; the dead letter's row would be written next.
    place.tables.fail("upsert", Unavailable("away"))
    with pytest.raises(Unavailable):
        await place.sent_checks.run()
    assert ((await part_of(place, batch)).state, await dead(place), await rows(place)) == (State.FAILED, [], ["sent"])
    await place.sent_checks.run()
    assert (await dead(place), await rows(place), len(place.script().verified)) == (["suppressed"], [], 1)


async def test_row_of_a_purged_record_is_removed(place: Place) -> None:
    batch = await taken(place)
    await place.tables.delete(records.TABLE, partition(batch), "batch")
    await place.sent_checks.run()
    assert (await rows(place), place.script().verified) == ([], [])


async def test_newer_record_is_skipped_and_others_are_checked(place: Place) -> None:
    newer, other = await taken(place), await taken(place)
    row = Entity(partition=partition(newer), row="batch", properties={"content": b'{"relay":3}'})
    await place.tables.merge(records.TABLE, row)
    place.script().verdicts.append(GIVEN_UP)
    await place.sent_checks.run()
    assert ((await part_of(place, other)).state, await rows(place)) == (State.FAILED, ["sent"])


async def test_removed_route_is_not_checked(place: Place) -> None:
    batch = await taken(place)
    place.settings = settings_of(Route(name="other", provider="acs"))
    await place.sent_checks.run()
    assert ((await part_of(place, batch)).check_at, await rows(place)) == (None, [])


@pytest.mark.parametrize("provider", ["smtp", "graph", "sendgrid", "capture"])
async def test_run_without_checkable_routes_costs_nothing(provider: str) -> None:
    place = await place_of(settings_of(Route(name="main", provider=provider)))
    await place.sent_checks.run()
    assert sum(place.tables.calls.values()) == 0


async def test_unreadable_record_is_logged_and_others_are_checked(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    damaged, other = await taken(place), await taken(place)
    await place.tables.merge(records.TABLE, Entity(partition=partition(damaged), row="batch", properties={"m00": b"{"}))
    place.script().verdicts.append(GIVEN_UP)
    await place.sent_checks.run()
    assert ((await part_of(place, other)).state, await rows(place)) == (State.FAILED, ["sent"])
    assert f'check_failed {{"batch":"{damaged}"}}' in caplog.text


async def test_invalid_write_for_one_record_does_not_stop_the_others(place: Place) -> None:
    first, second = await taken(place), await taken(place)
    place.script().verdicts.extend([GIVEN_UP, GIVEN_UP])
    place.tables.fail("merge", StorageError("400 EntityTooLarge"))
    await place.sent_checks.run()
    states = [(await part_of(place, batch)).state for batch in (first, second)]
    assert sorted(states) == [State.FAILED, State.SENT]


async def test_newer_records_do_not_use_up_the_checks_of_a_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent_checks, "MAX_ROWS", 1)
    for _ in range(SHARDS):
        row = Entity(partition=partition(await taken(place)), row="batch", properties={"content": b'{"relay":3}'})
        await place.tables.merge(records.TABLE, row)
    other = await taken(place)
    place.script().verdicts.append(GIVEN_UP)
    await place.sent_checks.run()
    assert (await part_of(place, other)).state is State.FAILED


async def test_scan_of_other_rows_ends_at_the_deadline(place: Place) -> None:
    place.script().answers.append(RouteFault(code="bad_credentials"))
    await place.send(submission_of())
    place.time.move(3600)
    progress = await place.sent_checks.run(Deadline(place.time, 0.0))
    assert (progress.done, progress.is_complete) == (0, False)
