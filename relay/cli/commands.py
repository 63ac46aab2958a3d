"""The commands, one function each."""

import asyncio
import os
from typing import Annotated

import msgspec
import typer

from relay.bootstrap import Relay, start
from relay.clients import Role
from relay.errors import RelayError

app = typer.Typer(no_args_is_help=True, add_completion=True, help="Relay: send mail, and look after what was sent.")


@app.callback()
def main() -> None:
    """Relay: send mail, and look after what was sent."""


@app.command()
def init(
    client: Annotated[str, typer.Option(help="The name of the first client.")] = "first",
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.OPERATOR,
) -> None:
    """Create queues, tables, containers and a first client; prints JSON with its key, if it is new.

    Reads the app's own settings from the environment (AzureWebJobsStorage and RELAY_…).
    """
    try:
        key = asyncio.run(_init(start(os.environ), client, role))
    except RelayError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(msgspec.json.encode({"key": key}).decode())


async def _init(relay: Relay, client: str, role: Role) -> str | None:
    try:
        await relay.create_storage()
        return await relay.clients.ensure(client, role=role)
    finally:
        await relay.close()
