"""Outages of storage for twenty minutes: no message becomes a dead letter, and all are sent when storage is back."""

import asyncio
from collections.abc import Callable

import pytest

from relay.core.model import State
from relay.core.outcomes import Deferred, Sent
from relay.core.send_request import SendRequest
from relay.core.settings import Settings
from tests.crash_points.faults import Operation
from tests.crash_points.providers import Account, Answer
from tests.crash_points.scenarios import LONG_RETRY, ONE_ROUTE
from tests.crash_points.trial import Scenario, Stage, Trials

OUTAGE_SECONDS = 1_200.0
LABELS = ("one", "two", "three")
TABLE_OPERATIONS = ("insert", "get", "merge", "upsert", "query")


def everything(operation: Operation) -> bool:
    return True


def tables(operation: Operation) -> bool:
    verb, _, rest = operation.name.partition(" ")
    return (verb in TABLE_OPERATIONS and not rest.startswith("from ")) or (
        verb == "deletion" and not rest.startswith("in relay-")
    )


def queue_puts(operation: Operation) -> bool:
    return operation.name.startswith("put relay-")


def all_but_queue_reads(operation: Operation) -> bool:
    """The worst case: entries are received again and again, and neither recorded nor put back."""
    return tables(operation) or queue_puts(operation)


def deferred_once(request: SendRequest, number: int) -> Answer:
    """Defer the first send of a message, so that its retry needs a row and an entry."""
    return Deferred(code="provider_unavailable") if number == 1 else Sent()


@pytest.mark.parametrize("refuses", [everything, tables, queue_puts, all_but_queue_reads])
@pytest.mark.parametrize(("provider_seconds", "after_seconds"), [(0.0, 0.02), (0.0, 20.0), (60.0, 3.0), (60.0, 65.0)])
@pytest.mark.parametrize("settings", [ONE_ROUTE, LONG_RETRY], ids=["short retries", "long retries"])
def test_outage_of_storage_makes_no_dead_letter(
    settings: Settings, refuses: Callable[[Operation], bool], provider_seconds: float, after_seconds: float
) -> None:
    async def play(stage: Stage) -> None:
        await stage.caller.submit_all("one", "two")
        await stage.caller.submit("three")
        await asyncio.sleep(after_seconds)
        stage.world.lose_storage(OUTAGE_SECONDS, refuses)
        await asyncio.sleep(OUTAGE_SECONDS)
        await stage.caller.submit("later")

    scenario = Scenario(
        name="outage",
        settings=settings,
        accounts=lambda: {"main": Account(deferred_once, seconds=provider_seconds)},
        play=play,
        ends={label: {State.SENT} for label in (*LABELS, "later")},
    )
    result = Trials().play(scenario)
    ends = {line.label: [str(part.state) for part in line.status.parts] for line in result.lines}
    assert ends == {label: ["sent"] for label in (*LABELS, "later")}
    assert not [text for text in result.violations if "dead letter" in text or "raised" in text]
