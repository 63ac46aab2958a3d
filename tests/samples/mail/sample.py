"""A mail as it may come from anywhere, and what people should see of it."""

from collections.abc import Sequence

import msgspec


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A mail and its right reading. `people` are the mailboxes of From and To, as (name, address).

    None means that the sample is not about this. `refused` is the error code with which the relay refuses it as raw MIME; empty
    if it accepts it.
    """

    name: str
    raw: bytes
    subject: str | None = None
    people: Sequence[tuple[str, str]] | None = None
    text: str | None = None
    html: str | None = None
    files: Sequence[tuple[str | None, str, bytes]] | None = None
    refused: str | None = None


def mail(
    *fields: str | bytes, body: str | bytes = "Hello\r\n", sender: str = "shop@example.com", to: str = "ada@example.org"
) -> bytes:
    """Write a mail with From and To (leave either out with an empty text) and other fields."""
    head = [f"From: {sender}"] if sender else []
    head += [f"To: {to}"] if to else []
    lines = [_bytes(line) for line in (*head, *fields)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + _bytes(body)


def multipart(*parts: str | bytes, kind: str = "mixed", boundary: str = "b", fields: Sequence[str] = ()) -> bytes:
    """Write a multipart of parts, each with its own header."""
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + _bytes(part) + b"\r\n" for part in parts)
    field = f'Content-Type: multipart/{kind}; boundary="{boundary}"'
    return mail("MIME-Version: 1.0", field, *fields, body=body + b"--" + boundary.encode() + b"--\r\n")


def part(content: str | bytes, *fields: str) -> bytes:
    """Write a part with its header."""
    return "".join(f"{field}\r\n" for field in fields).encode() + b"\r\n" + _bytes(content)


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
