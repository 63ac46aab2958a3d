"""The header fields by which Exchange records the origin of a mail, and its header firewall.

Source: techcommunity.microsoft.com/blog/exchange/
demystifying-and-troubleshooting-hybrid-mail-flow-when-is-a-message-internal/1420838;
the values are those of real messages.
"""

import re
from collections.abc import Mapping

OUTSIDER = {"AuthAs": "Anonymous", "AuthMechanism": "00"}
TRANSPORT = {"AuthAs": "Internal", "AuthMechanism": "05"}
_PREFIX = "X-MS-Exchange-Organization-"
_OWN = re.compile(rb"(?im)^x-ms-exchange-organization-[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n")


def with_origin(raw: bytes, origin: Mapping[str, str]) -> bytes:
    """Replace the fields of a mail that record its origin by these."""
    end = re.search(rb"\r?\n\r?\n", raw)
    cut = end.start() if end else len(raw)
    own = "".join(f"{_PREFIX}{name}: {value}\r\n" for name, value in origin.items()).encode()
    return own + _OWN.sub(b"", raw[:cut] + b"\r\n").removesuffix(b"\r\n") + raw[cut:]
