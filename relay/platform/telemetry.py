"""The port for metrics and traces, and an implementation that does nothing.

Metrics show trends and are not exact: a process that dies loses its last minute. The journal has the state of every message.
No attribute identifies a person or a message: only lanes, routes, providers, states and codes.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from relay.core import ids

if TYPE_CHECKING:
    from relay.core.arrival.counts import Counts
    from relay.core.model import Part, Submission


class AttemptMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """The measurements of an attempt, for one part of a message.

    `state` is the part's state after the attempt. `asked_at` to `answered_at` is the provider's time alone. `waited_seconds`
    counts from acceptance, or from the time for which the message was scheduled. `traceparent` is the trace of its request.
    """

    lane: str
    route: str
    provider: str
    outcome: str
    code: str
    state: str
    number: int
    asked_at: datetime
    answered_at: datetime
    waited_seconds: float
    traceparent: str | None


def measurement_of(
    batch: str, lane: str, submission: "Submission", part: "Part", *, asked_at: datetime, answered_at: datetime
) -> AttemptMeasurement:
    """Measure the latest attempt of a part. `batch` dates the message's acceptance."""
    last, accepted_at = part.attempts[-1], ids.created_at(batch)
    waits_from = max(accepted_at, submission.send_at or accepted_at)
    return AttemptMeasurement(
        lane=lane,
        route=last.route,
        provider=last.provider,
        outcome=last.outcome,
        code=last.code,
        state=str(part.state),
        number=last.number,
        asked_at=asked_at,
        answered_at=answered_at,
        waited_seconds=(answered_at - waits_from).total_seconds(),
        traceparent=submission.traceparent,
    )


class QueueMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """The approximate number of entries of a queue, and the age in seconds of its first visible one.

    An entry that was put back for later counts from when it was put, so a single sample may be too high, but not a minute of
    samples. A queue that carries no messages counts as a lane of its own name.
    """

    lane: str
    queue: str
    is_poison: bool
    entries: int
    oldest_seconds: float


class RequestSpan:
    """The span of a request. `traceparent` (W3C Trace Context) connects its later attempts to the same trace."""

    traceparent: str = ""

    def end(self, method: str, path: str, status: int) -> None:
        """End the span with the response. `path` is the operation's path, with placeholders for parameters."""


class Telemetry:
    """The port for metrics and traces. No method raises, because it reports work that is already done. This one does nothing."""

    def request(self, traceparent: str) -> RequestSpan | None:  # noqa: ARG002 - used by the implementation
        """Start a span for a request, in the caller's trace if there is one. None without tracing."""
        return None

    def accepted(self, lane: str, messages: int) -> None:
        """Count messages that were stored durably."""

    def attempted(self, attempts: Iterable[AttemptMeasurement]) -> None:
        """Record an attempt for one message, with a measurement for each part that it left."""

    def died(self, lane: str, state: str, code: str) -> None:
        """Count a part that became a dead letter."""

    def queues(self, queues: "Iterable[QueueMetrics]") -> None:
        """Record the current state of the queues."""

    def routes(self, states: Iterable[tuple[str, str]]) -> None:
        """Record the current state of each route."""

    def budgets(self, left: "Mapping[tuple[str, str], int]") -> None:
        """Record how many external recipients are left, by route and scope of the limit."""

    def arrivals(self, routes: "Mapping[str, Counts]") -> None:
        """Record the arrivals of the last day's mail, by route."""

    def close(self) -> None:
        """Send buffered telemetry. May block on the network: do not call it in the event loop."""


OFF = Telemetry()
"""Telemetry that records nothing."""
