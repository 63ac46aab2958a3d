"""`relay clients …`: who may call."""

from typing import Annotated, Any

import typer

from relay.cli.output import AsJson, console, print_json, print_table, remote_of, told
from relay.clients.registry import Role

app = typer.Typer(no_args_is_help=True, help="Clients and their keys: list, add, limit, rotate, remove-key, disable.")
Name = Annotated[str, typer.Argument(help="The client's name.")]
Senders = Annotated[list[str] | None, typer.Option("--sender", help="A From address or *@domain it may use.")]
Recipients = Annotated[list[str] | None, typer.Option("--recipient", help="A recipient or *@domain it may send to.")]
Rate = Annotated[int | None, typer.Option(help="Messages a minute.", min=1)]
Quota = Annotated[int | None, typer.Option(help="Messages a day.", min=1)]


@app.command("list")
@told
def index(context: typer.Context, as_json: AsJson = False) -> None:
    """Every client, its keys and when each was last used."""
    found = remote_of(context).call("GET", "/v1/clients")["value"]
    if as_json:
        print_json(found)
        return
    rows = [
        (
            client["name"],
            client["role"],
            "disabled" if client["is_disabled"] else "",
            "\n".join(f"{key['id']}  last used {key['last_used_at'] or 'never'}" for key in client["keys"]),
            ", ".join(client["policy"]["senders"]),
        )
        for client in found
    ]
    print_table("", ("client", "role", "", "keys", "senders"), rows, nothing="There is no client.")


@app.command()
@told
def add(
    context: typer.Context,
    name: Name,
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.CLIENT,
    senders: Senders = None,
    recipients: Recipients = None,
    rate: Rate = None,
    quota: Quota = None,
    as_json: AsJson = False,
) -> None:
    """A new client; prints its key, which is told only this once.

    Example: relay clients add shop --sender "*@shop.example" --rate 600 --quota 50000
    """
    policy = _policy(senders, recipients, rate, quota)
    body = {"name": name, "role": str(role), **({"policy": policy} if policy else {})}
    answer = remote_of(context).call("POST", "/v1/clients", json=body)
    print_json(answer) if as_json else console.print(answer["key"], markup=False, highlight=False, soft_wrap=True)


@app.command()
@told
def limit(
    context: typer.Context,
    name: Name,
    senders: Senders = None,
    recipients: Recipients = None,
    rate: Rate = None,
    quota: Quota = None,
    as_json: AsJson = False,
) -> None:
    """Change what a client may send; what is not named stays."""
    answer = remote_of(context).call(
        "PATCH", f"/v1/clients/{name}", json={"policy": _policy(senders, recipients, rate, quota)}
    )
    print_json(answer) if as_json else console.print(f"{name} is changed.")


@app.command()
@told
def rotate(
    context: typer.Context,
    name: Name,
    expires_in_seconds: Annotated[int | None, typer.Option(help="When the new key stops to work.", min=60)] = None,
    as_json: AsJson = False,
) -> None:
    """Another key beside the active one. Give it to the client, then take the old one away with remove-key."""
    body = {"expires_in_seconds": expires_in_seconds} if expires_in_seconds else {}
    answer = remote_of(context).call("POST", f"/v1/clients/{name}/keys", json=body)
    print_json(answer) if as_json else console.print(answer["key"], markup=False, highlight=False, soft_wrap=True)


@app.command("remove-key")
@told
def remove_key(
    context: typer.Context, name: Name, key_id: Annotated[str, typer.Argument(help="The eight digits in the key.")]
) -> None:
    """Make a key useless, within half a minute everywhere."""
    remote_of(context).call("DELETE", f"/v1/clients/{name}/keys/{key_id}")
    console.print(f"{key_id} opens nothing any more.")


@app.command()
@told
def disable(context: typer.Context, name: Name) -> None:
    """Let none of a client's keys open anything."""
    remote_of(context).call("PATCH", f"/v1/clients/{name}", json={"is_disabled": True})
    console.print(f"{name} is disabled.")


@app.command()
@told
def enable(context: typer.Context, name: Name) -> None:
    """Let a disabled client's keys work again."""
    remote_of(context).call("PATCH", f"/v1/clients/{name}", json={"is_disabled": False})
    console.print(f"{name} is enabled.")


def _policy(
    senders: list[str] | None, recipients: list[str] | None, rate: int | None, quota: int | None
) -> dict[str, Any]:
    named = {"senders": senders, "recipients": recipients, "rate_per_minute": rate, "daily_quota": quota}
    return {name: value for name, value in named.items() if value}
