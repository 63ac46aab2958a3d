"""`relay routes …`: list, hold, release and probe routes."""

from typing import Annotated

import typer

from relay.cli.output import AsJson, console, print_json, print_table, remote_of, reports_errors

app = typer.Typer(no_args_is_help=True, help="List, hold, release and probe routes.")
Name = Annotated[str, typer.Argument(help="The route's name.")]
UNHEALTHY = 4
"""Exit code: the probe failed."""


@app.command("list")
@reports_errors
def index(context: typer.Context, as_json: AsJson = False) -> None:
    """List routes with their state, the cause of each hold, and the time of the next probe."""
    found = remote_of(context).call("GET", "/v1/routes")["value"]
    if as_json:
        print_json(found)
        return
    rows = []
    for route in found:
        rows.append((route["name"], route["provider"], route["state"], "", "", ""))
        rows += [
            ("", "", h["state"], h.get("sender") or "whole route", h["code"], h.get("next_probe_at") or "manual")
            for h in route["holds"]
        ]
    print_table("", ("route", "provider", "state", "scope", "cause", "next probe"), rows, empty="No routes.")


@app.command()
@reports_errors
def hold(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Hold a route until you release it. Its messages wait, and lose neither attempts nor time."""
    response = remote_of(context).call("POST", f"/v1/routes/{name}/hold")
    print_json(response) if as_json else console.print(f"{name} is held.")


@app.command()
@reports_errors
def release(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Release a route, and every sender that is held on it."""
    response = remote_of(context).call("POST", f"/v1/routes/{name}/release")
    print_json(response) if as_json else console.print(f"{name} is released.")


@app.command()
@reports_errors
def probe(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Probe a route now. If it is held and healthy, release one canary batch. Exits 4 if the probe fails."""
    probed = remote_of(context).call("POST", f"/v1/routes/{name}/probe")
    if as_json:
        print_json(probed)
    elif probed["is_healthy"]:
        console.print(f"{name} is healthy.")
    else:
        console.print(f"{name} cannot send: {probed['code']}. {probed['reply']}", markup=False, highlight=False)
    if not probed["is_healthy"]:
        raise typer.Exit(UNHEALTHY)
