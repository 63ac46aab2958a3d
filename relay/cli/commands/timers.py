"""`relay timers …`: list the timers' steps with their last runs, and run one now."""

from typing import Annotated, Any

import typer

from relay.cli.output import AsJson, print_list, print_result, remote_of, reports_errors
from relay.cli.remote import BAD_RESULT

app = typer.Typer(help="List the timers' steps, and run one now.")


@app.callback(invoke_without_command=True)
@reports_errors
def index(context: typer.Context, as_json: AsJson = False) -> None:
    """List the steps with their last run: when it was, what it did, and whether it left work."""
    if context.invoked_subcommand is not None:
        return
    steps = remote_of(context).call("GET", "/v1/timers")["value"]
    columns = ("step", "last run", "seconds", "done", "result")
    print_list(steps, columns, _cells, empty="No steps.", as_json=as_json)


@app.command()
@reports_errors
def run(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The step's name.")],
    as_json: AsJson = False,
) -> None:
    """Run a step now, for at most 25 seconds. Exits 4 if it failed or left work: repeat the command.

    Example: relay timers run recovery
    """
    report = remote_of(context).call("POST", f"/v1/timers/{name}/run")
    print_result(report, f"{name}: {report['done']} done, {_result(report)}.", as_json=as_json)
    if not report["is_complete"]:
        raise typer.Exit(BAD_RESULT)


def _cells(step: dict[str, Any]) -> tuple[Any, ...]:
    report = step["last_run"]
    if report is None:
        return step["name"], "never"
    return step["name"], report["at"], report["seconds"], report["done"], _result(report)


def _result(report: dict[str, Any]) -> str:
    if report["error"]:
        return f"failed ({report['error']})"
    return "complete" if report["is_complete"] else "work left"
