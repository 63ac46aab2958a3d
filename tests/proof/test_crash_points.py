"""Every crash point: the world is stopped at the n-th operation, for every n of every course of events, by every fault.

Whatever is met, what was accepted ends visibly, in a state that tells the truth, and nobody gets more copies than the
second promise allows. docs/delivery-semantics.md states the promises and how to run this alone.
"""

import pytest

from tests.proof.faults import Fault, Operation
from tests.proof.scenarios import SCENARIOS
from tests.proof.trial import Scenario, Trials
from tests.proof.world import Plan


@pytest.fixture(scope="session")
def trials() -> Trials:
    """What all trials share."""
    return Trials()


def applies(fault: Fault, operation: Operation) -> bool:
    """Whether a fault makes a difference there: what only reads has no effect that could come without an answer."""
    if fault is Fault.CHANGED:
        return operation.touch is not None
    return operation.is_write or fault in (Fault.DEATH_BEFORE, Fault.REFUSED, Fault.TIMED_OUT)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_without_a_fault_everything_ends_as_it_should(scenario: Scenario, trials: Trials) -> None:
    assert trials.play(scenario).wrongs == []


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_fault_at_any_operation_breaks_a_promise(scenario: Scenario, fault: Fault, trials: Trials) -> None:
    trace = trials.play(scenario).trace
    broken: list[str] = []
    for at, operation in enumerate(trace, 1):
        if applies(fault, operation):
            result = trials.play(scenario, [Plan(fault=fault, at=at)])
            assert result.hits, "the course of events is not the same in every repetition"
            broken += [f"{result.hits[0]}: {wrong}" for wrong in result.wrongs]
    assert broken == []
