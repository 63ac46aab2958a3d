"""Lost mail: what counts as lost, that it is resent once after any interruption, and that nothing else is resent."""

from datetime import timedelta
from typing import Any

import pytest

from relay.core.errors import Unavailable
from relay.core.events import RecordedEvent
from relay.core.model import DeliveryGuarantee, State
from relay.core.outcomes import Sent, Unknown
from relay.core.settings import Route
from relay.operations.resend_lost import LostMailQuery, ResendStep
from tests.doubles import START, Place, message_of, place_of, settings_of, submission_of

PEOPLE = ("ada@example.org", "bob@example.org", "eve@example.org")
HOUR = 3_600.0


@pytest.fixture
async def place() -> Place:
    return await place_of(settings_of(Route(name="main", provider="sendgrid"), Route(name="other", provider="smtp")))


def query(**changes: Any) -> LostMailQuery:
    values = {"route": "main", "since": START - timedelta(hours=1), "before": START + timedelta(hours=1), **changes}
    return LostMailQuery(**values)


async def report(place: Place, batch: str, kind: str, recipient: str, **fields: Any) -> None:
    event = RecordedEvent(
        index=0, kind=kind, at=START, key=f"{kind}-{recipient}", recipient=recipient, attempt=1, **fields
    )
    await place.journal.note(batch, event)


async def resend_all(place: Place, what: LostMailQuery) -> ResendStep:
    """Call until the scan is complete, and sum the counts."""
    found = redriven = skipped = 0
    cursor: str | None = None
    while True:
        step = await place.resend_lost.step(what, cursor)
        found, redriven, skipped = found + step.found, redriven + step.redriven, skipped + step.skipped
        cursor = step.cursor
        if cursor is None:
            return ResendStep(found=found, redriven=redriven, skipped=skipped)


def sent(place: Place, route: str = "main") -> list[tuple[str, ...]]:
    """Return the recipients of each send request of a route, in order."""
    return [
        tuple(request.message.recipients[number].email for number in request.recipients)
        for request in place.script(route).sent
    ]


async def state(place: Place, batch: str) -> State:
    return (await place.journal.read(batch)).statuses[0].parts[0].state


async def sent_in_an_hour(place: Place) -> list[tuple[str, ...]]:
    """Let an hour pass, recover and deliver; then return `sent`."""
    place.time.move(HOUR)
    await place.recovery.run()
    await place.work()
    return sent(place)


async def test_mail_without_a_report_is_resent_once(place: Place) -> None:
    batch = await place.send(submission_of(message_of("ada@example.org")))
    place.time.move(2 * HOUR)
    assert await resend_all(place, query()) == ResendStep(found=1, redriven=1)
    assert (await place.journal.read(batch)).statuses[0].parts[0].state is State.DEFERRED
    assert await resend_all(place, query()) == ResendStep()
    await place.work()
    assert await resend_all(place, query()) == ResendStep()
    assert sent(place) == [("ada@example.org",)] * 2
    [part] = (await place.journal.read(batch)).statuses[0].parts
    assert (part.state, part.attempt, part.redriven) == (State.SENT, 2, 1)


@pytest.mark.parametrize(
    ("kind", "bounce_class", "is_lost"),
    [
        ("delivered", "", False),
        ("opened", "", False),
        ("complained", "", False),
        ("bounced", "address", False),
        ("bounced", "policy", False),
        ("bounced", "suppressed", False),
        ("bounced", "unknown", True),
        ("bounced", "network", True),
        ("bounced", "account", True),
        ("processed", "", True),
        ("deferred", "", True),
    ],
)
async def test_last_report_decides_whether_mail_is_lost(
    place: Place, kind: str, bounce_class: str, is_lost: bool
) -> None:
    batch = await place.send(submission_of(message_of("ada@example.org")))
    await report(place, batch, kind, "Ada@example.org", bounce_class=bounce_class)
    place.time.move(2 * HOUR)
    assert (await resend_all(place, query())).redriven == int(is_lost)


async def test_only_lost_copies_are_resent(place: Place) -> None:
    batch = await place.send(submission_of(message_of(*PEOPLE)))
    await report(place, batch, "delivered", PEOPLE[1])
    place.time.move(2 * HOUR)
    assert await resend_all(place, query()) == ResendStep(found=1, redriven=1)
    await place.work()
    assert sent(place) == [PEOPLE, (PEOPLE[0], PEOPLE[2])]
    parts = (await place.journal.read(batch)).statuses[0].parts
    assert [(part.recipients, part.state, part.attempt) for part in parts] == [
        ((1,), State.SENT, 1),
        ((0, 2), State.SENT, 2),
    ]


async def test_to_route_resends_by_another_route(place: Place) -> None:
    await place.send(submission_of(message_of("ada@example.org")))
    place.time.move(2 * HOUR)
    await resend_all(place, query(to_route="other"))
    await place.work()
    assert (sent(place), sent(place, "other")) == ([("ada@example.org",)], [("ada@example.org",)])


async def test_dry_run_counts_and_changes_nothing(place: Place) -> None:
    batch = await place.send(submission_of(message_of("ada@example.org")))
    place.time.move(2 * HOUR)
    before = await place.journal.read(batch)
    assert await resend_all(place, query(is_dry=True)) == ResendStep(found=1)
    assert await place.journal.read(batch) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"route": "other"},
        {"since": START + timedelta(minutes=1)},
        {"before": START},
    ],
)
async def test_mail_outside_the_query_is_not_resent(place: Place, changes: dict[str, Any]) -> None:
    await place.send(submission_of(message_of("ada@example.org")))
    place.time.move(2 * HOUR)
    assert await resend_all(place, query(**changes)) == ResendStep()


async def test_at_most_once_mail_is_counted_and_skipped(place: Place) -> None:
    await place.send(submission_of(message_of("ada@example.org"), delivery=DeliveryGuarantee.AT_MOST_ONCE))
    place.time.move(2 * HOUR)
    assert await resend_all(place, query()) == ResendStep(found=1, skipped=1)
    assert await place.work() == 0


async def test_suppressed_recipients_are_not_resent_to(place: Place) -> None:
    await place.send(submission_of(message_of(*PEOPLE), suppressed={1: "bounced"}))
    place.time.move(2 * HOUR)
    await resend_all(place, query())
    await place.work()
    assert sent(place) == [(PEOPLE[0], PEOPLE[2])] * 2


async def test_message_with_purged_content_is_not_resent(place: Place) -> None:
    await place.send(submission_of(None, blob="gone"))
    place.time.move(2 * HOUR)
    assert await resend_all(place, query()) == ResendStep()


# ── interrupted ──


@pytest.mark.parametrize("operation", ["upsert", "merge"])
async def test_crash_at_any_write_resends_once_after_a_repeat(place: Place, operation: str) -> None:
    await place.send(submission_of(message_of("ada@example.org")))
    place.time.move(2 * HOUR)
    for die in (place.tables.fail, None):
        if die is not None:
            die(operation, Unavailable("away"))
            with pytest.raises(Unavailable):
                await resend_all(place, query())
        else:
            await resend_all(place, query())
    await resend_all(place, query())
    await place.work()
    assert await sent_in_an_hour(place) == [("ada@example.org",)] * 2


async def test_crash_before_the_entry_is_recovered_by_the_timer(place: Place) -> None:
    await place.send(submission_of(message_of("ada@example.org")))
    place.time.move(2 * HOUR)
    place.queues.fail("put", Unavailable("away"))
    with pytest.raises(Unavailable):
        await resend_all(place, query())
    assert await resend_all(place, query()) == ResendStep()
    assert await sent_in_an_hour(place) == [("ada@example.org",)] * 2


@pytest.mark.parametrize("found", [True, False])
async def test_mail_with_a_lost_response_is_resent_without_asking_about_it_again(found: bool) -> None:
    """The provider accepted the attempt, and would say so again; whether by that attempt or the next, the mail was lost."""
    place = await place_of(settings_of(Route(name="main", provider="graph")))
    provider = place.script()
    provider.answers.append(Unknown(code="response_lost"))
    if found:
        provider.verdicts.append(Sent())
    batch = await place.send(submission_of(message_of("ada@example.org")))
    assert await sent_in_an_hour(place) == [("ada@example.org",)] * (1 if found else 2)
    assert await state(place, batch) is State.SENT
    place.time.move(2 * HOUR)
    assert await resend_all(place, query(before=place.time())) == ResendStep(found=1, redriven=1)
    provider.verdicts.append(Sent())
    assert await sent_in_an_hour(place) == [("ada@example.org",)] * (2 if found else 3)
    assert await state(place, batch) is State.SENT


async def test_lost_response_resends_nothing_twice(place: Place) -> None:
    await place.send(submission_of(message_of("ada@example.org")))
    place.time.move(2 * HOUR)
    place.tables.lose("merge")
    with pytest.raises(Unavailable):
        await resend_all(place, query())
    assert await resend_all(place, query()) == ResendStep()
    assert await sent_in_an_hour(place) == [("ada@example.org",)] * 2


# ── steps ──


async def test_several_steps_resend_each_message_once(place: Place) -> None:
    for _ in range(260):
        await place.send(submission_of(message_of("ada@example.org")))
        place.time.move(1)
    place.time.move(2 * HOUR)
    first = await place.resend_lost.step(query())
    assert first.cursor is not None
    assert 100 <= first.redriven < 260
    # Repeat from the start, as after a lost response, and then continue to the end.
    assert (await resend_all(place, query())).redriven == 260 - first.redriven
    await place.work()
    assert len(sent(place)) == 520


@pytest.mark.parametrize("cursor", ["", "x", "g|", "0"])
async def test_invalid_cursor_is_refused(place: Place, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await place.resend_lost.step(query(), cursor)


async def test_mail_that_a_message_trace_reports_in_any_way_is_not_lost(place: Place) -> None:
    batch = await place.send(submission_of(message_of(*PEOPLE)))
    await report(place, batch, "processed", PEOPLE[0])
    await report(place, batch, "bounced", PEOPLE[1], bounce_class="network")
    place.time.move(2 * HOUR)
    assert (await resend_all(place, query(is_traced=True))).redriven == 1
    assert await sent_in_an_hour(place) == [PEOPLE, (PEOPLE[1], PEOPLE[2])]


async def test_mail_of_which_a_message_trace_names_no_recipient_is_not_lost(place: Place) -> None:
    batch = await place.send(submission_of(message_of(*PEOPLE)))
    await report(place, batch, "processed", "")
    place.time.move(2 * HOUR)
    assert await resend_all(place, query(is_traced=True)) == ResendStep()
    assert (await resend_all(place, query(is_dry=True))).found == 1
