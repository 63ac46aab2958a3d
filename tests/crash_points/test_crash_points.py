"""Crash-point tests: every fault at every operation of every scenario.

Accepted messages always reach a correct final state, and no recipient gets more copies than the guarantee allows.
docs/delivery-semantics.md states the guarantees and how to run these tests alone.
"""

import itertools
import os
import random
from collections.abc import Iterator, Sequence

import pytest

from tests import depth
from tests.crash_points.brake_scenarios import BRAKE_SCENARIOS
from tests.crash_points.end_scenarios import END_SCENARIOS
from tests.crash_points.faults import Fault, Operation
from tests.crash_points.reply_scenarios import REPLY_SCENARIOS
from tests.crash_points.report_scenarios import REPORT_SCENARIOS
from tests.crash_points.scenarios import DEADLY, SCENARIOS
from tests.crash_points.shared_content_scenarios import SHARED_CONTENT_SCENARIOS
from tests.crash_points.timer_scenarios import TIMER_SCENARIOS
from tests.crash_points.trial import Scenario, Trials
from tests.crash_points.trouble_scenarios import FAULTLESS, TROUBLE_SCENARIOS
from tests.crash_points.unsubscribe_scenarios import UNSUBSCRIBE_SCENARIOS
from tests.crash_points.world import Plan

PAIRS = int(os.environ.get("RELAY_PROOF_PAIRS", "4"))
"""The number of fault pairs per scenario; the long run tries more."""

OUTAGES = int(os.environ.get("RELAY_PROOF_OUTAGES", "1"))
"""The number of outages per scenario; the long run tries more."""
OUTAGE_SECONDS = 180.0
"""How long storage refuses: shorter than a lease, and than the callers' patience."""
MOST_ALIKE = 4
"""Operations alike in a row that are all tried: reads of one name (the shards of a table), sends of one entry's messages."""
ALL = (
    *SCENARIOS,
    *TIMER_SCENARIOS,
    *TROUBLE_SCENARIOS,
    *REPORT_SCENARIOS,
    *BRAKE_SCENARIOS,
    *REPLY_SCENARIOS,
    *UNSUBSCRIBE_SCENARIOS,
    *END_SCENARIOS,
    *SHARED_CONTENT_SCENARIOS,
)
FAULTS = [
    pytest.param(scenario, fault, id=f"{scenario.name}-{fault}")
    for scenario in ALL
    for fault in Fault
    # Somebody else must go on while a process stands still.
    if fault is not Fault.STALLED or len(scenario.skews) > 1
]


@pytest.fixture(scope="session")
def trials() -> Trials:
    """Prepare what all trials share."""
    return Trials()


def points(trace: Sequence[Operation]) -> Iterator[tuple[int, Operation]]:
    """Return the operations of a trial at which a fault makes a difference, numbered from 1.

    Invocations that do the same, one after another, are tried where they come first and last; those that only
    look, as an idle timer does, where they come first. Of many reads or sends alike in a row, the first, one from the middle
    and the last are tried; writes to storage are all tried. A deep search tries every one.
    """
    invocations: dict[int, list[Operation]] = {}
    for operation in trace:
        invocations.setdefault(operation.invocation, []).append(operation)
    alike: dict[tuple[str, ...], list[int]] = {}
    for number, operations in invocations.items():
        alike.setdefault(tuple(operation.name for operation in operations), []).append(number)
    chosen: set[int] = set()
    for numbers in alike.values():
        writes = any(operation.is_write for operation in invocations[numbers[0]])
        chosen.update({numbers[0], numbers[-1]} if writes else numbers[:1])
    tried = [(at, each) for at, each in enumerate(trace, 1) if each.invocation in chosen]
    for _, group in itertools.groupby(tried, lambda point: (point[1].is_write, point[1].name, point[1].invocation)):
        alike_in_a_row = list(group)
        yield from _ends_and_middle(alike_in_a_row) if _is_sampled(alike_in_a_row) else alike_in_a_row


def _is_sampled(alike: Sequence[tuple[int, Operation]]) -> bool:
    changes_storage = alike[0][1].is_write and alike[0][1].is_storage
    return len(alike) > MOST_ALIKE and not changes_storage and not depth.IS_DEEP


def _ends_and_middle[T](alike: Sequence[T]) -> tuple[T, T, T]:
    return alike[0], alike[len(alike) // 2], alike[-1]


def applies(fault: Fault, operation: Operation) -> bool:
    """Return whether a fault makes a difference: a read has no effect that a lost response could hide."""
    if fault is Fault.CHANGED:
        return operation.touch is not None
    return operation.is_write or fault in (Fault.DEATH_BEFORE, Fault.REFUSED, Fault.STALLED)


def is_tried_as_another_death(trace: Sequence[Operation], at: int) -> bool:
    """Return whether death before an operation leaves what death after the previous one leaves, or before it if it reads.

    True within one invocation: between the two it does nothing that can be noticed outside of the process. Requests of
    callers have no invocation; their responses lie between. A deep search tries both.
    """
    if at == 1 or depth.IS_DEEP:
        return False
    previous, operation = trace[at - 2], trace[at - 1]
    return previous.is_storage and previous.invocation == operation.invocation != 0


@pytest.mark.parametrize("scenario", [*ALL, *FAULTLESS, *DEADLY], ids=lambda scenario: scenario.name)
def test_scenario_without_a_fault_ends_as_expected(scenario: Scenario, trials: Trials) -> None:
    assert trials.undisturbed(scenario).violations == []


@pytest.mark.parametrize("scenario", SHARED_CONTENT_SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario_of_shared_content_overwrites_some_of_it(scenario: Scenario, trials: Trials) -> None:
    assert "replacement in content" in {operation.name for operation in trials.undisturbed(scenario).trace}


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_operations_are_the_same_in_every_repetition(scenario: Scenario) -> None:
    trials = Trials()
    first, second = (trials.play(scenario).trace for _ in range(2))
    assert [(each.name, each.invocation) for each in first] == [(each.name, each.invocation) for each in second]


@pytest.mark.parametrize(("scenario", "fault"), FAULTS)
def test_one_fault_at_any_operation_breaks_no_guarantee(scenario: Scenario, fault: Fault, trials: Trials) -> None:
    trace = trials.undisturbed(scenario).trace
    broken: list[str] = []
    for at, operation in points(trace):
        if applies(fault, operation) and not (fault is Fault.DEATH_BEFORE and is_tried_as_another_death(trace, at)):
            result = trials.play(scenario, [Plan(fault=fault, at=at)])
            assert result.hits, "the course of events is not the same in every repetition"
            broken += [f"{result.hits[0]}: {violation}" for violation in result.violations]
    assert broken == []


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_minutes_without_one_kind_of_operation_break_no_guarantee(scenario: Scenario, trials: Trials) -> None:
    first: dict[str, int] = {}
    for at, operation in enumerate(trials.undisturbed(scenario).trace, 1):
        if operation.is_storage:
            first.setdefault(operation.name, at)
    broken: list[str] = []
    # Some kinds alone, each from its first use on; and all of them, from one of these moments on.
    chance = random.Random(f"outages of {scenario.name}")
    moments = chance.sample([*first.items()], min(OUTAGES, len(first)))
    for name, at in [*moments, ("", chance.choice([*first.values()]))]:
        plan = Plan(fault=Fault.REFUSED, at=at, seconds=OUTAGE_SECONDS, only=name)
        broken += [
            f"without {name or 'storage'}: {violation}" for violation in trials.play(scenario, [plan]).violations
        ]
    assert broken == []


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_two_faults_break_no_guarantee(scenario: Scenario, trials: Trials) -> None:
    chance = random.Random(f"pairs of {scenario.name}")
    broken: list[str] = []
    for _ in range(PAIRS):
        first = _drawn(chance, trials.undisturbed(scenario).trace, 0)
        second = _drawn(chance, trials.play(scenario, [first]).trace, first.at)
        result = trials.play(scenario, [first, second])
        broken += [f"{' and '.join(result.hits)}: {violation}" for violation in result.violations]
    assert broken == []


def _drawn(chance: random.Random, trace: Sequence[Operation], after: int) -> Plan:
    """Pick a fault at a later operation, or at the neighbor of the last one."""
    at = chance.randint(after + 1, max(len(trace), after + 1))
    faults = [fault for fault in Fault if fault is not Fault.STALLED]
    fault = chance.choice([fault for fault in faults if at > len(trace) or applies(fault, trace[at - 1])])
    return Plan(fault=fault, at=at)
