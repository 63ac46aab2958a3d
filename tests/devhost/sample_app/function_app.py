"""A small app for the local host's tests: one function for each feature of the host."""

import asyncio
import json
import os

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


async def _note(kind: str, **fields: object) -> str:
    """Send a note to the test and return the test's answer."""
    host, _, port = os.environ["SAMPLE_NOTES"].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(json.dumps({"kind": kind, **fields}).encode() + b"\n")
    answer = await reader.readline()
    writer.close()
    return answer.decode().strip()


@app.route(route="echo/{*rest}", methods=["GET", "POST"])
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "query": dict(req.params),
        "route": dict(req.route_params),
        "body": req.get_body().decode(),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json", headers={"x-sample": "yes"})


@app.route(route="items/{id:int}", methods=["GET"])
async def item(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.route_params["id"])


@app.route(route="plain", methods=["POST"])
def plain(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(b"{}", status_code=202, mimetype="application/json")


@app.route(route="fails", methods=["GET"])
async def fails(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("a bug")


@app.route(route="asks", methods=["GET"])
async def asks(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(await _note("asks"))


@app.route(route="envelope", methods=["GET"])
async def envelope(req: func.HttpRequest) -> str:
    return '{"body": "inside", "statusCode": 201}'


@app.route(route="forward", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="%SAMPLE_QUEUE%", connection="AzureWebJobsStorage")
async def forward(req: func.HttpRequest, out: func.Out[bytes]) -> func.HttpResponse:
    out.set(req.get_body())
    return func.HttpResponse(status_code=202)


@app.queue_trigger(arg_name="msg", queue_name="%SAMPLE_QUEUE%", connection="AzureWebJobsStorage")
async def consume(msg: func.QueueMessage) -> None:
    body = msg.get_body().decode()
    await _note("consume", id=msg.id, body=body, dequeue_count=msg.dequeue_count)
    if body == "fail":
        raise RuntimeError("this message cannot be handled")


@app.queue_trigger(arg_name="msg", queue_name="%SAMPLE_QUEUE%-poison", connection="AzureWebJobsStorage")
async def poison(msg: func.QueueMessage) -> None:
    await _note("poison", body=msg.get_body().decode(), dequeue_count=msg.dequeue_count)


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *", run_on_startup=True)
async def tick(timer: func.TimerRequest) -> None:
    await _note("tick", past_due=timer.past_due)


@app.queue_trigger(arg_name="msg", queue_name="%NOT_SET%", connection="AzureWebJobsStorage")
async def misconfigured(msg: func.QueueMessage) -> None:
    await _note("misconfigured")
