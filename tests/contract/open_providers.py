"""Open each provider with its stand-in. A new provider is one function here and one entry in `SETUPS`."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from relay.platform.entra_tokens import Credentials
from relay.platform.storage.memory.memory_storage import memory_storage
from relay.providers.capture.inbox import CONTAINER
from relay.providers.contract import ProviderContext
from standins.acs.server import DEFAULT_KEY as ACS_KEY
from standins.acs.server import AcsStandIn
from standins.entra import DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT
from standins.graph.server import GraphStandIn
from standins.http import StandIn
from standins.sendgrid.server import DEFAULT_KEY as SENDGRID_KEY
from standins.sendgrid.server import SendGridStandIn
from standins.smtp.server import DEFAULT_PASSWORD, DEFAULT_USER, SmtpStandIn
from standins.tls import Authority
from tests.contract.messages import SENDER
from tests.contract.provider_setups import (
    AcsSetup,
    CaptureSetup,
    GraphSetup,
    Keys,
    SendGridSetup,
    SmtpSetup,
    StandInSetup,
)
from tests.http_clients import azure_session, http_client
from tests.send_requests import NOW

AUTHORITY = Authority()

type Opening = Callable[[Path], AbstractAsyncContextManager[Any]]  # of a ProviderSetup


@asynccontextmanager
async def _capture(_folder: Path) -> AsyncIterator[CaptureSetup]:
    blobs = memory_storage(lambda: NOW).blobs
    await blobs.create(CONTAINER)
    setup = CaptureSetup(blobs)
    yield setup
    await setup.provider.close()


@asynccontextmanager
async def _on(
    kind: type[StandInSetup], standin: StandIn, settings: Mapping[str, Any], secrets: Mapping[str, str]
) -> AsyncIterator[StandInSetup]:
    """Yield a setup with a started stand-in."""
    async with http_client(AUTHORITY) as client, azure_session(AUTHORITY) as session:
        keys = Keys(secrets)
        credentials = Credentials(http=lambda: session, secrets=keys)
        context = ProviderContext(http=client, blobs=None, secrets=keys, clock=lambda: NOW, credential=credentials)
        setup = kind(standin, kind.module.create("mail", settings, context), settings)
        yield setup
        await setup.provider.close()
        await credentials.close()
        assert not session.closed


@asynccontextmanager
async def _sendgrid(_folder: Path) -> AsyncIterator[StandInSetup]:
    async with SendGridStandIn(clock=lambda: NOW) as standin:
        standin.lists.has_activity_feed = True
        settings = {"api_key": "setting:KEY", "base_url": standin.url, "activity_feed": True}
        async with _on(SendGridSetup, standin, settings, {"setting:KEY": SENDGRID_KEY}) as setup:
            yield setup


@asynccontextmanager
async def _graph(_folder: Path) -> AsyncIterator[StandInSetup]:
    async with GraphStandIn(authority=AUTHORITY, clock=lambda: NOW) as standin:
        settings = {
            "base_url": standin.url,
            "authority": standin.url,
            "tenant_id": DEFAULT_TENANT,
            "client_id": DEFAULT_CLIENT,
            "client_secret": "setting:SECRET",
            "mailbox": SENDER.email,
        }
        async with _on(GraphSetup, standin, settings, {"setting:SECRET": DEFAULT_SECRET}) as setup:
            yield setup


@asynccontextmanager
async def _acs(_folder: Path) -> AsyncIterator[StandInSetup]:
    async with AcsStandIn(clock=lambda: NOW) as standin:
        settings = {"endpoint": standin.url, "access_key": "setting:KEY"}
        async with _on(AcsSetup, standin, settings, {"setting:KEY": ACS_KEY}) as setup:
            yield setup


@asynccontextmanager
async def _smtp(folder: Path) -> AsyncIterator[StandInSetup]:
    async with SmtpStandIn(authority=AUTHORITY, clock=lambda: NOW) as standin:
        settings = {
            "host": standin.host,
            "port": standin.port,
            "ca_file": str(AUTHORITY.write(folder / "ca.pem")),
            "username": DEFAULT_USER,
            "password": "setting:PASSWORD",
        }
        async with _on(SmtpSetup, standin, settings, {"setting:PASSWORD": DEFAULT_PASSWORD}) as setup:
            yield setup


SETUPS: Mapping[str, Opening] = {
    "capture": _capture,
    "sendgrid": _sendgrid,
    "graph": _graph,
    "acs": _acs,
    "smtp": _smtp,
}
"""The setup of each provider, given a folder for its files."""
