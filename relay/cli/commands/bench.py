"""`relay bench`: measure how fast a relay accepts and sends."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from statistics import quantiles
from typing import Annotated

import typer
from rich.progress import Progress

from relay.cli.output import AsJson, console, print_json, print_pairs, remote_of, reports_errors
from relay.cli.remote import Remote
from relay.core.model import FINAL, State


@reports_errors
def bench(
    context: typer.Context,
    sender: Annotated[str, typer.Option("--from", help="The From address.")] = "bench@example.com",
    to: Annotated[str, typer.Option(help="The recipient.")] = "delivered@relay.test",
    messages: Annotated[int, typer.Option(help="The number of messages.", min=1, max=100_000)] = 200,
    connections: Annotated[int, typer.Option(help="The number of concurrent requests.", min=1, max=128)] = 16,
    as_json: AsJson = False,
) -> None:
    """Send messages, and measure until the last reaches a final state.

    A relay with a real provider sends real mail: choose a recipient that accepts it.
    """
    remote = remote_of(context)
    message = {
        "from": sender,
        "to": [to],
        "subject": "relay bench",
        "text": "A message of relay bench.",
        "tags": ["bench"],
    }
    begun = time.monotonic()
    with Progress(console=console, transient=True, disable=as_json) as progress:
        task = progress.add_task("accepted", total=messages)
        latencies, names = [], []
        for name, seconds in _send(remote, message, messages, connections):
            names.append(name)
            latencies.append(1000 * seconds)
            progress.advance(task)
        accepted_in = time.monotonic() - begun
        task = progress.add_task("ended", total=messages)
        states = Counter[str]()
        for name in names:
            states[_until_ended(remote, name)] += 1
            progress.advance(task)
    percentiles = quantiles(latencies, n=100, method="inclusive") if len(latencies) > 1 else latencies * 99
    result = {
        "accepted per second": round(messages / accepted_in, 1),
        "p50 ms": round(percentiles[49], 1),
        "p99 ms": round(percentiles[98], 1),
        "ended per second": round(messages / (time.monotonic() - begun), 1),
        **states,
    }
    print_json(result) if as_json else print_pairs(result)


def _send(remote: Remote, message: Mapping[str, object], count: int, connections: int) -> Iterator[tuple[str, float]]:
    def one(_: int) -> tuple[str, float]:
        begun = time.monotonic()
        accepted = remote.call("POST", "/v1/messages", json=message)
        return str(accepted["id"]), time.monotonic() - begun

    with ThreadPoolExecutor(connections) as pool:
        yield from pool.map(one, range(count))


def _until_ended(remote: Remote, name: str) -> str:
    while True:
        state = str(remote.call("GET", f"/v1/messages/{name}")["state"])
        if State(state) in FINAL:
            return state
        time.sleep(0.2)
