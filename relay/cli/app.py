"""Registers the commands; each group of commands has its own module."""

import asyncio
import os
from typing import Annotated

import msgspec
import typer

from relay import __version__
from relay.bootstrap import Relay, start
from relay.cli.commands import (
    audit,
    bench,
    clients,
    dead_letters,
    doctor,
    erase,
    messages,
    pause,
    resend,
    routes,
    suppressions,
    tail,
    timers,
)
from relay.cli.mail import pickup, sendmail, smtp
from relay.cli.output import Key, Url
from relay.cli.templates import commands as templates
from relay.clients.keys import Role
from relay.clients.policy import Policy
from relay.core.errors import RelayError

app = typer.Typer(no_args_is_help=True, add_completion=True, rich_markup_mode="markdown")
app.command()(messages.send)
app.command()(messages.status)
app.command()(messages.messages)
app.add_typer(dead_letters.app, name="deadletters")
app.add_typer(routes.app, name="routes")
app.add_typer(timers.app, name="timers")
app.add_typer(clients.app, name="clients")
app.add_typer(suppressions.app, name="suppressions")
app.add_typer(templates.app, name="templates")
app.command()(pause.pause)
app.command()(pause.resume)
app.command()(resend.resend)
app.command()(resend.redrive)
app.command()(erase.erase)
app.command()(audit.audit)
app.command()(messages.arrivals)
app.command()(tail.tail)
app.command()(bench.bench)
app.command()(doctor.doctor)
app.command(context_settings={"ignore_unknown_options": True})(sendmail.sendmail)
app.command()(pickup.pickup)
app.command()(smtp.smtp)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"relay {__version__}")
        raise typer.Exit


_Version = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
]


@app.callback()
def main(
    context: typer.Context,
    url: Url = None,
    key: Key = None,
    version: _Version = False,  # noqa: ARG001 # its callback acts
) -> None:
    """Send mail with Relay and operate it.

    Calls the relay at --url with --key; without them, the one that `make run` started in this folder.
    Exit codes: 0 done, 1 refused, 2 wrong command line, 3 relay unreachable or busy (retry), 4 done, with a bad result.
    """
    context.obj = {"url": url, "key": key}


@app.command()
def init(
    client: Annotated[str, typer.Option(help="The name of the first client.")] = "first",
    role: Annotated[Role, typer.Option(help="The client's role.")] = Role.OPERATOR,
) -> None:
    """Create queues, tables, containers and a first client, which may send from any address.

    Prints JSON with the client's key if the client is new.

    Reads the app's settings from the environment (AzureWebJobsStorage and RELAY_…).
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
        return await relay.clients.ensure(client, role=role, policy=Policy(senders=("*",)))
    finally:
        await relay.close()
