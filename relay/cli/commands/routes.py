"""`relay routes …`: the ways out."""

from typing import Annotated

import typer

from relay.cli.output import AsJson, console, print_json, print_table, remote_of, told

app = typer.Typer(no_args_is_help=True, help="The routes: list, hold, release, probe.")
Name = Annotated[str, typer.Argument(help="The route's name.")]
UNHEALTHY = 4
"""Exit code: the probe failed."""


@app.command("list")
@told
def index(context: typer.Context, as_json: AsJson = False) -> None:
    """Every route with its state, why it is held, and when it is probed next."""
    found = remote_of(context).call("GET", "/v1/routes")["value"]
    if as_json:
        print_json(found)
        return
    rows = []
    for route in found:
        rows.append((route["name"], route["provider"], route["state"], "", "", ""))
        rows += [
            ("", "", h["state"], h.get("sender") or "whole route", h["code"], h.get("next_probe_at") or "by hand")
            for h in route["holds"]
        ]
    print_table("", ("route", "provider", "state", "scope", "cause", "next probe"), rows, nothing="There is no route.")


@app.command()
@told
def hold(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Let nothing leave by this route until it is released. Messages wait, and lose neither attempts nor time."""
    answer = remote_of(context).call("POST", f"/v1/routes/{name}/hold")
    print_json(answer) if as_json else console.print(f"{name} is held.")


@app.command()
@told
def release(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Open this route, and every sender held on it."""
    answer = remote_of(context).call("POST", f"/v1/routes/{name}/release")
    print_json(answer) if as_json else console.print(f"{name} is open.")


@app.command()
@told
def probe(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Ask the provider now whether this route could send; a held one that could lets a batch through. Exit code 4: it cannot."""
    answer = remote_of(context).call("POST", f"/v1/routes/{name}/probe")
    if as_json:
        print_json(answer)
    elif answer["is_healthy"]:
        console.print(f"{name} is healthy.")
    else:
        console.print(f"{name} cannot send: {answer['code']}. {answer['reply']}", markup=False, highlight=False)
    if not answer["is_healthy"]:
        raise typer.Exit(UNHEALTHY)
