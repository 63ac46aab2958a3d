"""Leases: their receipts and the time of renewal."""

import pytest

from devhost.leases import Lease
from devhost.storage import MessageGoneError, StorageUnavailableError
from tests.devhost.doubles import MemoryQueue, message


async def test_each_renewal_uses_the_latest_receipt() -> None:
    queue = MemoryQueue()
    lease = Lease(queue, message())
    assert await lease.renew(300.0) == 300.0
    assert await lease.renew(300.0) == 300.0
    await lease.release(5)
    assert [step[2:] for step in queue.steps] == [("receipt-1", 600), ("receipt-1+", 600), ("receipt-1++", 5)]


@pytest.mark.parametrize(("interval", "following"), [(300.0, 60.0), (10.0, 10.0)])
async def test_renewal_after_a_passing_failure_is_sooner(interval: float, following: float) -> None:
    lease = Lease(MemoryQueue(faults={"extend": StorageUnavailableError("500")}), message())
    assert await lease.renew(interval) == following


async def test_lost_lease_is_not_renewed() -> None:
    lease = Lease(MemoryQueue(faults={"extend": MessageGoneError("PopReceiptMismatch")}), message())
    assert await lease.renew(300.0) is None


async def test_custom_lease_length_is_kept_on_renewal() -> None:
    queue = MemoryQueue()
    await Lease(queue, message(), 20).renew(10.0)
    assert [step[2:] for step in queue.steps] == [("receipt-1", 20)]
