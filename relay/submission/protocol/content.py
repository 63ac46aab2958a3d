"""Read the content of a message from a connection, within limits (RFC 5321 section 4.5.2, RFC 3030)."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, cast

END = b"\r\n.\r\n"
_LAST_LINE = b".\r\n"
_LINE_END = b"\r\n"
CHUNK = 65_536
TOO_MUCH_AT_ONCE = "452 4.3.1 Too much mail at once; retry later"
_SMUGGLED = re.compile(rb"[\r\n]\.[\r\n]")
"""A lone dot next to a bare CR or LF (`END` is never in content). Some servers take it for the end of the mail."""


class Memory:
    """The bytes of all messages that are being received or posted."""

    def __init__(self, limit: int) -> None:
        self.left = limit

    def take(self, size: int) -> bool:
        """Reserve bytes; False if too few are left."""
        if size > self.left:
            return False
        self.left -= size
        return True

    def give(self, size: int) -> None:
        """Give bytes back."""
        self.left += size


class Content:
    """Collects the content of one message. When a limit is exceeded, it drops what it has, and `problem` is the reply.

    `on_read` gets the size of each chunk before there is a problem. `is_given_up`: more than `excess` bytes followed the problem,
    so the rest is not read. `close` gives the memory back.
    """

    def __init__(self, *, limit: int, excess: int, memory: Memory, on_read: Callable[[int], None]) -> None:
        self._limit = limit
        self._excess = excess
        self._memory = memory
        self._on_read = on_read
        self._content = bytearray()
        self._size = self._held = 0
        self.problem = ""

    @property
    def is_given_up(self) -> bool:
        """Whether the client sends too much after a problem."""
        return self._excess < 0

    def add(self, chunk: bytes) -> None:
        """Keep a chunk, unless there was a problem."""
        if self.problem:
            self._excess -= len(chunk)
            return
        self._on_read(len(chunk))
        self._size += len(chunk)
        if self._size > self._limit:
            self._drop(f"552 5.3.4 Message too large (limit {self._limit} bytes)")
        elif self._memory.take(len(chunk)):
            self._held += len(chunk)
            self._content += chunk
        else:
            self._drop(TOO_MUCH_AT_ONCE)

    def take(self) -> bytes:
        """Return the content, and keep no copy. Its memory stays reserved until `close`."""
        taken, self._content = bytes(self._content), bytearray()
        return taken

    def close(self) -> None:
        """Drop the content, and give the memory back."""
        self._memory.give(self._held)
        self._content, self._held = bytearray(), 0

    def _drop(self, problem: str) -> None:
        self.close()
        self.problem = problem


async def read_until_end(reader: asyncio.StreamReader, content: Content) -> None:
    """Read up to CRLF.CRLF, which alone ends the content, or until it is given up. The CRLF before the dot belongs to it.

    The content keeps its doubled dots (`without_dots`).
    """
    # The end of the command is read again: content may end before it has begun.
    cast(Any, reader)._buffer[:0] = _LINE_END
    skipped = len(_LINE_END)
    while not content.is_given_up:
        try:
            piece = (await reader.readuntil(END))[skipped:]
        except asyncio.LimitOverrunError as error:
            content.add((await reader.read(error.consumed))[skipped:])
            skipped = 0
        else:
            content.add(piece.removesuffix(_LAST_LINE))
            return


async def read_chunk(reader: asyncio.StreamReader, size: int, content: Content) -> None:
    """Read a chunk of known size (BDAT), or until the content is given up."""
    while size > 0 and not content.is_given_up:
        piece = await reader.readexactly(min(size, CHUNK))
        size -= len(piece)
        content.add(piece)


def without_dots(content: bytes) -> bytes:
    """Undo the doubling of dots at the beginning of lines (RFC 5321 section 4.5.2)."""
    content = content.replace(b"\r\n.", b"\r\n")
    return content[1:] if content.startswith(b".") else content


def is_smuggled(content: bytes) -> bool:
    """Return whether received content has a line that other servers could take for its end.

    Behind such a line an attacker can hide a second message, with another sender (SMTP smuggling, CVE-2023-51764).
    """
    return content.startswith((b".\n", b".\r")) or _SMUGGLED.search(content) is not None
