"""A caller's own header fields: which names may be, and what their values may hold."""

import re
from collections.abc import Mapping
from typing import Any

from relay.acceptance.draft import Limits
from relay.api.problems import Problems, member, printable
from relay.api.text_checks import control_fault

_NAME = re.compile(r"[!-9;-~]+")
"""RFC 5322 section 2.2: printable ASCII without the colon."""

FORBIDDEN = {
    "from": "use the field from",
    "to": "use the field to",
    "cc": "use the field cc",
    "bcc": "use the field bcc",
    "reply-to": "use the field reply_to",
    "subject": "use the field subject",
    "sender": "it would name a second sender, which no policy checked; use from",
    "return-path": "the receiving server writes it; use return_path to say where bounces go",
    "date": "Relay writes the time of acceptance",
    "message-id": "Relay writes one that stays the same in every attempt; refer to others with References",
    "mime-version": "Relay builds the message's parts",
    "received": "servers that hand the message on write it",
    "delivered-to": "the receiving server writes it",
    "dkim-signature": "the provider signs the finished message",
    "domainkey-signature": "the provider signs the finished message",
    "authentication-results": "the receiving server writes it",
    "received-spf": "the receiving server writes it",
    "apparently-to": "it would name recipients; use to",
    "x-smtpapi": "it gives orders to SendGrid's SMTP server, other recipients among them; use options",
    "x-sg-id": "SendGrid writes it",
    "x-sg-eid": "SendGrid writes it",
}
"""Names in lower case that a caller may not set, and why or what to use instead.

Sources: RFC 5322 section 3.6 (fields that must be there once), RFC 5321 section 4.4 (trace fields), SendGrid's Mail Send
documentation (what cannot be overridden) and its X-SMTPAPI reference (recipients within a header).
"""

FORBIDDEN_PREFIXES = {
    "content-": "Relay builds the message's parts",
    "resent-": "the message is new, not resent; use raw MIME to pass on a message as it is",
    "arc-": "servers that hand the message on write it",
    "x-relay-": "Relay uses these names itself",
    "x-ms-exchange-": "Exchange keeps its own verdicts in these",
}


def forbidden(name: str) -> str:
    """Why a header may not be set, as the end of a sentence; empty when it may."""
    lower = name.lower()
    found = FORBIDDEN.get(lower, "")
    if found:
        return found
    return next((reason for prefix, reason in FORBIDDEN_PREFIXES.items() if lower.startswith(prefix)), "")


def read_headers(value: Any, faults: Problems, limits: Limits) -> Mapping[str, str]:
    """The headers of a request, checked; those that are wrong are noted and left out."""
    if not isinstance(value, dict):
        return {}
    if len(value) > limits.max_headers:
        faults.add("too_many", "headers", f"There are {len(value)} headers; {limits.max_headers} are possible.")
        return {}
    headers: dict[str, str] = {}
    seen: dict[str, str] = {}
    size = 0
    for name, text in value.items():
        if not isinstance(text, str):
            continue
        target = member("headers", name)
        first = seen.setdefault(name.lower(), name)
        if first != name:
            text_ = f"This header is there already, as '{printable(first)[:80]}'; case does not matter in names."
            faults.add("duplicate_header", target, text_)
        if _check_name(name, target, faults, limits) and _check_value(text, target, faults, limits):
            headers[name] = text.strip(" ")
        size += len(name) + len(text.encode())
    if size > limits.max_headers_bytes:
        reason = f"The headers have {size} bytes together; {limits.max_headers_bytes} are possible."
        faults.add("too_large", "headers", reason)
    return headers


def _check_name(name: str, target: str, faults: Problems, limits: Limits) -> bool:
    if not _NAME.fullmatch(name) or len(name) > limits.max_header_name:
        text = f"A header's name is 1 to {limits.max_header_name} printable ASCII characters without spaces and colons."
        faults.add("invalid_header_name", target, text)
        return False
    reason = forbidden(name)
    if reason:
        faults.add("forbidden_header", target, f"A caller may not set this header: {reason}.")
    return not reason


def _check_value(text: str, target: str, faults: Problems, limits: Limits) -> bool:
    fault = control_fault(text)
    if fault:
        faults.add("invalid_text", target, f"The value {fault}. A header is one line; long ones are folded by Relay.")
        return False
    size = len(text.encode())
    if size > limits.max_header_bytes:
        faults.add("too_long", target, f"The value has {size} bytes; {limits.max_header_bytes} are possible.")
        return False
    return True
