"""`relay clients …`: manage clients and their keys."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from relay.cli.output import AsJson, console, print_list, print_result, remote_of, reports_errors
from relay.clients.keys import Role
from relay.core.settings import BrakePolicy

app = typer.Typer(no_args_is_help=True, help="Manage clients and their keys.")
Name = Annotated[str, typer.Argument(help="The client's name.")]
Senders = Annotated[
    list[str] | None, typer.Option("--sender", help="An allowed From address or *@domain; repeat it for several.")
]
Recipients = Annotated[
    list[str] | None, typer.Option("--recipient", help="An allowed recipient or *@domain; repeat it for several.")
]
Sees = Annotated[
    list[str] | None,
    typer.Option("--sees", help="A client whose messages a viewer or support sees; repeat it for several."),
]
Rate = Annotated[int | None, typer.Option(help="The rate limit, in messages per minute.", min=1)]
Quota = Annotated[int | None, typer.Option(help="The quota, in messages per day.", min=1)]
Brake = Annotated[
    BrakePolicy | None, typer.Option(help="The lanes to hold when too much mail bounces or is reported as spam.")
]


@app.command("list")
@reports_errors
def index(context: typer.Context, as_json: AsJson = False) -> None:
    """List clients, with their keys and when each was last used."""
    found = remote_of(context).call("GET", "/v1/clients")["value"]
    columns = ("client", "role", "", "keys", "senders")
    print_list(found, columns, _cells, empty="No clients.", as_json=as_json, ids=("client",))


def _cells(client: dict[str, Any]) -> Sequence[str]:
    hold = f"held: {client['hold']['code']}" if client["hold"] else ""
    return (
        client["name"],
        client["role"],
        "disabled" if client["is_disabled"] else hold,
        "\n".join(map(_key, client["keys"])),
        ", ".join(client["policy"]["senders"]),
    )


def _key(key: dict[str, Any]) -> str:
    role = f"  {key['role']}" if key["role"] else ""
    return f"{key['id']}{role}  last used {key['last_used_at'] or 'never'}"


@app.command()
@reports_errors
def add(
    context: typer.Context,
    name: Name,
    role: Annotated[Role, typer.Option(help="The client's role.")] = Role.CLIENT,
    senders: Senders = None,
    recipients: Recipients = None,
    rate: Rate = None,
    quota: Quota = None,
    sees: Sees = None,
    brake: Brake = None,
    as_json: AsJson = False,
) -> None:
    """Create a client and print its key. The key is shown only once.

    Examples:

      relay clients add shop --sender "*@shop.example" --rate 600 --quota 50000

      relay clients add helpdesk --role support --sees shop
    """
    policy = _policy(senders, recipients, rate, quota, sees, brake)
    body = {"name": name, "role": str(role), **({"policy": policy} if policy else {})}
    created = remote_of(context).call("POST", "/v1/clients", json=body)
    print_result(created, created["key"], as_json=as_json)


@app.command()
@reports_errors
def limit(
    context: typer.Context,
    name: Name,
    senders: Senders = None,
    recipients: Recipients = None,
    rate: Rate = None,
    quota: Quota = None,
    sees: Sees = None,
    brake: Brake = None,
    as_json: AsJson = False,
) -> None:
    """Change the limits of a client. Limits that you do not give stay."""
    changed = remote_of(context).call(
        "PATCH", f"/v1/clients/{name}", json={"policy": _policy(senders, recipients, rate, quota, sees, brake)}
    )
    print_result(changed, f"{name} is changed.", as_json=as_json)


@app.command()
@reports_errors
def rotate(
    context: typer.Context,
    name: Name,
    role: Annotated[Role | None, typer.Option(help="A role of the key's own (default: that of the client).")] = None,
    expires_in_seconds: Annotated[
        int | None, typer.Option(help="The lifetime of the new key, in seconds.", min=60)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create another key for a client and print it.

    Deploy it, then delete the old key with remove-key.

    Examples:

      relay clients rotate shop

      relay clients rotate shop --role viewer
    """
    body = {"role": role, "expires_in_seconds": expires_in_seconds}
    created = remote_of(context).call("POST", f"/v1/clients/{name}/keys", json=body)
    print_result(created, created["key"], as_json=as_json)


@app.command("remove-key")
@reports_errors
def remove_key(
    context: typer.Context,
    name: Name,
    key_id: Annotated[str, typer.Argument(help="The key's id: the eight digits in it.")],
) -> None:
    """Delete a key. All instances refuse it within 30 seconds."""
    remote_of(context).call("DELETE", f"/v1/clients/{name}/keys/{key_id}")
    console.print(f"Key {key_id} is deleted.")


@app.command()
@reports_errors
def disable(context: typer.Context, name: Name) -> None:
    """Disable a client: all of its keys are refused."""
    remote_of(context).call("PATCH", f"/v1/clients/{name}", json={"is_disabled": True})
    console.print(f"{name} is disabled.")


@app.command()
@reports_errors
def enable(context: typer.Context, name: Name) -> None:
    """Enable a disabled client."""
    remote_of(context).call("PATCH", f"/v1/clients/{name}", json={"is_disabled": False})
    console.print(f"{name} is enabled.")


@app.command()
@reports_errors
def release(context: typer.Context, name: Name) -> None:
    """Release a client that is held for its bounces or spam reports, and send its waiting messages."""
    remote_of(context).call("POST", f"/v1/clients/{name}/release")
    console.print(f"{name} is released.")


@app.command()
@reports_errors
def delete(context: typer.Context, name: Name) -> None:
    """Delete a client with its webhooks, unused uploads and suppressions. Its messages stay."""
    remote_of(context).call("DELETE", f"/v1/clients/{name}")
    console.print(f"{name} is deleted.")


@app.command()
@reports_errors
def webhooks(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """List a client's webhooks. After a key leaked, look here for URLs that the thief added."""
    found = remote_of(context).call("GET", f"/v1/clients/{name}/webhooks")["value"]
    columns = ("webhook", "URL", "", "created", "note")
    print_list(found, columns, _webhook_cells, empty="No webhooks.", as_json=as_json, ids=("webhook",))


def _webhook_cells(webhook: dict[str, Any]) -> Sequence[Any]:
    state = "" if webhook["is_enabled"] else "disabled"
    return webhook["id"], webhook["url"], state, webhook["created_at"], webhook.get("note")


@app.command("remove-webhook")
@reports_errors
def remove_webhook(
    context: typer.Context, name: Name, webhook: Annotated[str, typer.Argument(help="The webhook's id.")]
) -> None:
    """Delete a client's webhook. It gets no more posts after 30 seconds."""
    remote_of(context).call("DELETE", f"/v1/clients/{name}/webhooks/{webhook}")
    console.print(f"Webhook {webhook} is deleted.")


def _policy(
    senders: list[str] | None,
    recipients: list[str] | None,
    rate: int | None,
    quota: int | None,
    sees: list[str] | None,
    brake: BrakePolicy | None,
) -> dict[str, Any]:
    named = {
        "senders": senders,
        "recipients": recipients,
        "rate_per_minute": rate,
        "daily_quota": quota,
        "sees": sees,
        "brake": None if brake is None else str(brake),
    }
    return {name: value for name, value in named.items() if value}
