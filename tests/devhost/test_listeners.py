"""Listeners: their configuration, and isolation from misconfigured functions."""

from datetime import UTC
from zoneinfo import ZoneInfo

import msgspec
import pytest

from devhost.azure_storage import Storage
from devhost.host_json import QueueSettings
from devhost.listeners import ListenerFactory, Listeners, check_function, time_zone
from devhost.outputs import Invoker
from devhost.queues import Notices, QueueListener
from devhost.settings import FunctionConfigurationError
from devhost.timers import TimerListener
from devhost.worker import Function
from tests.devhost.doubles import MemoryQueue, function, gave
from tests.devhost.listening import Runs, Waits, listening

SETTINGS = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "QUEUE": "Orders"}


def factory(environment: dict[str, str]) -> ListenerFactory:
    notices = Notices()
    return ListenerFactory(
        queues=QueueSettings(),
        environment=environment,
        storage=Storage(),
        invoker=Invoker(gave(), is_base64=True, queue_for=lambda _: MemoryQueue(), notices=notices),
        notices=notices,
        host_id="host",
        runs_over_dequeued_poison=False,
    )


@pytest.mark.parametrize(
    ("trigger", "problem"),
    [
        ({"queueName": "%GONE%"}, "'%GONE%' does not resolve"),
        ({"queueName": "a"}, "not a valid queue name"),
        ({"queueName": "orders", "connection": "Other"}, "Connection 'Other' is not set"),
    ],
)
async def test_misconfigured_queue_function_is_refused_with_the_reason(trigger: dict[str, str], problem: str) -> None:
    with pytest.raises(FunctionConfigurationError, match=problem):
        factory(SETTINGS).make(function(trigger=trigger))


@pytest.mark.parametrize("account", ["AccountName=a", "AccountName=a;AccountKey=?", "nonsense"])
async def test_error_for_a_wrong_connection_string_does_not_repeat_it(account: str) -> None:
    with pytest.raises(FunctionConfigurationError, match="storage connection string") as caught:
        factory({"AzureWebJobsStorage": account}).make(function(trigger={"queueName": "orders"}))
    assert account not in str(caught.value)


async def test_timers_have_a_listener_and_http_functions_have_none() -> None:
    made = factory(SETTINGS)
    seldom = function("tick", "timerTrigger", trigger={"schedule": "%AT%", "useMonitor": False})
    assert isinstance(factory({"AT": "0 0 3 * * *"}).make(seldom), TimerListener)
    assert made.make(function("echo", "httpTrigger")) is None
    with pytest.raises(FunctionConfigurationError, match="does not support 'blobTrigger'"):
        made.make(function("blob", "blobTrigger"))


async def test_misconfigured_function_does_not_stop_the_others() -> None:
    refused: list[str] = []
    failures: list[BaseException] = []
    good, waits = MemoryQueue("orders"), Waits()

    def make(wanted: Function) -> QueueListener:
        if wanted.name == "wrong":
            raise FunctionConfigurationError("why")
        return listening(good, Runs(), waits=waits)

    listeners = Listeners(make=make, refuse=lambda f, _: refused.append(f.name), failed=failures.append)
    listeners.start([function("wrong"), function("right")])
    await listeners.drained()
    assert (refused, failures) == (["wrong"], [])
    assert [step[0] for step in good.steps] == ["exists", "receive"]


async def test_failed_listener_reports_its_error() -> None:
    failures: list[BaseException] = []
    broken = ValueError("a refusal")
    queue = MemoryQueue("orders", faults={"exists": broken})
    listeners = Listeners(make=lambda _: listening(queue, Runs()), refuse=lambda *_: None, failed=failures.append)
    listeners.start([function()])
    await listeners.drained()
    assert failures == [broken]


def test_misconfigured_output_is_refused_at_start() -> None:
    output = {"out": {"name": "out", "type": "queue", "queueName": "%GONE%"}}
    with pytest.raises(FunctionConfigurationError, match="GONE"):
        check_function(function(queue_outputs=output), SETTINGS)


@pytest.mark.parametrize(("kind", "direction"), [("blob", "IN"), ("table", "OUT"), ("queue", "INOUT")])
def test_unsupported_binding_is_refused(kind: str, direction: str) -> None:
    trigger = {"type": "queueTrigger", "name": "arg", "direction": "IN"}
    bindings = (trigger, {"type": kind, "name": "more", "direction": direction})
    with pytest.raises(FunctionConfigurationError, match=f"does not support '{kind}' bindings"):
        check_function(msgspec.structs.replace(function(), trigger=trigger, bindings=bindings), SETTINGS)


def test_retry_policy_logs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    check_function(function(has_retry=True), SETTINGS)
    assert "Soon retries will not be supported for function 'consume'" in caplog.text


def test_schedules_use_utc_by_default() -> None:
    assert time_zone({}) is UTC
    assert time_zone({"TZ": "Europe/Berlin"}) == ZoneInfo("Europe/Berlin")
    assert time_zone({"TZ": "Europe/Berlin", "WEBSITE_TIME_ZONE": "UTC"}) is UTC
    with pytest.raises(FunctionConfigurationError, match="not a time zone"):
        time_zone({"WEBSITE_TIME_ZONE": "Mars/Olympus"})
