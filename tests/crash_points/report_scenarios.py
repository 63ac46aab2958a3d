"""The scenarios of a provider that accepts mail and refuses it later by a report."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from relay.core.outcomes import Deferred, Sent
from relay.core.send_request import SendRequest
from relay.platform.resources import EVENTS_QUEUE
from relay.routes.hold_changes import REPORT_SECONDS
from tests.crash_points.host import RECOVERY, REPORTS
from tests.crash_points.providers import Acceptance, Account, Answer, LostResponse, refuse_nothing
from tests.crash_points.scenarios import SENT, TWO, UNKNOWN, always, settings_of
from tests.crash_points.trial import Scenario, Stage
from tests.crash_points.world import MAIN_QUEUE, POISON_QUEUE

MAILBOXES = '[{"route": "main", "mailbox": "relay@example.com"}]'
GRAPH = {"provider": "graph", "managed_identity": True, "mailbox": "relay@example.com", "paces": []}
TENANT = settings_of({"main": GRAPH}, RELAY_BOUNCE_MAILBOXES=MAILBOXES)
TENANT_AND_BACKUP = settings_of(
    {"main": GRAPH, "backup": {"provider": "capture"}},
    [{"routes": ["main", "backup"]}],
    RELAY_BOUNCE_MAILBOXES=MAILBOXES,
)
TENANT_BUDGET_AND_BACKUP = settings_of(
    {"main": {**GRAPH, "external_recipients": {"per_tenant": 1_000}}, "backup": {"provider": "capture"}},
    [{"routes": ["main", "backup"]}],
    RELAY_BOUNCE_MAILBOXES=MAILBOXES,
)
BUDGET = settings_of({"main": {**GRAPH, "external_recipients": {"per_tenant": 1}}})
"""A tenant that may have one external recipient in 24 hours."""
RECOVERED = 210
"""Longer than the recovery needs to find what has no entry."""
REPAIRED = 1_000
"""Longer than a lease and the repetition of a lost entry."""
PAIR = ["ann@example.net", "bob@example.net"]


def second_recipient(request: SendRequest) -> Sequence[int]:
    """Refuse the second recipient of each message."""
    return [number for number in request.recipients if number == 1]


async def refused_by_report(stage: Stage) -> None:
    """The tenant has reached its limit of a day; some recipients are refused after all."""
    stage.main.refuses_later = second_recipient
    await stage.caller.submit_all("one", "two", to=PAIR)
    await until_refused(stage)


async def refused_beyond_the_budget(stage: Stage) -> None:
    """The tenant's limit is lower than the budget; who is refused goes by the other route."""
    stage.main.refuses_later = second_recipient
    await stage.caller.submit_all("one", "two", to=PAIR)
    await asyncio.sleep(REPAIRED)
    stage.main.refuses_later = refuse_nothing


async def refused_after_lost_responses(stage: Stage) -> None:
    """Nobody knows whether the provider has the mail, its route is held, and then the provider reports that it refuses some."""
    stage.main.script, stage.main.refuses_later = always(LostResponse(was_accepted=True)), second_recipient
    await stage.caller.submit_all("one", "two", to=PAIR)
    await asyncio.sleep(10)
    await stage.caller.insist("POST", "/v1/routes/main/hold", {})
    await asyncio.sleep(REPAIRED)
    if stage.world.memory.queues.bodies(EVENTS_QUEUE):
        stage.caller.broken_promises.append("a report lies on its queue as long as the route is held")
    stage.main.script, stage.main.refuses_later = always(Sent()), refuse_nothing
    await stage.caller.insist("POST", "/v1/routes/main/release", {})


async def refused_while_unknown(stage: Stage) -> None:
    """The responses are lost and no message may be sent twice, until the provider reports which recipients it refused."""
    requests = lose_responses(stage)
    await stage.caller.submit_all("one", "two", to=PAIR, delivery="at_most_once")
    await stage.entries_done()
    await refuse_second(stage, requests, [*stage.world.ledger.acceptances])


async def refused_while_unknown_again(stage: Stage) -> None:
    """An operator redrives what is unknown, those responses are lost too, and the provider reports on both attempts."""
    requests = lose_responses(stage)
    await stage.caller.submit_all("one", "two", to=PAIR, delivery="at_most_once")
    await stage.entries_done()
    await stage.caller.insist("POST", "/v1/deadletters/redrive", {"code": "response_lost"})
    await stage.entries_done()
    await refuse_second(stage, requests, [*stage.world.ledger.acceptances])


async def refused_once_of_two(stage: Stage) -> None:
    """The same, but the provider refuses the second recipient of the first attempt only."""
    requests = lose_responses(stage)
    await stage.caller.submit_all("one", "two", to=PAIR, delivery="at_most_once")
    await stage.entries_done()
    refused = [*stage.world.ledger.acceptances]
    await stage.caller.insist("POST", "/v1/deadletters/redrive", {"code": "response_lost"})
    await stage.entries_done()
    await refuse_second(stage, requests, refused)


def lose_responses(stage: Stage) -> dict[tuple[str, int], SendRequest]:
    """Lose each response of the provider, which accepts. Returns its requests, by message and attempt."""
    requests = dict[tuple[str, int], SendRequest]()

    def lose(request: SendRequest, _number: int) -> Answer:
        requests[request.id, request.attempt] = request
        return LostResponse(was_accepted=True)

    stage.main.script = lose
    return requests


async def refuse_second(
    stage: Stage, requests: Mapping[tuple[str, int], SendRequest], refused: Sequence[Acceptance]
) -> None:
    """Report that the provider refuses the second recipient of what it has accepted."""
    stage.main.script = always(Sent())
    for accepted in refused:
        stage.world.ledger.refuse(accepted, [1], requests[accepted.message, accepted.attempt])
    await until_reported(stage)


async def until_reported(stage: Stage) -> None:
    """Wait until Relay has applied every report."""
    look = stage.world.poll(30)
    while not are_reports_applied(stage):
        await look.wait(30)


def are_reports_applied(stage: Stage) -> bool:
    """Return whether Relay has applied every report so far."""
    ledger = stage.world.ledger
    return ledger.reports_done == len(ledger.reports) and not stage.world.memory.queues.bodies(EVENTS_QUEUE)


async def until_refused(stage: Stage) -> None:
    """Wait until the provider has reported on every message, and Relay has applied all of it."""
    accepted = {name for each in stage.caller.submissions.values() for name in each.ids}
    look = stage.world.poll(30)
    while not (accepted <= {each.message for each in stage.world.ledger.refused} and are_reports_applied(stage)):
        await look.wait(30)
    stage.main.refuses_later = refuse_nothing


async def refused_for_a_day(stage: Stage) -> None:
    await refused_by_report(stage)
    # No timer runs in the day that is skipped.
    await asyncio.sleep(RECOVERED)
    await stage.entries_done()
    stage.world.skip_to(stage.world.clock() + timedelta(days=1))
    await asyncio.sleep(2 * REPORT_SECONDS)


async def limited_to_one_a_day(stage: Stage) -> None:
    """The provider sees no more recipients in a day than the budget has, and puts off the first message once."""
    ledger, clock = stage.world.ledger, stage.world.clock
    sent: list[datetime] = []

    def count(request: SendRequest, number: int) -> Answer:
        if request.message.subject == "one" and number == 1:
            return Deferred(code="unreachable")
        sent[:] = [at for at in sent if at > clock() - timedelta(days=1)]
        if sent:
            ledger.violations.append(f"{request.message.subject}: was sent above the limit")
        sent.append(clock())
        return Sent()

    stage.main.script = count
    await stage.caller.submit_all("one", "two")
    # A fault can cost the budget of a day more.
    for _ in range(3):
        await stage.entries_done()
        stage.world.skip_to(clock() + timedelta(hours=26))
    await stage.entries_done()


REPORT_SCENARIOS = (
    Scenario(
        name="refused by report, budget",
        settings=TENANT_BUDGET_AND_BACKUP,
        accounts=lambda: {"main": Account(), "backup": Account()},
        play=refused_beyond_the_budget,
        triggers=(*RECOVERY, REPORTS),
        queues=(MAIN_QUEUE, POISON_QUEUE, EVENTS_QUEUE),
        ends=TWO,
    ),
    Scenario(
        name="refused by report, lost responses",
        settings=TENANT_AND_BACKUP,
        accounts=lambda: {"main": Account(), "backup": Account()},
        play=refused_after_lost_responses,
        triggers=(*RECOVERY, REPORTS),
        queues=(MAIN_QUEUE, POISON_QUEUE, EVENTS_QUEUE),
        ends=TWO,
    ),
    Scenario(
        name="refused by report, unknown",
        settings=TENANT_AND_BACKUP,
        accounts=lambda: {"main": Account(knows_attempts=False), "backup": Account()},
        play=refused_while_unknown,
        triggers=(*RECOVERY, REPORTS),
        queues=(MAIN_QUEUE, POISON_QUEUE, EVENTS_QUEUE),
        ends=TWO,
        may_end={"one": {UNKNOWN}, "two": {UNKNOWN}},
    ),
    Scenario(
        name="refused by report, unknown twice",
        settings=TENANT_AND_BACKUP,
        accounts=lambda: {"main": Account(knows_attempts=False), "backup": Account()},
        play=refused_while_unknown_again,
        triggers=(*RECOVERY, REPORTS),
        queues=(MAIN_QUEUE, POISON_QUEUE, EVENTS_QUEUE),
        ends=TWO,
        may_end={"one": {UNKNOWN}, "two": {UNKNOWN}},
    ),
    Scenario(
        name="refused by report, one of two",
        settings=TENANT_AND_BACKUP,
        accounts=lambda: {"main": Account(knows_attempts=False), "backup": Account()},
        play=refused_once_of_two,
        triggers=(*RECOVERY, REPORTS),
        queues=(MAIN_QUEUE, POISON_QUEUE, EVENTS_QUEUE),
        ends={"one": {SENT, UNKNOWN}, "two": {SENT, UNKNOWN}},
        # The redriven one may have arrived. Each is followed by one that only asks.
        attempts={"one": 4, "two": 4},
    ),
    Scenario(
        name="budget of external recipients",
        settings=BUDGET,
        accounts=lambda: {"main": Account()},
        play=limited_to_one_a_day,
        ends=TWO,
    ),
    Scenario(
        name="refused by report, another route",
        settings=TENANT_AND_BACKUP,
        accounts=lambda: {"main": Account(), "backup": Account()},
        play=refused_by_report,
        triggers=(*RECOVERY, REPORTS),
        queues=(MAIN_QUEUE, POISON_QUEUE, EVENTS_QUEUE),
        ends=TWO,
    ),
    Scenario(
        name="refused by report, one route",
        settings=TENANT,
        accounts=lambda: {"main": Account()},
        play=refused_for_a_day,
        triggers=(*RECOVERY, REPORTS),
        queues=(MAIN_QUEUE, POISON_QUEUE, EVENTS_QUEUE),
        ends=TWO,
    ),
)
