"""Rows 3, 4 and 14: what each function's configuration makes of it, and what one wrong function does to the others."""

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
async def test_a_queue_function_that_cannot_listen_is_told_why(trigger: dict[str, str], problem: str) -> None:
    with pytest.raises(FunctionConfigurationError, match=problem):
        factory(SETTINGS).make(function(trigger=trigger))


@pytest.mark.parametrize("account", ["AccountName=a", "AccountName=a;AccountKey=?", "nonsense"])
async def test_a_wrong_connection_string_is_told_without_being_repeated(account: str) -> None:
    with pytest.raises(FunctionConfigurationError, match="storage connection string") as caught:
        factory({"AzureWebJobsStorage": account}).make(function(trigger={"queueName": "orders"}))
    assert account not in str(caught.value)


async def test_timers_listen_and_http_functions_do_not() -> None:
    made = factory(SETTINGS)
    seldom = function("tick", "timerTrigger", trigger={"schedule": "%AT%", "useMonitor": False})
    assert isinstance(factory({"AT": "0 0 3 * * *"}).make(seldom), TimerListener)
    assert made.make(function("echo", "httpTrigger")) is None
    with pytest.raises(FunctionConfigurationError, match="no 'blobTrigger'"):
        made.make(function("blob", "blobTrigger"))


async def test_one_wrong_function_keeps_no_other_from_listening() -> None:
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


async def test_a_listener_that_ends_by_an_error_is_told() -> None:
    failures: list[BaseException] = []
    broken = ValueError("a refusal")
    queue = MemoryQueue("orders", faults={"exists": broken})
    listeners = Listeners(make=lambda _: listening(queue, Runs()), refuse=lambda *_: None, failed=failures.append)
    listeners.start([function()])
    await listeners.drained()
    assert failures == [broken]


def test_an_output_that_could_never_be_written_is_refused_at_start() -> None:
    output = {"out": {"name": "out", "type": "queue", "queueName": "%GONE%"}}
    with pytest.raises(FunctionConfigurationError, match="GONE"):
        check_function(function(queue_outputs=output), SETTINGS)


@pytest.mark.parametrize(("kind", "direction"), [("blob", "IN"), ("table", "OUT"), ("queue", "INOUT")])
def test_a_binding_that_this_host_has_not_is_refused(kind: str, direction: str) -> None:
    trigger = {"type": "queueTrigger", "name": "arg", "direction": "IN"}
    bindings = (trigger, {"type": kind, "name": "more", "direction": direction})
    with pytest.raises(FunctionConfigurationError, match=f"no '{kind}' binding"):
        check_function(msgspec.structs.replace(function(), trigger=trigger, bindings=bindings), SETTINGS)


def test_a_retry_policy_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    check_function(function(has_retry=True), SETTINGS)
    assert "Soon retries will not be supported for function 'consume'" in caplog.text


def test_schedules_are_in_utc_unless_a_zone_is_named() -> None:
    assert time_zone({}) is UTC
    assert time_zone({"TZ": "Europe/Berlin"}) == ZoneInfo("Europe/Berlin")
    assert time_zone({"TZ": "Europe/Berlin", "WEBSITE_TIME_ZONE": "UTC"}) is UTC
    with pytest.raises(FunctionConfigurationError, match="not the name of a time zone"):
        time_zone({"WEBSITE_TIME_ZONE": "Mars/Olympus"})
