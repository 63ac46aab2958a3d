"""Helpers for the tests of the ACS provider: a stand-in, and routes to it with a key or a token."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from relay.core.model import Address, Message
from relay.core.outcomes import Deferred, RouteFault
from relay.core.send_request import SendRequest
from relay.platform.http.client import HttpClient
from relay.providers.acs import provider
from relay.providers.contract import Provider, ProviderContext
from standins.acs.auth import AUDIENCE
from standins.acs.server import DEFAULT_KEY, AcsStandIn
from tests.doubles import Clock
from tests.http_clients import http_client
from tests.send_requests import NOW, Secret, send_request_of


class Tokens:
    """Tokens of the stand-in's issuer: the same one until it is refused, or the reason why there is none."""

    def __init__(self, standin: AcsStandIn) -> None:
        self._standin = standin
        self._token = ""
        self.refusal: Deferred | RouteFault | None = None

    async def token(self, settings: Mapping[str, Any], scope: str, *, refused: str = "") -> str | Deferred | RouteFault:
        assert scope == f"{AUDIENCE}/.default"
        if self.refusal is not None:
            return self.refusal
        if not self._token or refused:
            self._token = self._standin.issuer.issue(AUDIENCE)
        return self._token


class Place:
    """A stand-in, and routes to it."""

    def __init__(self, standin: AcsStandIn, http: HttpClient, clock: Clock) -> None:
        self.standin = standin
        self.clock = clock
        self.keys = Secret(DEFAULT_KEY)
        self.tokens = Tokens(standin)
        self._http = http

    def route(self, **settings: Any) -> Provider:
        """Return a route to the stand-in, with the access key unless an identity is given."""
        who = {} if "managed_identity" in settings else {"access_key": "vault:acs-key"}
        context = ProviderContext(
            http=self._http, blobs=None, secrets=self.keys, clock=self.clock, credential=self.tokens
        )
        return provider.create("mail", {"endpoint": self.standin.url, **who, **settings}, context)


@asynccontextmanager
async def place(**options: Any) -> AsyncIterator[Place]:
    """Yield a place with a new stand-in."""
    clock = Clock(NOW)
    async with AcsStandIn(clock=clock, **options) as standin, http_client() as http:
        yield Place(standin, http, clock)


def mail(**changes: Any) -> Message:
    """Return a small message."""
    fields: dict[str, Any] = {
        "sender": Address(email="app@example.com", name="App"),
        "to": (Address(email="ada@example.org", name='Ada, "A" @ home'),),
        "bcc": (Address(email="bob@example.org"),),
        "subject": "件名",
        "text": "hello",
        "html": "<p>hello</p>",
    }
    return Message(**{**fields, **changes})


def send_request(message: Message | None = None, **fields: Any) -> SendRequest:
    """Return a request to send this message, or a small one."""
    return send_request_of(message or mail(), **fields)
