"""host.json: defaults, ranges, and overrides from the environment."""

import json
from datetime import timedelta
from typing import Any

import pytest

from devhost.host_json import HostSettings, parse_timespan, read_host_json
from devhost.settings import HostConfigurationError


def read(environment: dict[str, str] | None = None, *, shortens: bool = False, **content: Any) -> HostSettings:
    text = json.dumps({"version": "2.0", **content})
    return read_host_json(text, environment or {}, processors=2, shortens_polling=shortens)


def test_defaults_equal_those_of_the_genuine_host() -> None:
    settings = read()
    assert settings.route_prefix == "api"
    assert settings.function_timeout == timedelta(minutes=30)
    assert settings.max_outstanding_requests is None
    queues = settings.queues
    assert (queues.batch_size, queues.new_batch_threshold, queues.max_dequeue_count) == (16, 16, 5)
    assert (queues.max_polling_interval, queues.visibility_timeout) == (timedelta(minutes=1), timedelta(0))
    assert queues.is_base64


def test_all_settings_are_read() -> None:
    http = {"routePrefix": "", "maxOutstandingRequests": 3, "customHeaders": {"X-A": "b"}}
    queues = {
        "batchSize": 32,
        "newBatchThreshold": 0,
        "maxPollingInterval": "00:00:03",
        "maxDequeueCount": 2,
        "visibilityTimeout": "00:00:30",
        "messageEncoding": "none",
    }
    settings = read(functionTimeout="00:09:00", extensions={"http": http, "queues": queues})
    assert (settings.route_prefix, settings.max_outstanding_requests) == ("", 3)
    assert settings.function_timeout == timedelta(minutes=9)
    assert settings.custom_headers == (("X-A", "b"),)
    read_queues = settings.queues
    assert (read_queues.batch_size, read_queues.new_batch_threshold, read_queues.max_dequeue_count) == (32, 0, 2)
    assert read_queues.max_polling_interval == timedelta(seconds=3)
    assert read_queues.visibility_timeout == timedelta(seconds=30)
    assert not read_queues.is_base64


@pytest.mark.parametrize("content", [{}, {"version": "1.0"}, {"version": 2}])
def test_version_other_than_2_0_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(HostConfigurationError, match=r"'version' must be \"2\.0\""):
        read_host_json(json.dumps(content), {}, processors=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batchSize", 0),
        ("batchSize", 33),
        ("batchSize", "many"),
        ("newBatchThreshold", -1),
        ("maxDequeueCount", 0),
        ("maxPollingInterval", "00:00:00.050"),
        ("maxPollingInterval", "soon"),
        ("visibilityTimeout", "-00:00:01"),
        ("messageEncoding", "utf8"),
    ],
)
def test_queue_setting_out_of_range_is_refused(name: str, value: object) -> None:
    with pytest.raises(HostConfigurationError, match=rf"extensions\.queues\.{name}"):
        read(extensions={"queues": {name: value}})


def test_all_wrong_values_are_in_one_error() -> None:
    with pytest.raises(HostConfigurationError) as caught:
        read(functionTimeout="00:00:00", extensions={"queues": {"batchSize": 99}})
    assert "functionTimeout" in str(caught.value)
    assert "batchSize" in str(caught.value)


def test_environment_overrides_keys_ignoring_case() -> None:
    environment = {
        "AzureFunctionsJobHost__extensions__queues__batchSize": "4",
        "azurefunctionsjobhost__EXTENSIONS__HTTP__routeprefix": "v1",
    }
    settings = read(environment, extensions={"queues": {"batchSize": 8}})
    assert (settings.queues.batch_size, settings.route_prefix) == (4, "v1")


def test_default_new_batch_threshold_depends_on_batch_size_and_processors() -> None:
    assert read(extensions={"queues": {"batchSize": 5}}).queues.new_batch_threshold == 4


@pytest.mark.parametrize("extensions", [{}, {"queues": {"maxPollingInterval": "00:01:00"}}])
def test_one_minute_polling_interval_is_two_seconds_in_development(extensions: dict[str, Any]) -> None:
    assert read(shortens=True, extensions=extensions).queues.max_polling_interval == timedelta(seconds=2)


def test_other_polling_intervals_are_unchanged() -> None:
    extensions = {"queues": {"maxPollingInterval": "00:00:59"}}
    assert read(shortens=True, extensions=extensions).queues.max_polling_interval == timedelta(seconds=59)


@pytest.mark.parametrize("text", ["-1", "-1.00:00:00"])
def test_function_timeout_can_be_unlimited(text: str) -> None:
    assert read(functionTimeout=text).function_timeout is None


def test_ignored_settings_are_listed() -> None:
    assert read(concurrency={"dynamicConcurrencyEnabled": True}).ignored == ("concurrency",)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("00:00:02", timedelta(seconds=2)),
        ("00:05", timedelta(minutes=5)),
        ("2000", timedelta(days=2000)),
        ("1.02:03:04.5", timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
        ("-00:00:01", timedelta(seconds=-1)),
        ("00:00:00.1000000", timedelta(milliseconds=100)),
    ],
)
def test_time_spans_parse_as_in_dotnet(text: str, span: timedelta) -> None:
    assert parse_timespan(text) == span


@pytest.mark.parametrize("text", ["", "24:00:00", "00:60:00", "00:00:60", "5s", "99999999999"])
def test_invalid_time_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time span"):
        parse_timespan(text)
