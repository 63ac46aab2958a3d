"""A small app for the local host's tests: one function for each thing that the host must do."""

import asyncio
import json
import logging
import os
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
log = logging.getLogger("sample")


def _note(kind: str, **fields: object) -> None:
    """Appends a line to the file that the tests read."""
    path = os.environ.get("SAMPLE_NOTES")
    if path:
        with Path(path).open("a", encoding="utf-8") as notes:
            notes.write(json.dumps({"kind": kind, **fields}) + "\n")


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


@app.route(route="slow", methods=["GET"])
async def slow(req: func.HttpRequest) -> func.HttpResponse:
    await asyncio.sleep(float(req.params.get("seconds", "1")))
    return func.HttpResponse("done")


@app.route(route="fast", methods=["POST"])
async def fast(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(b"{}", status_code=202, mimetype="application/json")


@app.route(route="forward", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="sample-in", connection="AzureWebJobsStorage")
async def forward(req: func.HttpRequest, out: func.Out[bytes]) -> func.HttpResponse:
    out.set(req.get_body())
    return func.HttpResponse(status_code=202)


@app.queue_trigger(arg_name="msg", queue_name="%SAMPLE_QUEUE%", connection="AzureWebJobsStorage")
async def consume(msg: func.QueueMessage) -> None:
    body = msg.get_body().decode()
    _note("consume", id=msg.id, body=body, dequeue_count=msg.dequeue_count)
    if body.startswith("fail"):
        raise RuntimeError("this message cannot be handled")
    if body.startswith("sleep"):
        await asyncio.sleep(float(body.split()[1]))
        _note("woke", body=body)


@app.queue_trigger(arg_name="msg", queue_name="sample-in-poison", connection="AzureWebJobsStorage")
async def poison(msg: func.QueueMessage) -> None:
    _note("poison", body=msg.get_body().decode(), dequeue_count=msg.dequeue_count)


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *", run_on_startup=True)
async def tick(timer: func.TimerRequest) -> None:
    _note("tick", past_due=timer.past_due)


@app.queue_trigger(arg_name="msg", queue_name="%NOT_SET%", connection="AzureWebJobsStorage")
async def misconfigured(msg: func.QueueMessage) -> None:
    _note("misconfigured")
