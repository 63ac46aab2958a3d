"""Helpers for the tests of the Graph provider: a stand-in of Graph and Entra, and routes to it over TLS."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from relay.core.model import Address, Message
from relay.core.outcomes import Outcome
from relay.core.send_request import SendRequest
from relay.platform.entra_tokens import Credentials
from relay.platform.http.client import HttpClient
from relay.providers.contract import Provider, ProviderContext
from relay.providers.graph import provider
from standins.entra import DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT
from standins.graph.server import GraphStandIn
from standins.tls import Authority
from tests.http_clients import azure_session, http_client
from tests.send_requests import NOW, Secret, send_request_of

SENDER = "app@example.com"
AUTHORITY = Authority()


class Place:
    """A stand-in, and routes to it."""

    def __init__(self, standin: GraphStandIn, http: HttpClient, session: aiohttp.ClientSession) -> None:
        self.standin = standin
        self.keys = Secret(DEFAULT_SECRET)
        self.credentials: Any = Credentials(http=lambda: session, secrets=self.keys)
        self.http = http

    def route(self, **settings: Any) -> Provider:
        """Return a route to the stand-in, with its client secret."""
        identity: Mapping[str, Any] = {
            "tenant_id": DEFAULT_TENANT,
            "client_id": DEFAULT_CLIENT,
            "client_secret": "setting:CLIENT_SECRET",
            "authority": self.standin.url,
            "base_url": self.standin.url,
        }
        context = ProviderContext(
            http=self.http, blobs=None, secrets=self.keys, clock=lambda: NOW, credential=self.credentials
        )
        return provider.create("mail", {**identity, **settings}, context)

    async def send(self, given: SendRequest | Message | None = None, **settings: Any) -> Outcome:
        """Send once by a route with these settings."""
        outcome = await self.route(**settings).send(given if isinstance(given, SendRequest) else send_request(given))
        assert isinstance(outcome, msgspec.Struct)
        return outcome  # type: ignore[return-value]  # this provider has no outcomes by recipient

    def folder(self, name: str, mailbox: str = SENDER) -> list[Any]:
        """Return the messages in a folder of a mailbox."""
        return self.standin.boxes[mailbox].folders[name] if mailbox in self.standin.boxes else []


@asynccontextmanager
async def place(**options: Any) -> AsyncIterator[Place]:
    """Yield a place with a new stand-in."""
    async with (
        GraphStandIn(authority=AUTHORITY, **options) as standin,
        http_client(AUTHORITY) as client,
        azure_session(AUTHORITY) as session,
    ):
        here = Place(standin, client, session)
        yield here
        await here.credentials.close()


def mail(**changes: Any) -> Message:
    """Return a small message that fits JSON."""
    fields: dict[str, Any] = {
        "sender": Address(email=SENDER, name="App"),
        "to": (Address(email="ada@example.org", name='Ada, "A" @ home'),),
        "bcc": (Address(email="bob@example.org"),),
        "subject": "件名",
        "html": "<p>hello</p>",
    }
    return Message(**{**fields, **changes})


def send_request(message: Message | None = None, **fields: Any) -> SendRequest:
    """Return a request to send this message, or a small one."""
    return send_request_of(message or mail(), **fields)
