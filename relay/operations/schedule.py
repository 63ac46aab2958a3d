"""What the timers run, in which order.

A step that fails is logged, and the steps after it still run: a bug in one must not stop the recovery of mail or the health
log. The run then raises, so that the host records the failed execution and its alert fires.
"""

from collections.abc import Awaitable, Callable, Sequence

from relay.clients.suppressions import Suppressions
from relay.events.webhooks.delivery import Webhooks
from relay.operations.health_log import HealthLog
from relay.operations.orphan_entries import OrphanEntries
from relay.operations.poison_queues import PoisonQueues
from relay.operations.purge import Purge
from relay.operations.recovery import Recovery
from relay.operations.sent_checks import SentChecks
from relay.platform.log import log_failure

type _Step = tuple[str, Callable[[], Awaitable[object]]]


class EveryMinute:
    """The minute timer: probe and recover, check sent mail, collect orphaned entries, and log queue health last."""

    def __init__(
        self, *, recovery: Recovery, sent_checks: SentChecks, orphan_entries: OrphanEntries, health_log: HealthLog
    ) -> None:
        self._steps: Sequence[_Step] = (
            ("recovery", recovery.run),
            ("sent_checks", sent_checks.run),
            ("orphan_entries", orphan_entries.collect),
            ("health_log", health_log.write),
        )

    async def run(self) -> None:
        """Run every step. Raises an `ExceptionGroup` of the failures."""
        await _run(self._steps)


class Nightly:
    """The nightly timer: drain the poison queues, then delete what is older than the retention."""

    def __init__(
        self, *, poison_queues: PoisonQueues, purge: Purge, suppressions: Suppressions, webhooks: Webhooks
    ) -> None:
        self._steps: Sequence[_Step] = (
            ("poison_queues", poison_queues.drain),
            ("purge", purge.run),
            ("suppressions", suppressions.purge),
            ("webhooks", webhooks.purge),
        )

    async def run(self) -> None:
        """Run every step. Raises an `ExceptionGroup` of the failures."""
        await _run(self._steps)


async def _run(steps: Sequence[_Step]) -> None:
    failures: list[Exception] = []
    for name, step in steps:
        try:
            await step()
        except Exception as error:
            log_failure("timer_step_failed", step=name)
            failures.append(error)
    if failures:
        raise ExceptionGroup("timer steps failed", failures)
