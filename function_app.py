"""The triggers: they convert between Azure's types and Relay's, and decide nothing.

The only module that imports `azure.functions`. The application is built at the first call, in the loop that serves it.
"""

import os
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import azure.functions as func

from relay.platform.environment import load_lanes

if TYPE_CHECKING:
    from relay.bootstrap import Relay

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
STORAGE = "AzureWebJobsStorage"


class PlainResponse(func.HttpResponse):
    """A response whose headers stay a dict, which the library accepts too.

    `func.HttpResponse` has werkzeug's headers: adding and searching seven of them cost 9 % of the instructions that Python runs
    for an accepted message, host included. The library searches only for cookies, which Relay never sets, and for
    `content-type`, which it adds. So this class does not call the library's `__init__`, which would make such headers, and
    defines everything that the library reads.
    """

    def __init__(self, body: bytes, *, status: int, headers: dict[str, str], media_type: str | None) -> None:
        self._body = body
        self._status = status
        self._headers = headers
        self._media_type = media_type or "text/plain"

    @property
    def status_code(self) -> int:
        return self._status

    @property
    def headers(self) -> Any:
        """Return the headers, without the Content-Type."""
        return self._headers

    @property
    def mimetype(self) -> str:
        return self._media_type

    @property
    def charset(self) -> str:
        return "utf-8"

    def get_body(self) -> bytes:
        return self._body


@cache
def relay() -> "Relay":
    """Return the application of this process, built at the first call."""
    from relay.bootstrap import start

    return start(os.environ)


@app.function_name("api")
@app.route(route="{*path}", methods=METHODS)
async def api(req: func.HttpRequest) -> func.HttpResponse:
    """Handle every HTTP call: the API, the console, the documentation."""
    from relay.api.http import Request

    url = req.url
    path = "/" + url.partition("://")[2].partition("/")[2].partition("?")[0]
    request = Request(
        method=req.method or "GET",
        path=path,
        url=url,
        headers=dict(req.headers),
        query=dict(req.params),
        body=req.get_body(),
    )
    response = await relay().api.handle(request)
    headers = dict(response.headers)
    media_type = headers.pop("Content-Type", None)
    return PlainResponse(response.body, status=response.status, headers=headers, media_type=media_type)


def _deliver_from(queue: str) -> Callable[[func.QueueMessage], Awaitable[None]]:
    async def deliver(msg: func.QueueMessage) -> None:
        await relay().delivery.deliver(queue, msg.get_body(), is_redelivery=(msg.dequeue_count or 1) > 1)
        await relay().late_timer.run_if_late()

    return deliver


def _record_dead_letters_from(queue: str) -> Callable[[func.QueueMessage], Awaitable[None]]:
    async def record_dead_letters(msg: func.QueueMessage) -> None:
        await relay().poison.record_dead_letters(queue, msg.get_body())

    return record_dead_letters


def _on_queue(name: str, queue: str, function: Callable[[func.QueueMessage], Awaitable[None]]) -> None:
    trigger = app.queue_trigger(arg_name="msg", queue_name=queue, connection=STORAGE)
    app.function_name(name)(trigger(function))


for _lane, _settings in load_lanes(os.environ).items():
    for _shard, _queue in enumerate(_settings.queues(_lane), 1):
        _on_queue(f"deliver_{_lane}_{_shard}", _queue, _deliver_from(_queue))
        _on_queue(f"poison_{_lane}_{_shard}", f"{_queue}-poison", _record_dead_letters_from(f"{_queue}-poison"))


async def _apply_events(msg: func.QueueMessage) -> None:
    await relay().events.apply(msg.get_body(), is_redelivery=(msg.dequeue_count or 1) > 1)


async def _apply_poison_events(msg: func.QueueMessage) -> None:
    await relay().events.apply_poison(msg.get_body())


_on_queue("apply_events", "events", _apply_events)
_on_queue("poison_events", "events-poison", _apply_poison_events)


async def _post_webhooks(msg: func.QueueMessage) -> None:
    await relay().webhooks.deliver(msg.get_body())


async def _keep_poison_webhooks(msg: func.QueueMessage) -> None:
    await relay().webhooks.keep_poison(msg.get_body())


_on_queue("post_webhooks", "webhooks", _post_webhooks)
_on_queue("poison_webhooks", "webhooks-poison", _keep_poison_webhooks)


async def _read_mailboxes(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the worker passes it by this name
    """Every minute: read bounces from the mailboxes in RELAY_BOUNCE_MAILBOXES."""
    await relay().mailboxes.read()


# Without mailboxes the timer would wake an instance every minute to do nothing.
if os.environ.get("RELAY_BOUNCE_MAILBOXES"):
    _timer = app.timer_trigger(arg_name="timer", schedule="15 * * * * *")
    app.function_name("read_mailboxes")(_timer(_read_mailboxes))


async def _read_message_trace(timer: func.TimerRequest) -> None:  # noqa: ARG001 - as above
    """Every minute: read the outcomes of mail from the message traces in RELAY_MESSAGE_TRACE."""
    await relay().message_trace_timer.run()


if os.environ.get("RELAY_MESSAGE_TRACE"):
    _trace_timer = app.timer_trigger(arg_name="timer", schedule="45 * * * * *")
    app.function_name("read_message_trace")(_trace_timer(_read_message_trace))


@app.function_name("recover")
@app.timer_trigger(arg_name="timer", schedule="30 * * * * *")
async def recover(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the worker passes it by this name
    """Every minute: probe held routes, re-enqueue overdue messages and orphaned entries, log queue health."""
    await relay().every_minute.run()


@app.function_name("purge")
@app.timer_trigger(arg_name="timer", schedule="0 17 2-7 * * *")
async def purge(timer: func.TimerRequest) -> None:  # noqa: ARG001 - as above
    """Every night: drain the poison queues, and delete data older than the retention."""
    await relay().nightly.run()
