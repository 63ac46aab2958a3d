"""Make unsubscribe links, and write them into mail (RFC 2369, RFC 8058).

A link is `<public URL>/unsubscribe/<token>`; delivery appends the id of the message, which is not known earlier.
"""

from urllib.parse import urlsplit

import msgspec

from relay.core.model import Message
from relay.mime.writing.structured import header_field
from relay.platform.settings_checks import LOOPBACK_NAMES
from relay.unsubscribe import token
from relay.unsubscribe.token import Subscriber

PATH = "/unsubscribe"
LINK = "List-Unsubscribe"
POST = "List-Unsubscribe-Post"
ONE_CLICK = "List-Unsubscribe=One-Click"
"""The value of `List-Unsubscribe-Post`, and the body of the request that mail programs then send (RFC 8058 section 3.1)."""


def public_url_problem(public_url: str) -> str:
    """Return why links to this address would not work, as a sentence; empty if they do."""
    address = urlsplit(public_url)
    if not public_url:
        return "Unsubscribe links need the public address of Relay. An operator must set RELAY_PUBLIC_URL."
    if address.scheme != "https" and address.hostname not in LOOPBACK_NAMES:
        return "Unsubscribe links need an address with https (RFC 8058). An operator must change RELAY_PUBLIC_URL."
    return ""


def address_of_links(public_url: str, origin: str) -> str:
    """Return the base URL of links: the public URL, or without one the caller's if it is a loopback address, to try links."""
    return origin if not public_url and urlsplit(origin).hostname in LOOPBACK_NAMES else public_url


def link_of(public_url: str, subscriber: Subscriber) -> str:
    """Return the link of a subscriber, without the id of a message."""
    return f"{public_url}{PATH}/{token.write(subscriber)}"


def with_link(message: Message, url: str) -> Message:
    """Add both fields to a message. In a finished message they come before its own, so that its signature stays valid."""
    fields = {LINK: f"<{url}>", POST: ONE_CLICK}
    if message.raw is None:
        return msgspec.structs.replace(message, headers={**message.headers, **fields})
    lines = b"".join(header_field(name, value) for name, value in fields.items())
    return msgspec.structs.replace(message, raw=lines + message.raw)
