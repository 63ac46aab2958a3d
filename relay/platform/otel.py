"""Record telemetry with OpenTelemetry's SDK. Loaded only if RELAY_TELEMETRY is set (`relay.platform.exporters`)."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from relay.core.model import DEAD, State
from relay.platform.log import log_failure
from relay.platform.telemetry import AttemptMeasurement, RequestSpan, Telemetry

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Observation
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

    from relay.core.arrival.counts import Counts
    from relay.platform.telemetry import QueueMetrics


FRESH_SECONDS = 150.0
"""Seconds for which a sample of queues and routes is reported: the timer that samples may have moved to another instance."""
ARRIVALS_FRESH = timedelta(minutes=15)
"""Further time for which arrivals are reported, because they are counted every ten minutes."""
_TO_SENT = (0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400)
_OF_PROVIDERS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_COUNTED = {State.SENT: "sent", State.DEFERRED: "deferred", State.HELD: "held", **dict.fromkeys(DEAD, "failed")}


def _never_raises[**P](record: Callable[P, None]) -> Callable[P, None]:
    """Log exceptions instead of raising them: a telemetry error after a send would cause a second send."""

    @functools.wraps(record)
    def recording(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            record(*args, **kwargs)
        except Exception:
            log_failure("telemetry_failed", signal=record.__name__)

    return recording


class OpenTelemetry(Telemetry):
    """Telemetry that records to these providers, and closes them. docs/how-to/telemetry.md lists the names."""

    def __init__(self, tracing: "TracerProvider", metering: "MeterProvider", clock: Callable[[], datetime]) -> None:
        self._tracing = tracing
        self._metering = metering
        self._clock = clock
        self._tracer = tracing.get_tracer("relay")
        self._samples: dict[str, tuple[datetime, Sequence[Observation]]] = {}
        meter = metering.get_meter("relay")
        self._accepted = meter.create_counter("relay.accepted", "{message}", "Messages made durable")
        self._counters = {
            name: meter.create_counter(f"relay.{name}", "{part}", f"Attempts that left a part {name}")
            for name in dict.fromkeys(_COUNTED.values())
        }
        self._dead_letters = meter.create_counter("relay.dead_letters", "{part}", "Parts that became dead letters")
        self._to_sent = meter.create_histogram(
            "relay.time_to_sent", "s", "From accepted to sent", explicit_bucket_boundaries_advisory=_TO_SENT
        )
        self._of_providers = meter.create_histogram(
            "relay.provider.duration",
            "s",
            "A provider's response time",
            explicit_bucket_boundaries_advisory=_OF_PROVIDERS,
        )
        for name, unit, meaning in (
            ("relay.queue.age", "s", "Age of the first entry"),
            ("relay.queue.entries", "{entry}", "Waiting entries"),
            ("relay.route.state", "1", "1 for the state that a route is in"),
            ("relay.external_recipients.left", "{recipient}", "External recipients that a route's budget has left"),
            (
                "relay.arrival.recipients",
                "{recipient}",
                "Recipients of the last 24 hours by what became of their copies",
            ),
        ):
            meter.create_observable_gauge(name, [self._observer(name)], unit, meaning)

    def request(self, traceparent: str) -> RequestSpan | None:
        """Start a server span."""
        from opentelemetry.trace import SpanKind

        try:
            return _RequestSpan(self._tracer.start_span("request", _context(traceparent), SpanKind.SERVER))
        except Exception:
            log_failure("telemetry_failed", signal="request")
            return None

    @_never_raises
    def accepted(self, lane: str, messages: int) -> None:
        """Count accepted messages."""
        self._accepted.add(messages, {"lane": lane})

    @_never_raises
    def attempted(self, attempts: Iterable[AttemptMeasurement]) -> None:
        """Count each part. Record one span and one duration for the call that they share."""
        last: AttemptMeasurement | None = None
        for last in attempts:
            labels = {"lane": last.lane, "route": last.route, "provider": last.provider}
            if counted := _COUNTED.get(State(last.state)):
                self._counters[counted].add(1, {**labels, "code": last.code} if last.code else labels)
            if last.state == State.SENT:
                self._to_sent.record(max(0.0, last.waited_seconds), labels)
        if last is not None:
            self._trace_call(last)

    def _trace_call(self, attempt: AttemptMeasurement) -> None:
        from opentelemetry.trace import SpanKind, StatusCode

        labels = {"route": attempt.route, "provider": attempt.provider, "outcome": attempt.outcome}
        seconds = (attempt.answered_at - attempt.asked_at).total_seconds()
        self._of_providers.record(max(0.0, seconds), labels)
        span = self._tracer.start_span(
            f"send by {attempt.provider}",
            _context(attempt.traceparent or ""),
            SpanKind.CLIENT,
            {**labels, "lane": attempt.lane, "attempt": attempt.number, "state": attempt.state, "code": attempt.code},
            start_time=_nanoseconds(attempt.asked_at),
        )
        if attempt.state != State.SENT:
            span.set_status(StatusCode.ERROR, attempt.code)
        span.end(_nanoseconds(attempt.answered_at))

    @_never_raises
    def died(self, lane: str, state: str, code: str) -> None:
        """Count a dead letter."""
        self._dead_letters.add(1, {"lane": lane, "state": state, "code": code})

    @_never_raises
    def queues(self, queues: "Iterable[QueueMetrics]") -> None:
        """Keep the sample until it is collected."""
        from opentelemetry.metrics import Observation

        ages, entries, now = [], [], self._clock()
        for each in queues:
            labels: dict[str, str | bool] = {"lane": each.lane, "queue": each.queue, "poison": each.is_poison}
            ages.append(Observation(each.oldest_seconds, labels))
            entries.append(Observation(each.entries, labels))
        self._samples["relay.queue.age"] = now, ages
        self._samples["relay.queue.entries"] = now, entries

    @_never_raises
    def routes(self, states: Iterable[tuple[str, str]]) -> None:
        """Keep the sample until it is collected."""
        from opentelemetry.metrics import Observation

        seen = [Observation(1, {"route": route, "state": state}) for route, state in states]
        self._samples["relay.route.state"] = self._clock(), seen

    @_never_raises
    def budgets(self, left: "Mapping[tuple[str, str], int]") -> None:
        """Keep the sample until it is collected."""
        from opentelemetry.metrics import Observation

        seen = [Observation(count, {"route": route, "scope": scope}) for (route, scope), count in left.items()]
        self._samples["relay.external_recipients.left"] = self._clock(), seen

    @_never_raises
    def arrivals(self, routes: "Mapping[str, Counts]") -> None:
        """Keep the sample until it is collected."""
        from opentelemetry.metrics import Observation

        seen = [
            Observation(getattr(counts, outcome), {"route": route, "outcome": outcome})
            for route, counts in routes.items()
            for outcome in counts.__struct_fields__
        ]
        self._samples["relay.arrival.recipients"] = self._clock() + ARRIVALS_FRESH, seen

    @_never_raises
    def close(self) -> None:
        """Send buffered telemetry, and stop the threads."""
        self._tracing.shutdown()
        self._metering.shutdown()

    def _observer(self, name: str) -> "Callable[[CallbackOptions], Iterable[Observation]]":
        def observe(_: "CallbackOptions") -> "Iterable[Observation]":
            at, seen = self._samples.get(name, (None, ()))
            is_fresh = at is not None and (self._clock() - at).total_seconds() <= FRESH_SECONDS
            return seen if is_fresh else ()

        return observe


class _RequestSpan(RequestSpan):
    def __init__(self, span: "Span") -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    @_never_raises
    def end(self, method: str, path: str, status: int) -> None:
        from opentelemetry.trace import StatusCode

        self._span.update_name(f"{method} {path}".rstrip())
        self._span.set_attributes(
            {"http.request.method": method, "http.route": path, "http.response.status_code": status}
        )
        if status >= 500:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


def _context(traceparent: str) -> Any:
    """Return the parent context of a `traceparent`, an empty one if that is invalid."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000
