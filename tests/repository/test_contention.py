"""Instances that write the same rows: nothing is refused, and operations per message stay low (`bench/contention.py`)."""

import pytest

from bench.contention import SCENARIOS, simulate

_LIMITS = {
    "pace": (10, 1.2),
    "external recipients": (10, 1.2),
    "quota": (10, 0.6),
    "hold": (1, 0.003),
    "pending": (4, 0.125),
    "dead letters": (4, 0.0625),
    "idempotency": (4, 3),
}
"""Instances, and operations a message: what is measured, with a tenth more where chance decides."""


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_instances_refuse_nothing_and_need_few_operations(scenario: str) -> None:
    instances, limit = _LIMITS[scenario]
    tables, counts = await simulate(scenario, instances)
    assert counts.refused == 0
    assert tables.operations / counts.messages <= limit


async def test_simulation_counts_the_same_in_every_run() -> None:
    runs = [(tables.operations, tables.lost_races, counts.messages)
            for tables, counts in [await simulate("pace", 4) for _ in range(2)]]  # fmt: skip
    assert runs[0] == runs[1]
