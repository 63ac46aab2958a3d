"""Read a caller's own header fields, and check their names and values."""

import re
from collections.abc import Mapping
from typing import Any

from relay.acceptance.draft import Limits
from relay.api.problems import Problems, member, printable
from relay.api.text_checks import control_problem
from relay.mime.writing import structured

_NAME = re.compile(r"[!-9;-~]+")
"""RFC 5322 section 2.2: printable ASCII without the colon."""

VENDOR_COMMANDS = {
    "x-smtpapi": "it controls SendGrid's SMTP server and can add recipients",
    "x-msys-api": "it controls SparkPost's SMTP server and can add recipients",
    "x-mc-bccaddress": "Mandrill's SMTP server would send a copy to this address",
    "x-mailgun-drop-message": "Mailgun's SMTP server would discard the mail",
}
"""Fields by which SMTP servers accept recipients that no policy has checked, or discard a mail that they accepted.

Sources: SendGrid's X-SMTPAPI reference, developers.sparkpost.com/api/smtp (cc, bcc, archive), Mandrill's SMTP headers
(mailchimp.com/developer/transactional/docs/smtp-integration), documentation.mailgun.com (pass-sending-options, o:testmode).
"""

FORBIDDEN = {
    **VENDOR_COMMANDS,
    "from": "use the field from",
    "to": "use the field to",
    "cc": "use the field cc",
    "bcc": "use the field bcc",
    "reply-to": "use the field reply_to",
    "subject": "use the field subject",
    "sender": "it would name a second author that the policy does not check; use from",
    "return-path": "the receiving server writes it; use return_path to say where bounces go",
    "date": "Relay writes the time of acceptance",
    "message-id": "Relay writes one that is the same in every attempt; refer to others with References",
    "mime-version": "Relay builds the message's parts",
    "received": "relaying servers write it",
    "delivered-to": "the receiving server writes it",
    "dkim-signature": "the provider signs the finished message",
    "domainkey-signature": "the provider signs the finished message",
    "authentication-results": "the receiving server writes it",
    "received-spf": "the receiving server writes it",
    "apparently-to": "it would name recipients; use to",
}
"""Header names (in lower case) that a caller must not set, with the reason or the alternative.

Sources: RFC 5322 section 3.6 (fields that occur once), RFC 5321 section 4.4 (trace fields), SendGrid's Mail Send
documentation (fields that cannot be overridden).
"""

FORBIDDEN_PREFIXES = {
    "content-": "Relay builds the message's parts",
    "resent-": "the message is new, not resent; use raw MIME to resend a message unchanged",
    "arc-": "relaying servers write it",
    "x-relay-": "Relay uses these names",
    "x-sg-": "SendGrid writes them",
    "x-ms-exchange-": "Exchange stores its own verdicts in them",
    "x-ms-acsemail-": "they make Azure Communication Services leave out attachments or skip the delivery",
}
"""Prefixes of further names. `x-ms-acsemail-suppress-invalid-attachment` is documented (learn.microsoft.com/azure/
communication-services/concepts/email/email-headers), `x-ms-acsemail-loadtest-skip-email-delivery` is in Microsoft's sample
CampaignMailer."""


def forbidden(name: str) -> str:
    """Return why a header must not be set, as the end of a sentence; empty if it may be set."""
    lower = name.lower()
    found = FORBIDDEN.get(lower, "")
    if found:
        return found
    return next((reason for prefix, reason in FORBIDDEN_PREFIXES.items() if lower.startswith(prefix)), "")


def read_headers(value: Any, problems: Problems, limits: Limits) -> Mapping[str, str]:
    """Read and check the headers. Problems are noted, and the header is left out."""
    if not isinstance(value, dict):
        return {}
    if len(value) > limits.max_headers:
        problems.add("too_many", "headers", f"Too many headers: {len(value)} (limit {limits.max_headers}).")
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
            text_ = f"Duplicate header: already set as '{printable(first)[:80]}' (names ignore case)."
            problems.add("duplicate_header", target, text_)
        if _check_name(name, target, problems, limits) and _check_value(name, text, target, problems, limits):
            headers[name] = text.strip(" ")
        size += len(name) + len(text.encode())
    if size > limits.max_headers_bytes:
        reason = f"The headers are too large: {size} bytes together (limit {limits.max_headers_bytes})."
        problems.add("too_large", "headers", reason)
    return headers


def _check_name(name: str, target: str, problems: Problems, limits: Limits) -> bool:
    if not _NAME.fullmatch(name) or len(name) > limits.max_header_name:
        text = f"Not a valid header name. Use 1 to {limits.max_header_name} printable ASCII characters without spaces and colons."
        problems.add("invalid_header_name", target, text)
        return False
    reason = forbidden(name)
    if reason:
        problems.add("forbidden_header", target, f"This header cannot be set: {reason}.")
    return not reason


def _check_value(name: str, text: str, target: str, problems: Problems, limits: Limits) -> bool:
    problem = control_problem(text)
    if problem:
        problems.add("invalid_text", target, f"The value {problem}. A header must be one line; Relay folds long ones.")
        return False
    size = len(text.encode())
    if size > limits.max_header_bytes:
        problems.add("too_long", target, f"The value is too long: {size} bytes (limit {limits.max_header_bytes}).")
        return False
    problem = structured.header_problem(name, text)
    if problem:
        problems.add("invalid_value", target, f"This header {problem}.")
    return not problem
