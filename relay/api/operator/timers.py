"""List the timers' steps, and run one now."""

import msgspec

from relay.api.http import Response, json_response
from relay.api.services import Call
from relay.api.shapes.system import TimerListView, TimerRunView, TimerView
from relay.core.errors import Refusal
from relay.operations.timers.run_now import StepRunning
from relay.operations.timers.steps import StepReport


async def index(call: Call) -> Response:
    """Handle GET /v1/timers."""
    steps = await call.services.run_now.last_reports()
    value = [TimerView(name=name, last_run=_view(report) if report else None) for name, report in steps]
    return json_response(TimerListView(value=value))


async def run(call: Call) -> Response:
    """Handle POST /v1/timers/{name}/run: run a step while the caller waits."""
    run_now, name = call.services.run_now, call.values["name"]
    if name not in run_now.names:
        raise Refusal(404, "not_found", f"Unknown step. Use one of: {', '.join(run_now.names)}.")
    try:
        report = await run_now.run(name)
    except StepRunning as error:
        running = error.running
        left = (running.until - call.services.clock()).total_seconds()
        text = f"The step {running.name} is running already. Repeat the request after Retry-After."
        raise Refusal(409, "step_running", text, headers={"Retry-After": str(max(1, round(left)))}) from error
    return json_response(_view(report))


def _view(report: StepReport) -> TimerRunView:
    return msgspec.convert(report, TimerRunView, from_attributes=True)
