"""`relay pause` and `relay resume`: stop and start all sending, for a deployment."""

import time
from typing import Annotated, Any

import typer

from relay.cli.moments import Until, end_of
from relay.cli.output import AsJson, print_result, remote_of, reports_errors
from relay.cli.remote import BAD_RESULT, Remote

STEP_SECONDS = 20
"""How long one request waits; the command repeats it."""


@reports_errors
def pause(
    context: typer.Context,
    reason: Annotated[str, typer.Option(help="The reason, shown with the routes.")] = "deployment",
    until: Until = None,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait until no attempt runs.")] = 300,
    as_json: AsJson = False,
) -> None:
    """Hold all routes and wait until no attempt runs. Relay still accepts mail and stores it.

    Exits 4 if attempts still run: repeat the command.

    Example: relay pause && azd up; relay resume
    """
    state = _pause(remote_of(context), {"reason": reason, "until": end_of(until)}, wait)
    is_quiet = state["is_quiet"]
    running = f"Every route is held. Attempts that still run: {state['sending']}."
    print_result(state, "Delivery is paused; no attempt runs." if is_quiet else running, as_json=as_json)
    if not is_quiet:
        raise typer.Exit(BAD_RESULT)


def _pause(remote: Remote, terms: dict[str, str | None], wait: int) -> Any:
    end = time.monotonic() + wait
    while True:
        left = max(0, int(end - time.monotonic()))
        body = {**terms, "wait_seconds": min(STEP_SECONDS, left)}
        state = remote.call("POST", "/v1/pause", json=body)
        if state["is_quiet"] or left <= STEP_SECONDS:
            return state


@reports_errors
def resume(context: typer.Context, as_json: AsJson = False) -> None:
    """End the holds that `pause` made, and send the waiting messages. Other holds stay."""
    response = remote_of(context).call("POST", "/v1/resume")
    print_result(response, f"Delivery is resumed; holds ended: {response['resumed']}.", as_json=as_json)
