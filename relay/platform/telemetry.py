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
    from relay.core import part_states
    from relay.core.model import Part, Submission


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that was made, for one part of a message.

    `state` is what it left the part in. `asked_at` to `answered_at` is the provider's time alone. `waited_seconds` counts
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


def tried_of(
    *,
    batch: str,
    lane: str,
    submission: "Submission",
    part: "Part",
    tried: "part_states.Tried",
    asked_at: datetime,
) -> Tried:
    """Describe what an attempt of one message of the batch left in `part`."""
    last, accepted_at = part.attempts[-1], ids.created_at(batch)
    waits_from = max(accepted_at, submission.send_at or accepted_at)
    return Tried(
        lane=lane,
        route=last.route,
        provider=tried.provider,
        outcome=last.outcome,
        code=last.code,
        state=str(part.state),
        number=last.number,
        asked_at=asked_at,
        answered_at=tried.now,
        waited_seconds=(tried.now - waits_from).total_seconds(),
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

    def tried(self, attempts: Iterable[Tried]) -> None:
        """A provider was asked about one message, and this is what became of its parts."""

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
