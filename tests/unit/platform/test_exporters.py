"""Export telemetry to OTLP and Application Insights over real HTTP, or to nothing."""

import asyncio
import gzip
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from relay.api.http import Request, Response
from relay.bootstrap import Relay, configuration, utc_now
from relay.core.errors import SettingsError
from relay.platform.exporters import telemetry_of
from relay.platform.storage.memory.memory_storage import memory_storage
from relay.platform.telemetry import OFF
from tests.doubles import Clock
from tests.serving import serving

ROOT = Path(__file__).parents[3]


class Collector:
    """An endpoint that accepts everything."""

    def __init__(self) -> None:
        self.received: dict[str, list[bytes]] = {}

    async def take(self, request: web.Request) -> web.Response:
        self.received.setdefault(request.path, []).append(await request.read())
        return web.json_response({"itemsReceived": 1, "itemsAccepted": 1, "errors": []})


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    """Yield a collector and its URL."""
    collector = Collector()
    async with serving(collector.take) as url:
        yield collector, url


async def output_of(script: str, **environment: str) -> str:
    """Run code in a separate process, which must succeed, and return its output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, cwd=ROOT, env={**os.environ, **environment}, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed.decode()


async def test_otlp_is_exported_when_the_application_closes() -> None:
    async with collecting() as (collector, endpoint):
        response = await closed(endpoint)
    traces = ExportTraceServiceRequest.FromString(collector.received["/v1/traces"][0])
    (span,) = traces.resource_spans[0].scope_spans[0].spans
    assert span.trace_id.hex() == response.headers["x-ms-request-id"]
    resource = {each.key: each.value.string_value for each in traces.resource_spans[0].resource.attributes}
    assert resource["service.name"] == "relay"
    metrics = ExportMetricsServiceRequest.FromString(collector.received["/v1/metrics"][0])
    names = {metric.name for scope in metrics.resource_metrics[0].scope_metrics for metric in scope.metrics}
    assert "relay.accepted" in names


async def closed(endpoint: str) -> Response:
    """Return the response of an application with this endpoint, and close the application."""
    settings = configuration.load({"RELAY_TELEMETRY": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": f"{endpoint}/"})
    clock = Clock()
    relay = Relay(settings, memory_storage(clock), clock=clock)
    await relay.create_storage()
    relay.telemetry.accepted("bulk", 3)
    response = await relay.api.handle(Request(method="GET", path="/nowhere"))
    await relay.close()
    return response


async def test_application_insights_gets_the_same_telemetry() -> None:
    script = """
from relay.bootstrap import utc_now
from relay.platform.exporters import start_telemetry
import os
telemetry = start_telemetry("azure", os.environ, utc_now, lambda: None)
telemetry.accepted("bulk", 3)
telemetry.request("").end("GET", "/v1/x", 200)
telemetry.close()
"""
    async with collecting() as (collector, endpoint):
        insights = f"InstrumentationKey=00000000-0000-0000-0000-0000000000aa;IngestionEndpoint={endpoint}"
        await output_of(
            script,
            APPLICATIONINSIGHTS_CONNECTION_STRING=insights,
            APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL="true",
            APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED="true",
        )
    items = [item for body in collector.received["/v2.1/track"] for item in json.loads(unzipped(body))]
    requests = [item["data"]["baseData"]["name"] for item in items if item["data"]["baseType"] == "RequestData"]
    assert requests == ["GET /v1/x"]
    metrics = [item["data"]["baseData"]["metrics"][0] for item in items if item["data"]["baseType"] == "MetricData"]
    assert [metric["value"] for metric in metrics if metric["name"] == "relay.accepted"] == [3]


def unzipped(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


@pytest.mark.parametrize("kind", ["otlp", "azure"])
async def test_missing_packages_are_logged_and_mail_is_still_sent(kind: str) -> None:
    script = f"""
import logging, sys
sys.modules["opentelemetry"] = None
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
from relay.platform.telemetry import OFF
from relay.platform.exporters import telemetry_of
assert telemetry_of("{kind}", {{}}, lambda: None, lambda: None) is OFF
"""
    assert (await output_of(script)).startswith('ERROR telemetry_unavailable {"missing":"opentelemetry.sdk')


def test_telemetry_is_off_by_default() -> None:
    clock = Clock()
    assert Relay(configuration.load({}), memory_storage(clock), clock=clock).telemetry is OFF


@pytest.mark.parametrize(
    ("environment", "fault"),
    [
        ({"RELAY_TELEMETRY": "statsd"}, "RELAY_TELEMETRY: must be otlp or azure, or empty"),
        ({"RELAY_TELEMETRY": "otlp"}, "RELAY_TELEMETRY: otlp needs OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"RELAY_TELEMETRY": "azure"}, "RELAY_TELEMETRY: azure needs APPLICATIONINSIGHTS_CONNECTION_STRING"),
        (
            {"RELAY_TELEMETRY": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
            "OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL that begins with https://, without a query",
        ),
    ],
)
def test_invalid_settings_are_reported(environment: dict[str, str], fault: str) -> None:
    with pytest.raises(SettingsError) as wrong:
        configuration.load(environment)
    assert wrong.value.problems == (fault,)


def test_failed_start_is_logged_without_the_key(caplog: pytest.LogCaptureFixture) -> None:
    application = {"APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=not-a-key"}
    assert telemetry_of("azure", application, utc_now, lambda: None) is OFF
    assert [record.getMessage() for record in caplog.records] == ['telemetry_unavailable {"error":"ValueError"}']
