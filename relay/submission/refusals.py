"""Classify a relay's refusals for programs that send mail."""

from collections.abc import Mapping
from enum import Enum
from typing import Any


class RefusalKind(Enum):
    """Why Relay refused a message, as far as a program that sends mail needs to know."""

    RETRY = "the relay is unreachable or busy"
    NO_ACCESS = "the relay refuses this key, address or URL"
    FORBIDDEN = "the client's policy does not allow this message"
    BAD_RECIPIENT = "a recipient is invalid"
    TOO_LARGE = "the message is too large"
    INVALID = "the message is invalid"


_RECIPIENT_FIELDS = ("query.to", "X-Relay-Rcpt-To", "headers.To", "headers.Cc", "headers.Bcc", "to")


def refusal_kind(status: int, error: Mapping[str, Any]) -> RefusalKind:
    """Classify a refusal by its status (0: no response came), its code and the fields it names."""
    code = error.get("code", "")
    if status in (0, 408, 429) or status >= 500 or code == "idempotency_key_in_use":
        return RefusalKind.RETRY
    if status in (401, 404, 405) or code in ("address_not_allowed", "operators_only", "role_not_allowed"):
        return RefusalKind.NO_ACCESS
    if status == 413:
        return RefusalKind.TOO_LARGE
    if not error:
        # A proxy, a firewall, a stopped app or a redirect, not the relay: the mail may be good.
        return RefusalKind.NO_ACCESS
    if status == 403:
        return RefusalKind.FORBIDDEN
    targets = [str(detail["target"]).partition("[")[0] for detail in error.get("details", ())]
    concerns_recipients = bool(targets) and all(target in _RECIPIENT_FIELDS for target in targets)
    return RefusalKind.BAD_RECIPIENT if concerns_recipients else RefusalKind.INVALID
