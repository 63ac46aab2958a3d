"""Check a message against a provider's capabilities, so that submission refuses what delivery could not carry."""

from collections.abc import Iterable, Mapping

import msgspec

from relay.core.model import Message, Rebuilt, Submission
from relay.core.settings import Route
from relay.mime.size import estimate_size
from relay.mime.writing import transfer
from relay.providers.contract import FEATURES, Capabilities
from relay.providers.registry import demanded_options, optional_options, provider_module

_OPTIONS = "options."
"""The prefix of an option's name among the features: `options.sendgrid.asm`."""
_OF_FINISHED = frozenset(("raw_mime", "long_lines"))
"""Features that a finished message needs of a route, and its rebuilt content does not."""
_OTHER_RECIPIENTS = "To and Cc with addresses that are not recipients"


def refusal(route: Route, submission: Submission, recipients: int) -> str:
    """Return why this route cannot carry the submission to this number of recipients; empty when it can."""
    capabilities = _capabilities(route)
    name = f"route {route.name} ({route.provider})"
    rebuilt = submission.rebuilt if "raw_content" in capabilities.features else None
    size = submission.size if rebuilt is None else rebuilt.size
    if size > capabilities.max_bytes:
        return f"{name} carries at most {capabilities.max_bytes} bytes; the message has {size}"
    body_bytes = capabilities.max_body_bytes
    if body_bytes is not None and submission.body_size > body_bytes:
        kind = "finished MIME" if "raw_mime" in submission.features else "text and HTML"
        return f"{name} carries {kind} up to {body_bytes} bytes; the message has {submission.body_size}"
    if recipients > capabilities.max_recipients:
        return f"{name} carries at most {capabilities.max_recipients} recipients; the message has {recipients}"
    features: Iterable[str] = submission.features
    if rebuilt is not None:
        features = {*features, *rebuilt.features} - _OF_FINISHED
    missing = [each for each in sorted(features) if not _has(each, route.provider, capabilities)]
    reasons = [f"cannot carry {', '.join(FEATURES.get(feature, feature) for feature in missing)}"] if missing else []
    if rebuilt is not None and rebuilt.losses:
        reasons.append(f"would lose parts of the finished message: {', '.join(rebuilt.losses)}")
    return f"{name} {' and '.join(reasons)}" if reasons else ""


def sends_content(route: Route) -> bool:
    """Return whether a route sends the content of a finished message instead of the message itself."""
    return "raw_content" in _capabilities(route).features


def required(message: Message) -> frozenset[str]:
    """Return the requirements of a message on a route: features (`relay.providers.contract.FEATURES`) and named options.

    Only the providers that the message has options for are loaded; each names the options that it alone can carry.
    """
    found = _required_features(message)
    return frozenset(found | _required_options(message) if message.options else found)


def rebuilt(message: Message) -> Rebuilt:
    """Return the size, features and losses of a finished message on routes that send its content instead.

    Takes time in proportion to the message's size.
    """
    from relay.mime.finished import content

    found = content.rebuild(message)
    # The envelope's own needs are the same on every route, and a policy may replace its recipients.
    features = _required_features(msgspec.structs.replace(found.message, to=(), cc=(), bcc=(), return_path=None))
    losses = (*found.losses, _OTHER_RECIPIENTS) if content.names_others(message) else found.losses
    return Rebuilt(size=estimate_size(found.message), features=tuple(sorted(features)), losses=losses)


def optional(message: Message) -> tuple[str, ...]:
    """Return the options that a route of another provider ignores, each after its provider's name."""
    if not message.options:
        return ()
    return tuple(
        f"{provider}.{name}"
        for provider, options in message.options.items()
        if options
        for name in optional_options(provider, options)
    )


def _capabilities(route: Route) -> Capabilities:
    """Return the provider's capabilities, with the limits that the vendor raised for this route's account."""
    module = provider_module(route.provider)
    settable: Mapping[str, int] = getattr(module, "SETTABLE_LIMITS", {})
    raised = {field: route.settings[field] for field in settable if field in route.settings}
    return msgspec.structs.replace(module.CAPABILITIES, **raised) if raised else module.CAPABILITIES


def _has(feature: str, provider: str, capabilities: Capabilities) -> bool:
    if feature.startswith(_OPTIONS):
        return feature.startswith(f"{_OPTIONS}{provider}.")
    return feature in capabilities.features


def _required_features(message: Message) -> set[str]:
    found: set[str] = set()
    for name in map(str.lower, message.headers):
        # Every route sends a Message-ID.
        if name != "message-id":
            found.add("x_headers" if name.startswith("x-") else "headers")
    for attachment in message.attachments:
        if attachment.disposition == "inline":
            found.add("inline_images")
        if not attachment.content and not attachment.size:
            found.add("empty_files")
    if message.calendar is not None:
        found.add("calendar")
    if message.raw is not None:
        found |= _required_by_raw(message.raw)
    if message.return_path is not None:
        found.add("return_path")
    if len(message.reply_to) > 1:
        found.add("reply_to_many")
    people = (message.sender, *message.recipients, *message.reply_to)
    emails = [*[address.email for address in people], message.return_path or ""]
    if not "".join(emails).isascii() and not "".join([email.rpartition("@")[0] for email in emails]).isascii():
        found.add("smtputf8")
    return found


def _required_by_raw(raw: bytes) -> set[str]:
    found = {"raw_mime"}
    # A stored raw message has CRLF throughout. Bytes outside ASCII in its header are addresses (RFC 6532).
    if not raw.partition(b"\r\n\r\n")[0].isascii():
        found.add("smtputf8")
    if transfer.has_long_line(raw):
        try:
            transfer.shortened(raw)
        except ValueError:
            found.add("long_lines")
    return found


def _required_options(message: Message) -> set[str]:
    return {
        f"{_OPTIONS}{provider}.{name}"
        for provider, options in message.options.items()
        if options
        for name in demanded_options(provider, options)
    }
