"""What Relay counts, measures and traces: the port, and the one that does nothing, which costs a call.

Numbers tell trends and are not the account: a process that dies takes its last minute along. What became of a message is
in the journal. No attribute names a person or a message: lanes, routes, providers, states and codes only.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from relay.core import ids

if TYPE_CHECKING:
    from relay.core.model import Part, Submission


class AttemptMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured of an attempt, for one part of a message.

    `state` is the part's state after it. `asked_at` to `answered_at` is the provider's time alone. `waited_seconds` counts
    from when the message was accepted, or was to be sent. `traceparent` is the trace that its request belongs to.
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
    """A queue at a moment: about how many entries it holds, and the age in seconds of the first that is visible.

    An entry that was put back for later counts from when it was put: one look may see too great an age, a minute of
    looks does not. A queue that carries no messages counts as a lane of its own name.
    """

    lane: str
    queue: str
    is_poison: bool
    entries: int
    oldest_seconds: float


class RequestSpan:
    """A request under way. `traceparent` is what everything that follows from it belongs to (W3C Trace Context)."""

    traceparent: str = ""

    def end(self, method: str, path: str, status: int) -> None:
        """The request was answered. `path` is that of the operation, with names for what varies."""


class Telemetry:
    """What is told to whoever watches. Nothing of it raises: it is told of what is done. This one tells nobody."""

    def request(self, traceparent: str) -> RequestSpan | None:  # noqa: ARG002 - for those who do ask
        """A request begins, as part of the caller's trace if there is one. None: nobody asks for traces."""
        return None

    def accepted(self, lane: str, messages: int) -> None:
        """So many messages are durable now."""

    def attempted(self, attempts: Iterable[AttemptMeasurement]) -> None:
        """Record an attempt for one message: a measurement for each part that it left."""

    def died(self, lane: str, state: str, code: str) -> None:
        """A part became a dead letter."""

    def queues(self, queues: "Iterable[QueueMetrics]") -> None:
        """How the queues are now."""

    def routes(self, states: Iterable[tuple[str, str]]) -> None:
        """Each route and its state now."""

    def close(self) -> None:
        """Send what was not sent yet. May wait for a network: not for an event loop."""


OFF = Telemetry()
"""Nobody is told anything."""
