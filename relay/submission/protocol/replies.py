"""Add the enhanced status codes to replies that have none (RFC 2034)."""

import re

_ENHANCED = {
    b"220": b"2.0.0", b"221": b"2.0.0", b"250": b"2.0.0", b"252": b"2.5.2", b"450": b"4.3.0", b"451": b"4.3.0", b"454": b"4.7.0",
    b"500": b"5.5.2", b"501": b"5.5.4", b"502": b"5.5.1", b"503": b"5.5.1", b"530": b"5.7.0", b"552": b"5.3.4", b"554": b"5.7.0",
    b"555": b"5.5.4",
}  # fmt: skip
"""The status codes of replies that have none, by reply code (RFC 2034, RFC 3463)."""
_HAS_CODE = re.compile(rb"\d{3}[ -][245]\.\d{1,3}\.\d{1,3} ")


def with_code(line: bytes) -> bytes:
    """Return a reply with its enhanced status code, unless it has one or its code has none."""
    code = _ENHANCED.get(line[:3])
    return line if code is None or _HAS_CODE.match(line) else line[:4] + code + b" " + line[4:]
