"""Check a message's lines as a submission server does."""

from collections.abc import Collection

MAX_LINE_BYTES = 998
"""RFC 5322 section 2.1.1, without CRLF."""


def lines_refusal(content: bytes, options: Collection[str], *, is_utf8: bool) -> str:
    """Return the reply that refuses a message after DATA; empty if it is acceptable."""
    if any(len(line) > MAX_LINE_BYTES for line in content.split(b"\r\n")):
        return "500 5.6.0 A line is longer than 998 octets (RFC 5322 section 2.1.1)"
    if b"\r" in content.replace(b"\r\n", b"") or b"\n" in content.replace(b"\r\n", b""):
        return "554 5.6.0 A bare CR or LF (RFC 5321 section 2.3.8)"
    head, _, body = content.partition(b"\r\n\r\n")
    if not head.isascii() and not is_utf8:
        return "554 5.6.7 Header fields outside ASCII need SMTPUTF8 (RFC 6531)"
    if not body.isascii() and "BODY=8BITMIME" not in options:
        return "554 5.6.1 Eight-bit content needs BODY=8BITMIME (RFC 6152)"
    return ""
