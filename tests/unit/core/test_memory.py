"""Limits of bytes by the memory of an instance."""

import pytest

from relay.core.memory import COPIES, PLATFORM_MB, memory_limits

MIB = 1_048_576


@pytest.mark.parametrize("memory_mb", [512, 2048, 4096])
def test_largest_request_and_all_large_ones_together_fit_into_memory(memory_mb: int) -> None:
    limits = memory_limits(memory_mb)
    assert limits.body_bytes * COPIES <= (memory_mb - PLATFORM_MB) * MIB
    # Requests and deliveries may run on one instance.
    assert 2 * limits.in_flight_bytes * COPIES <= (memory_mb - PLATFORM_MB) * MIB


def test_very_small_instance_keeps_a_limit_above_zero() -> None:
    assert memory_limits(256).in_flight_bytes > 0
