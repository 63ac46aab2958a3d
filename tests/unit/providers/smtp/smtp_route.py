"""Helpers for the tests of the SMTP provider: a stand-in, a route to it, and requests to send."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from relay.core.model import Address, Message
from relay.core.outcomes import Outcome, PerRecipient
from relay.core.send_request import SendRequest
from relay.providers.contract import ProviderContext
from relay.providers.smtp.connection import SmtpTimeouts
from relay.providers.smtp.provider import SmtpProvider, check_settings
from standins.smtp.server import DEFAULT_PASSWORD, DEFAULT_USER, SmtpStandIn
from standins.tls import Authority
from tests.send_requests import NOW, Secret, send_request_of

AUTHORITY = Authority()


def mail(*emails: str, **fields: Any) -> Message:
    """Return a small message, to Ada or to `emails`."""
    given: dict[str, Any] = {
        "sender": Address(email="app@example.com", name="App"),
        "to": tuple(Address(email=email) for email in emails or ("ada@example.org",)),
        "subject": "Hello",
        "text": "A text",
    }
    return Message(**{**given, **fields})


def send_request(message: Message | None = None, **fields: Any) -> SendRequest:
    """Return a request to send this message, or a small one."""
    return send_request_of(message or mail(), **fields)


class Tokens:
    """The credential of a route: one token, or another after that was refused."""

    def __init__(self, token: Any, renewed: str = "") -> None:
        self.token_or_fault = token
        self.renewed = renewed
        self.scopes: list[str] = []

    async def token(self, _settings: Any, scope: str, *, refused: str = "") -> Any:
        self.scopes.append(scope)
        return self.renewed if refused and self.renewed else self.token_or_fault


class Place:
    """A stand-in and an SMTP route to it. Tests move the route's time, `clock_now`."""

    def __init__(self, standin: SmtpStandIn, ca_file: Path, **settings: Any) -> None:
        self.standin = standin
        self.inbox = standin.inbox
        self.script = standin.script
        self.clock_now = NOW
        self.passwords = Secret(DEFAULT_PASSWORD)
        self.tokens = Tokens("none")
        self.settings: dict[str, Any] = {"host": standin.host, "port": standin.port, "tls": standin.mode}
        if standin.mode != "none":
            self.settings["ca_file"] = str(ca_file)
        if standin.gate.users:
            self.settings |= {"username": DEFAULT_USER, "password": "setting:SMTP_PASSWORD"}
        self.settings |= settings
        self.providers: list[SmtpProvider] = []

    def route(self, timeouts: SmtpTimeouts | None = None) -> SmtpProvider:
        """Return a route with these settings, which must be valid."""
        assert check_settings(self.settings) == []
        context = ProviderContext(
            http=None, blobs=None, secrets=self.passwords, clock=lambda: self.clock_now, credential=self.tokens
        )
        self.providers.append(SmtpProvider(self.settings, context, timeouts or SmtpTimeouts()))
        return self.providers[-1]

    async def send(self, *emails: str, **fields: Any) -> Outcome | PerRecipient:
        """Send a small message by a new route."""
        return await self.route().send(send_request(mail(*emails, **fields)))

    def advance(self, seconds: float) -> None:
        self.clock_now += timedelta(seconds=seconds)


@asynccontextmanager
async def opened(folder: Path, *, route: dict[str, Any] | None = None, **standin: Any) -> AsyncIterator[Place]:
    """Yield a place whose stand-in has these arguments and whose route has these settings, and close its routes."""
    async with SmtpStandIn(authority=AUTHORITY, **standin) as server:
        place = Place(server, AUTHORITY.write(folder / "ca.pem"), **(route or {}))
        yield place
        for provider in place.providers:
            await provider.close()


def code_of(outcome: Outcome | PerRecipient) -> tuple[str, str]:
    """Return the type and code of an outcome."""
    assert not isinstance(outcome, PerRecipient)
    return type(outcome).__name__, outcome.code


def without(settings: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return the settings without some keys."""
    return {key: value for key, value in settings.items() if key not in keys}


def with_recipients(whole: SendRequest, *numbers: int) -> SendRequest:
    """Return the same request for only these recipients."""
    return msgspec.structs.replace(whole, recipients=numbers)
