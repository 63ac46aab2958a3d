"""`relay routes …`: list, hold, release and probe routes."""

from typing import Annotated, Any

import typer

from relay.cli.moments import Until, end_of
from relay.cli.output import AsJson, print_json, print_result, print_table, remote_of, reports_errors
from relay.cli.remote import BAD_RESULT

app = typer.Typer(no_args_is_help=True, help="List, hold, release and probe routes.")
Name = Annotated[str, typer.Argument(help="The route's name.")]


@app.command("list")
@reports_errors
def index(context: typer.Context, as_json: AsJson = False) -> None:
    """List routes with their state, the cause of each hold, the time of the next probe, and what is left of a budget."""
    found = remote_of(context).call("GET", "/v1/routes")["value"]
    if as_json:
        print_json(found)
        return
    rows = []
    for route in found:
        rows.append((route["name"], route["provider"], route["state"], "", "", ""))
        rows += [
            ("", "", h["state"], h.get("sender") or "whole route", _cause(h), h.get("next_probe_at") or "manual")
            for h in route["holds"]
        ]
        rows += [("", "", "budget", b["name"] or b["scope"], _left(b), b["opens_at"] or "") for b in route["budgets"]]
    columns = ("route", "provider", "state", "scope", "cause", "next probe or reset")
    print_table(columns, rows, empty="No routes.", ids=("route",))


def _left(budget: dict[str, Any]) -> str:
    return f"{budget['left']} of {budget['limit']} external recipients left"


def _cause(hold: dict[str, Any]) -> str:
    """Return the cause, and for a person's hold the reason and the client."""
    text = f"{hold['code']}: {hold['reason']}" if hold["reason"] else hold["code"]
    return f"{text} ({hold['owner']})" if hold["owner"] else text


@app.command()
@reports_errors
def hold(
    context: typer.Context,
    name: Name,
    reason: Annotated[str | None, typer.Option(help="The reason, shown with the route.")] = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Hold a route until you release it, or until a time. Its messages wait, and lose neither attempts nor time.

    Example: relay routes hold exchange --reason "maintenance" --until 18:00
    """
    body = {"reason": reason, "until": end_of(until)}
    response = remote_of(context).call("POST", f"/v1/routes/{name}/hold", json=body)
    end = f" until {response['until']}" if response["until"] else ""
    print_result(response, f"{name} is held{end}.", as_json=as_json)


@app.command()
@reports_errors
def release(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Release a route, and every sender that is held on it."""
    response = remote_of(context).call("POST", f"/v1/routes/{name}/release")
    print_result(response, f"{name} is released.", as_json=as_json)


@app.command()
@reports_errors
def probe(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Probe a route now. If it is held and healthy, release one canary batch. Exits 4 if the probe fails."""
    probed = remote_of(context).call("POST", f"/v1/routes/{name}/probe")
    is_healthy = probed["is_healthy"]
    text = f"{name} is healthy." if is_healthy else f"{name} cannot send: {probed['code']}. {probed['reply']}"
    print_result(probed, text, as_json=as_json)
    if not is_healthy:
        raise typer.Exit(BAD_RESULT)
