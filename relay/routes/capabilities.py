"""What a route can carry: a message against its provider's capability table. Known at submission, so nothing is dropped later."""

from relay.core.model import Message, Submission
from relay.core.settings import Route
from relay.providers.contract import FEATURES
from relay.providers.registry import provider_module
from relay.providers.sendgrid.options import demands


def obstacle(route: Route, submission: Submission, recipients: int) -> str:
    """Why this route cannot carry the submission to so many recipients, as a sentence; empty when it can."""
    capabilities = provider_module(route.provider).CAPABILITIES
    if submission.size > capabilities.max_bytes:
        return f"route {route.name} carries at most {capabilities.max_bytes} bytes, the message has {submission.size}"
    raw_bytes = capabilities.max_raw_bytes
    if raw_bytes is not None and "raw_mime" in submission.features and submission.size > raw_bytes:
        return f"route {route.name} carries finished MIME up to {raw_bytes} bytes, the message has {submission.size}"
    if recipients > capabilities.max_recipients:
        return (
            f"route {route.name} takes at most {capabilities.max_recipients} recipients, the message has {recipients}"
        )
    missing = sorted(set(submission.features) - capabilities.features)
    if missing:
        return f"route {route.name} cannot carry: {', '.join(FEATURES[feature] for feature in missing)}"
    return ""


def needs(message: Message) -> frozenset[str]:
    """The features (`relay.providers.contract.FEATURES`) a message asks for."""
    wanted: set[str] = set()
    names = [name.lower() for name in message.headers]
    if any(name.startswith("x-") for name in names):
        wanted.add("x_headers")
    if any(not name.startswith("x-") for name in names):
        wanted.add("headers")
    if any(attachment.disposition == "inline" for attachment in message.attachments):
        wanted.add("inline_images")
    if message.raw is not None:
        wanted.add("raw_mime")
        # A stored raw message has CRLF throughout; what is not ASCII in its header is an address (RFC 6532).
        if not message.raw.partition(b"\r\n\r\n")[0].isascii():
            wanted.add("smtputf8")
    if message.return_path is not None:
        wanted.add("return_path")
    if len(message.reply_to) > 1:
        wanted.add("reply_to_many")
    if not all(address.email.rpartition("@")[0].isascii() for address in (message.sender, *message.recipients)):
        wanted.add("smtputf8")
    others = (own for provider, own in message.options.items() if provider != "sendgrid")
    if demands(message.options.get("sendgrid", {})) or any(others):
        wanted.add("templates")
    return frozenset(wanted)
