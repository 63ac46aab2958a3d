"""Posts raw messages, and classifies refusals for programs that send mail."""

from collections.abc import Sequence
from enum import Enum
from typing import Any
from urllib.parse import quote

from relay.cli.remote import Remote, RemoteError

MAX_QUERY = 3_000
"""Length of the envelope in the query string; the Functions host accepts 4,096 characters in all."""
MAX_RECIPIENTS = 1_000
"""Recipients of a message, as the relay limits them."""
MAX_RECIPIENTS_BYTES = 24_000
"""Length of the envelope in headers, with its commas; a web server accepts 32 KiB of headers."""


class RefusalKind(Enum):
    """Why Relay refused a message, as far as a program that sends mail needs to know."""

    RETRY = "the relay is unreachable or busy"
    NO_ACCESS = "the relay refuses this key, address or URL"
    FORBIDDEN = "the client's policy does not allow this message"
    BAD_RECIPIENT = "a recipient is invalid"
    TOO_LARGE = "the message is too large"
    INVALID = "the message is invalid"


_RECIPIENT_FIELDS = ("query.to", "X-Relay-Rcpt-To", "headers.To", "headers.Cc", "headers.Bcc", "to")


def fits(sender: str | None, recipients: Sequence[str]) -> bool:
    """Return whether one call can carry this envelope."""
    if len(recipients) > MAX_RECIPIENTS:
        return False
    addresses = ",".join(recipients)
    if addresses.isascii() and len(addresses) <= MAX_RECIPIENTS_BYTES:
        return True
    return len(addresses) <= MAX_QUERY and len(quote(f"{sender or ''}{addresses}")) <= MAX_QUERY


def calls(sender: str | None, recipients: Sequence[str]) -> list[list[str]]:
    """Split recipients into the calls that can carry them: one if they are in the header."""
    found: list[list[str]] = [[]]
    for recipient in recipients:
        if found[-1] and not fits(sender, [*found[-1], recipient]):
            found.append([])
        found[-1].append(recipient)
    return found


def post(remote: Remote, mail: bytes, *, sender: str | None, recipients: Sequence[str], key: str) -> Any:
    """Post a message with this envelope. Without `recipients` they are taken from its header.

    Bounces go to `sender`; to From when it is None; nowhere when it is empty.

    Raises `RemoteError`, also when the envelope is longer than a request can carry.
    """
    headers = {"Content-Type": "message/rfc822", "Idempotency-Key": key}
    addresses = ",".join(recipients)
    sender = "<>" if sender == "" else sender
    if len(quote(f"{sender or ''}{addresses}")) <= MAX_QUERY:
        query = {"from": sender, "to": addresses or None}
        return remote.call("POST", "/v1/messages", content=mail, headers=headers, query=query)
    if not addresses.isascii():
        text = "Non-ASCII recipients do not fit into the query of one request. Send several messages."
        raise RemoteError(text, exit_code=1)
    if len(addresses) > MAX_RECIPIENTS_BYTES:
        text = f"The recipients have {len(addresses):,} bytes (limit {MAX_RECIPIENTS_BYTES:,}). Send several messages."
        raise RemoteError(text, exit_code=1)
    headers |= {"X-Relay-Rcpt-To": addresses}
    return remote.call("POST", "/v1/messages", content=mail, headers=headers, query={"from": sender})


def refusal_kind(error: RemoteError) -> RefusalKind:
    """Classify a refusal by its status, code and the fields it names."""
    code = error.error.get("code", "")
    if error.status == 0:
        return RefusalKind.INVALID if error.exit_code == 1 else RefusalKind.RETRY
    if error.status in (408, 429) or error.status >= 500 or code == "idempotency_key_in_use":
        return RefusalKind.RETRY
    if error.status in (401, 404, 405) or code in ("address_not_allowed", "operators_only", "role_not_allowed"):
        return RefusalKind.NO_ACCESS
    if error.status == 413:
        return RefusalKind.TOO_LARGE
    if error.status == 403:
        return RefusalKind.FORBIDDEN
    targets = [str(detail["target"]).partition("[")[0] for detail in error.error.get("details", ())]
    concerns_recipients = bool(targets) and all(target in _RECIPIENT_FIELDS for target in targets)
    return RefusalKind.BAD_RECIPIENT if concerns_recipients else RefusalKind.INVALID
