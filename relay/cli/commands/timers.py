"""`relay timers …`: list the timers' steps with their last runs, and run one now."""

from typing import Annotated, Any

import typer

from relay.cli.commands.messages import ENDED_BADLY
from relay.cli.output import AsJson, console, print_json, print_table, remote_of, reports_errors

app = typer.Typer(help="List the timers' steps, and run one now.")


@app.callback(invoke_without_command=True)
@reports_errors
def index(context: typer.Context, as_json: AsJson = False) -> None:
    """List the steps with their last run: when it was, what it did, and whether it left work."""
    if context.invoked_subcommand is not None:
        return
    steps = remote_of(context).call("GET", "/v1/timers")["value"]
    if as_json:
        print_json(steps)
        return
    rows = [(step["name"], *_cells(step["last_run"])) for step in steps]
    print_table("", ("step", "last run", "seconds", "done", "result"), rows, empty="No steps.")


@app.command()
@reports_errors
def run(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The step's name.")],
    as_json: AsJson = False,
) -> None:
    """Run a step now, for at most 25 seconds. Exits 4 if it failed or left work: repeat the command.

    Examples:

      relay timers run recovery
    """
    report = remote_of(context).call("POST", f"/v1/timers/{name}/run")
    print_json(report) if as_json else console.print(f"{name}: {report['done']} done, {_result(report)}.")
    if not report["is_complete"]:
        raise typer.Exit(ENDED_BADLY)


def _cells(report: dict[str, Any] | None) -> tuple[Any, ...]:
    if report is None:
        return "never", "", "", ""
    return report["at"], report["seconds"], report["done"], _result(report)


def _result(report: dict[str, Any]) -> str:
    if report["error"]:
        return f"failed ({report['error']})"
    return "complete" if report["is_complete"] else "work left"
