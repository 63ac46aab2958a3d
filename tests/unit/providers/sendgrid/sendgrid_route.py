"""Helpers for the tests of the SendGrid provider: a message, and a route to the stand-in."""

from typing import Any

from relay.core.model import Address, Message
from relay.core.send_request import SendRequest
from relay.platform.http.client import HttpClient
from relay.providers.contract import Provider, ProviderContext
from relay.providers.sendgrid import provider
from standins.sendgrid.server import DEFAULT_KEY
from tests.send_requests import NOW, Secret, send_request_of


def send_request(message: Message | None = None, **fields: Any) -> SendRequest:
    """Return a request to send this message, or a small one."""
    return send_request_of(message or mail(), **fields)


def mail(**changes: Any) -> Message:
    """Return a small message. `changes` are fields of `Message`."""
    fields: dict[str, Any] = {
        "sender": Address(email="app@example.com", name="App"),
        "to": (Address(email="ada@example.org", name="Ada"),),
        "subject": "Hello",
        "text": "A text",
    }
    return Message(**{**fields, **changes})


def route(url: str, http: HttpClient, keys: Secret | None = None, **settings: Any) -> Provider:
    """Return a SendGrid route to `url`."""
    context = ProviderContext(
        http=http, blobs=None, secrets=keys or Secret(DEFAULT_KEY), clock=lambda: NOW, credential=None
    )
    return provider.create("mail", {"base_url": url, **settings}, context)
