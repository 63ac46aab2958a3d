"""Metrics and traces of a message's delivery, and none without RELAY_TELEMETRY."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from relay.acceptance.acceptance import LaneGroup
from relay.api.app import Api
from relay.api.http import Request, Response
from relay.api.operation import Handler, Operation, Operations, Tag
from relay.api.services import Call
from relay.core.errors import Refusal, Unavailable
from relay.core.outcomes import Deferred, Outcome, PerRecipient, Rejected, RouteFault, Sent
from relay.platform.otel import FRESH_SECONDS, OpenTelemetry
from relay.routes.hold_rows import RouteState
from tests.api.harness import Harness
from tests.doubles import CLIENT, Place, message_of, place_of, submission_of

CALLERS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Watcher:
    """Telemetry that is kept in memory, and methods to read it."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        tracing = TracerProvider(shutdown_on_exit=False)
        tracing.add_span_processor(SimpleSpanProcessor(self._spans))
        self.telemetry = OpenTelemetry(tracing, MeterProvider([self._reader], shutdown_on_exit=False), clock)

    def spans(self) -> Sequence[ReadableSpan]:
        """Return the ended spans in order."""
        return self._spans.get_finished_spans()

    def points(self, name: str) -> list[tuple[Mapping[str, object], float]]:
        """Return the attributes and value of each point of a metric. For a histogram, the sum."""
        data = self._reader.get_metrics_data()
        found: list[tuple[Mapping[str, object], float]] = []
        for resource in data.resource_metrics if data else ():
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                for point in metric.data.data_points if metric.name == name else ():
                    assert isinstance(point, NumberDataPoint | HistogramDataPoint)
                    value = point.value if isinstance(point, NumberDataPoint) else point.sum
                    found.append((dict(point.attributes or {}), value))
        return found


@pytest.fixture
async def place() -> Place:
    return await place_of()


@pytest.fixture
def watcher(place: Place) -> Iterator[Watcher]:
    watcher = Watcher(place.time)
    place.telemetry = watcher.telemetry
    yield watcher
    watcher.telemetry.close()


# ── counted and measured ──


async def test_accepted_messages_are_counted_when_durable(place: Place, watcher: Watcher) -> None:
    await place.acceptance.accept(CLIENT, "bulk", submission_of())
    await place.acceptance.accept_together(
        CLIENT, [LaneGroup(lane="bulk", submissions=[submission_of()] * 2)], place.new_batch()
    )
    await place.acceptance.accept_together(
        CLIENT, [LaneGroup(lane="transactional", submissions=[submission_of()] * 3)], place.new_batch()
    )
    place.queues.fail("put", Unavailable("away"))
    with pytest.raises(Refusal):
        await place.acceptance.accept(CLIENT, "bulk", submission_of())
    assert sorted(watcher.points("relay.accepted"), key=str) == [
        ({"lane": "bulk"}, 3),
        ({"lane": "transactional"}, 3),
    ]


@pytest.mark.parametrize(
    ("outcome", "counter", "code"),
    [
        (Deferred(code="unreachable"), "relay.deferred", "unreachable"),
        (Rejected(code="invalid_recipient"), "relay.failed", "invalid_recipient"),
        (RouteFault(code="bad_credentials"), "relay.held", "bad_credentials"),
    ],
)
async def test_attempt_is_counted_by_its_outcome(
    place: Place, watcher: Watcher, outcome: Outcome, counter: str, code: str
) -> None:
    place.script().answers.append(outcome)
    await place.send(submission_of())
    labels = {"lane": "transactional", "route": "main", "provider": "smtp", "code": code}
    assert watcher.points(counter) == [(labels, 1)]
    assert watcher.points("relay.sent") == watcher.points("relay.time_to_sent") == []


async def test_dead_letter_is_counted_with_its_cause(place: Place, watcher: Watcher) -> None:
    place.script().answers.append(Rejected(code="invalid_recipient"))
    await place.send(submission_of())
    expected = {"lane": "transactional", "state": "failed", "code": "invalid_recipient"}
    assert watcher.points("relay.dead_letters") == [(expected, 1)]


async def test_time_to_sent_starts_at_acceptance(place: Place, watcher: Watcher) -> None:
    place.script().answers.append(Deferred(code="unreachable", retry_after_seconds=600))
    await place.send(submission_of())
    place.time.move(3600)
    # A wait of minutes is in `pending` alone, and the timer enqueues it.
    await place.recovery.run()
    await place.work()
    labels = {"lane": "transactional", "route": "main", "provider": "smtp"}
    assert watcher.points("relay.sent") == [(labels, 1)]
    assert watcher.points("relay.time_to_sent") == [(labels, 3600)]


async def test_call_for_several_recipients_is_one_span(place: Place, watcher: Watcher) -> None:
    answers = (((0,), Sent()), ((1,), Deferred(code="recipient_deferred")))
    place.script().answers.append(PerRecipient(outcomes=answers))
    await place.send(submission_of(message_of("a@example.com", "b@example.com")))
    assert [value for _, value in watcher.points("relay.sent")] == [1]
    assert [value for _, value in watcher.points("relay.deferred")] == [1]
    assert len(watcher.spans()) == 1


async def test_queue_and_route_samples_are_reported_until_they_are_old(place: Place, watcher: Watcher) -> None:
    await place.acceptance.accept(CLIENT, "bulk", submission_of())
    place.time.move(7)
    await place.health_log.write()
    ages = {str(labels["queue"]): value for labels, value in watcher.points("relay.queue.age")}
    assert ages["relay-bulk"] == pytest.approx(7, abs=1)
    assert ages["relay-transactional"] == 0
    assert watcher.points("relay.route.state") == [({"route": "main", "state": str(RouteState.ACTIVE)}, 1)]
    place.telemetry.budgets({("main", "tenant"): 93})
    left = [({"route": "main", "scope": "tenant"}, 93)]
    assert watcher.points("relay.external_recipients.left") == left
    place.time.move(FRESH_SECONDS + 1)
    assert watcher.points("relay.queue.age") == watcher.points("relay.route.state") == []


# ── traced ──


async def accepting(call: Call) -> Response:
    trace = call.request.headers["traceparent"]
    await call.services.acceptance.accept(CLIENT, "transactional", submission_of(traceparent=trace))
    return Response(status=202)


async def refusing(call: Call) -> Response:
    raise Refusal(503, "busy", "Later.")


def api(place: Place) -> Api:
    def at(path: str, handler: Handler) -> Operation:
        return Operation(name="Try", endpoint=f"POST {path}", handler=handler, roles=None)

    tag = Tag(name="Test", operations=(at("/v1/things/{id}", accepting), at("/v1/refused", refusing)))
    return Api(place, Operations({"/v1/things": tag, "/v1/refused": tag}))


async def test_one_trace_connects_the_callers_request_and_the_provider_call() -> None:
    harness = await Harness().start()
    watcher = Watcher(harness.clock)
    harness.relay.telemetry = watcher.telemetry
    mail = {"from": "a@example.com", "to": ["secret@example.net"], "subject": "secret", "text": "secret"}
    outcome = await harness.call("POST", "/v1/messages", json=mail, headers={"traceparent": CALLERS})
    await harness.deliver()
    received, sent = watcher.spans()
    assert received.parent is not None
    assert f"{received.parent.span_id:016x}" == "b7ad6b7169203331"
    assert f"{received.context.trace_id:032x}" == outcome.headers["x-ms-request-id"] == CALLERS.split("-")[1]
    assert (received.name, received.kind) == ("POST /v1/messages", SpanKind.SERVER)
    assert sent.parent is not None
    assert (sent.parent.span_id, sent.context.trace_id) == (received.context.span_id, received.context.trace_id)
    assert (sent.name, sent.kind) == ("send by capture", SpanKind.CLIENT)
    assert sent.attributes is not None
    assert (sent.attributes["outcome"], sent.attributes["route"]) == ("sent", "capture")
    assert "secret" not in f"{received.to_json()}{sent.to_json()}"
    await harness.relay.close()


async def test_request_without_a_trace_starts_one(place: Place, watcher: Watcher) -> None:
    outcome = await api(place).handle(Request(method="POST", path="/v1/things/1", headers={"traceparent": "nonsense"}))
    (span,) = watcher.spans()
    assert span.parent is None
    assert outcome.headers["x-ms-request-id"] == f"{span.context.trace_id:032x}"


@pytest.mark.parametrize(
    ("path", "name", "status"), [("/v1/refused", "POST /v1/refused", 503), ("/nowhere/secret", "POST", 404)]
)
async def test_refused_request_has_a_span(place: Place, watcher: Watcher, path: str, name: str, status: int) -> None:
    await api(place).handle(Request(method="POST", path=path))
    (span,) = watcher.spans()
    assert span.attributes is not None
    assert (span.name, span.attributes["http.response.status_code"]) == (name, status)
    assert span.status.status_code is (StatusCode.ERROR if status == 503 else StatusCode.UNSET)


async def test_failed_attempt_is_marked_as_an_error(place: Place, watcher: Watcher) -> None:
    place.script().answers.append(Deferred(code="unreachable"))
    await place.send(submission_of())
    (span,) = watcher.spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "unreachable")


class Broken(SpanProcessor):
    """A span processor that raises."""

    def on_start(self, span: Span, parent_context: object = None) -> None:
        raise ZeroDivisionError


async def test_telemetry_error_does_not_change_the_recorded_work(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(Broken())
    place.telemetry = OpenTelemetry(tracing, MeterProvider(shutdown_on_exit=False), place.time)
    await api(place).handle(Request(method="POST", path="/v1/things/1", headers={"traceparent": CALLERS}))
    await place.work()
    assert len(place.script().sent) == 1
    assert place.waiting() == []
    logged = [record.getMessage() for record in caplog.records if "telemetry_failed" in record.getMessage()]
    assert logged == ['telemetry_failed {"signal":"request"}', 'telemetry_failed {"signal":"attempted"}']


async def test_arrivals_are_reported_until_they_are_old(place: Place, watcher: Watcher) -> None:
    await place.send(submission_of(message_of("a@example.com")))
    await place.arrival_rates.run()
    found = {str(labels["outcome"]): value for labels, value in watcher.points("relay.arrival.recipients")}
    assert (found["sent"], found["hard_bounced"], len(found)) == (1, 0, 6)
    place.time.move(600)
    assert watcher.points("relay.arrival.recipients") != []
    place.time.move(900)
    assert watcher.points("relay.arrival.recipients") == []
