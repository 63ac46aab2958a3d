"""Distinguish reports of Exchange Online itself from mail that only looks like them.

Anyone can write a mail in the form of a report. But Exchange removes the header fields X-MS-Exchange-Organization-* from mail
that enters the organization, and writes its own (the header firewall: techcommunity.microsoft.com/blog/exchange/
demystifying-and-troubleshooting-hybrid-mail-flow-when-is-a-message-internal/1420838; learn.microsoft.com/exchange/
header-firewall-exchange-2013-help). A report that its transport makes has AuthAs `Internal` and AuthMechanism `05`; mail that
users submit has another mechanism (Outlook and Graph: `04`), and mail from outside has AuthAs `Anonymous`. The mechanisms are
not documented; they are those of real reports. The senders of reports are the Microsoft Exchange recipient and the postmaster.
"""

import re

from relay.mime import parts
from relay.mime.parts import field_text

_MAX_HEADER_BYTES = 262_144
_FIELDS = {
    "x-ms-exchange-organization-authas": "internal",
    "x-ms-exchange-organization-authmechanism": "05",
}
_SENDER = re.compile(r"(?:^|[<\s])(?:microsoftexchange[0-9a-f]{32}|postmaster)@[^\s<>@,]+>?\s*", re.IGNORECASE)


def is_by_exchange(raw: bytes) -> bool:
    """Return whether Exchange Online made this report: each field occurs once, with the value that only its transport writes."""
    found: dict[str, list[str]] = {}
    for field in parts.read_fields(raw[:_MAX_HEADER_BYTES]):
        if field.name in _FIELDS or field.name == "from":
            found.setdefault(field.name, []).append(field_text(field).strip())
    if any([text.lower() for text in found.get(name, ())] != [value] for name, value in _FIELDS.items()):
        return False
    senders = found.get("from", [])
    return len(senders) == 1 and _SENDER.search(senders[0]) is not None and senders[0].count("@") == 1
