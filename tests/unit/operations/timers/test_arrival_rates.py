"""Counting arrivals by the minute timer: what is counted, what is logged, and what is left for the next run."""

import json
from collections.abc import Mapping
from datetime import timedelta

import pytest

from relay.core import ids
from relay.core.arrival.counts import Counts
from relay.core.model import MessageStatus, Part, Reported, State
from relay.journal.counts.hours import HOUR, TABLE
from relay.operations.timers.arrival_rates import MAX_LOGGED, ArrivalRates
from relay.platform.concurrency import Deadline
from relay.platform.storage.ports import Entity
from relay.platform.telemetry import Telemetry
from tests.doubles import START, Place, batch_of, changed, entry_of, message_of, submission_of


class Seen(Telemetry):
    def __init__(self) -> None:
        self.seen: list[Mapping[str, Counts]] = []

    def arrivals(self, routes: Mapping[str, Counts]) -> None:
        self.seen.append(routes)


async def sent(place: Place, client: str, *words: str, number: int = 0, ago: timedelta = HOUR) -> None:
    """Record messages of a client that were sent before `START`, with a report of each."""
    batch = f"{ids.batch_floor(START - ago)[:12]}7000a{number:014x}0"
    submission = changed(submission_of(message_of("ada@one.example")), client=client)
    body = entry_of(*[submission] * len(words), batch=batch)
    parts = (Part(route="main", state=State.SENT, attempt=1),)
    reports = [(Reported(word=word, attempt=1, recipients=(0,)),) if word else () for word in words]
    statuses = [MessageStatus(parts=parts, reported=reported) for reported in reports]
    await place.journal.open(batch_of(body), body, statuses)


@pytest.fixture(autouse=True)
def every_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


def logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    texts = [record.getMessage() for record in caplog.records]
    return [json.loads(text.removeprefix("arrivals ")) for text in texts if text.startswith("arrivals ")]


async def test_run_counts_every_hour_and_logs_the_rates_of_the_day(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    await sent(place, "shop", "delivered", "bounced", "", "complained")
    telemetry = Seen()
    progress = await ArrivalRates(place.arrival_hours, place.client_brake, place.time, telemetry).run()
    assert (progress.done, progress.is_complete) == (len(place.memory.tables.rows(TABLE)), True)
    figures = {
        "sent": 4,
        "delivered": 2,
        "bounced": 1,
        "complained": 1,
        "bounce_percent": 25.0,
        "complaint_percent": 25.0,
    }
    assert logged(caplog) == [
        {"dimension": "client", "name": "shop", **figures},
        {"dimension": "route", "name": "main", **figures},
    ]
    assert telemetry.seen == [{"main": Counts(sent=4, delivered=2, hard_bounced=1, complained=1)}]


async def test_next_run_within_ten_minutes_counts_and_logs_nothing(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    await sent(place, "shop", "bounced")
    await place.arrival_rates.run()
    caplog.clear()
    place.time.move(60)
    assert (await place.arrival_rates.run()).done == 0
    assert logged(caplog) == []
    place.time.move(9 * 60)
    assert (await place.arrival_rates.run()).done == 2
    assert len(logged(caplog)) == 2


async def test_operators_run_counts_the_running_hour_again(place: Place) -> None:
    rates = ArrivalRates(place.arrival_hours, place.client_brake, place.time)
    place.time.move(1_200)
    await rates.run()
    assert (await rates.run()).done == 0
    assert (await rates.run_now()).done == 1
    place.time.move(600)
    # What is due is not counted twice.
    assert (await rates.run_now()).done == len(place.memory.tables.rows(TABLE))


async def test_operators_run_counts_mail_of_the_minutes_before_the_hour(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.time.move(-20)
    rates = ArrivalRates(place.arrival_hours, place.client_brake, place.time)
    await rates.run()
    await sent(place, "shop", "bounced", ago=timedelta(seconds=10))
    place.time.move(25)
    await rates.run_now()
    assert [line["name"] for line in logged(caplog)] == ["shop", "main"]


async def test_run_that_ends_early_leaves_the_older_hours(place: Place) -> None:
    # The last count was a week ago.
    row = Entity(partition="hour", row="202602221300", properties={"counted_at": place.time()})
    await place.memory.tables.upsert(TABLE, row)
    place.tables.take_time(place.time, 0.1)
    progress = await place.arrival_rates.run(Deadline(place.time, 10.0))
    assert not progress.is_complete
    rows = [row.row for row in place.memory.tables.rows(TABLE)]
    assert progress.done == len(rows) - 1
    assert max(rows) == "202603011200"
    assert (await place.arrival_rates.run()).done > 100


async def test_log_names_the_worst_clients_only(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(MAX_LOGGED + 5):
        await sent(place, f"c{number:02}", "bounced" if number == MAX_LOGGED + 3 else "delivered", number=number)
    await place.arrival_rates.run()
    clients = [line["name"] for line in logged(caplog) if line["dimension"] == "client"]
    assert (len(clients), clients[0]) == (MAX_LOGGED, f"c{MAX_LOGGED + 3}")
