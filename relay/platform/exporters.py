"""Start telemetry export to an OTLP endpoint or to Application Insights, as RELAY_TELEMETRY selects.

The packages are the extra `telemetry`. The SDK's threads send everything in batches and drop what cannot be sent. Mail never
waits for telemetry.
"""

import importlib.util
import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from relay.platform.log import log_event
from relay.platform.telemetry import OFF, Telemetry

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

PACKAGES = {
    "otlp": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
    "azure": ("opentelemetry.sdk", "azure.monitor.opentelemetry.exporter"),
}
"""The packages that each value of RELAY_TELEMETRY needs."""


class _Exporters(msgspec.Struct, frozen=True, kw_only=True):
    """The exporters of spans and metrics."""

    spans: "SpanExporter"
    metrics: "MetricExporter"


def start_telemetry(
    kind: str, application: Mapping[str, str], clock: Callable[[], datetime], credential: Callable[[], Any]
) -> Telemetry:
    """Start telemetry of this kind, exported in the background. Its packages must be installed."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from relay.platform.otel import OpenTelemetry

    instance = f"{application.get('WEBSITE_INSTANCE_ID', '')[:12]}-{uuid.uuid4().hex[:8]}".strip("-")
    resource = Resource.create({"service.name": "relay", "service.instance.id": instance})
    tracing = TracerProvider(resource=resource)
    exporters = _exporters_of(kind, application, credential, tracing)
    tracing.add_span_processor(BatchSpanProcessor(exporters.spans))
    metering = MeterProvider([PeriodicExportingMetricReader(exporters.metrics)], resource=resource)
    return OpenTelemetry(tracing, metering, clock)


def telemetry_of(
    kind: str, application: Mapping[str, str], clock: Callable[[], datetime], credential: Callable[[], Any]
) -> Telemetry:
    """Call `start_telemetry`. If that fails, log an error and return `OFF`, so that mail is still sent."""
    if absent := [name for name in PACKAGES[kind] if not _is_installed(name)]:
        log_event("telemetry_unavailable", level=logging.ERROR, missing=", ".join(absent))
        return OFF
    try:
        return start_telemetry(kind, application, clock, credential)
    except Exception as error:  # an invalid connection string, or anything else an SDK raises
        log_event("telemetry_unavailable", level=logging.ERROR, error=type(error).__name__)
        return OFF


def _exporters_of(
    kind: str, application: Mapping[str, str], credential: Callable[[], Any], tracing: "TracerProvider"
) -> _Exporters:
    """Make the exporters of a kind. The OTLP SDK reads headers from `OTEL_EXPORTER_OTLP_HEADERS` itself."""
    if kind == "azure":
        from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter, AzureMonitorTraceExporter

        options: dict[str, Any] = {
            "connection_string": application["APPLICATIONINSIGHTS_CONNECTION_STRING"],
            "credential": credential(),
            "disable_offline_storage": True,
        }
        return _Exporters(
            spans=AzureMonitorTraceExporter(**options, tracer_provider=tracing),
            metrics=AzureMonitorMetricExporter(**options),
        )
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    base = application["OTEL_EXPORTER_OTLP_ENDPOINT"].rstrip("/")
    return _Exporters(
        spans=OTLPSpanExporter(endpoint=f"{base}/v1/traces"), metrics=OTLPMetricExporter(endpoint=f"{base}/v1/metrics")
    )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
