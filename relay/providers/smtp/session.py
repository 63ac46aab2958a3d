"""Talk to an SMTP server: write commands and content, read replies, start TLS (RFC 5321, RFC 3207). Knows no outcomes.

Commands may be written before the replies to earlier ones have come (RFC 2920). After an error the session is closed.
"""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import Sequence
from typing import cast

MAX_REPLY_BYTES = 32_768
"""Of replies that wait to be read. RFC 5321 section 4.5.3.1.5 allows 512 for a line; those to EHLO have some dozen lines."""
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_LINE = re.compile(rb"([0-9]{3})(-?)([^\n]*)\n")


class InvalidReply(ConnectionError):
    """The server sent what is no reply, too much of it, or a reply to nothing."""


class Session(asyncio.Protocol):
    """A connection to a server, whose first reply is its greeting. Reading and writing raise `OSError` once it is lost."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._lines: list[str] = []
        self._replies: deque[tuple[int, str]] = deque()
        self._expected = 1
        self._arrived: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._error: OSError | None = None

    @property
    def is_open(self) -> bool:
        """Whether the connection is not known to have ended."""
        return self._error is None and not self._transport.is_closing()

    def command(self, lines: Sequence[str]) -> None:
        """Write commands. Each gets a reply. Raises `ValueError` if one has a control character, which could begin another."""
        encoded = [line.encode() for line in lines]
        if any(map(_CONTROL.search, encoded)):
            raise ValueError("a command has a control character")
        self.write(b"".join([line + b"\r\n" for line in encoded]), replies=len(encoded))

    def write(self, content: bytes | memoryview, *, replies: int = 0) -> None:
        """Write content as it is. `replies`: how many the server will send when it has this."""
        self._check()
        self._expected += replies
        self._transport.write(content)

    async def drained(self) -> None:
        """Wait until the transport takes more."""
        if self._drained is not None:
            await self._drained
        self._check()

    async def reply(self, seconds: float) -> tuple[int, str]:
        """Return the code of the next reply, and the text of each of its lines. After a `TimeoutError` the caller must close."""
        while not self._replies:
            self._check()
            self._arrived = self._loop.create_future()
            async with asyncio.timeout(seconds):
                await self._arrived
        return self._replies.popleft()

    async def start_tls(self, context: ssl.SSLContext, host: str, seconds: float) -> None:
        """Begin TLS. What came before it, beyond the reply to STARTTLS, was an error already: anyone could have sent it."""
        self._check()
        async with asyncio.timeout(seconds):
            transport = await self._loop.start_tls(self._transport, self, context, server_hostname=host)
        if transport is None:
            raise ConnectionResetError("the connection was lost")
        self._transport = transport

    def close(self) -> None:
        """Close immediately. What is in a buffer is dropped."""
        self._fail(ConnectionAbortedError("the connection was closed"))

    def _check(self) -> None:
        if self._error is not None:
            # A new one: an exception that is raised again collects tracebacks.
            raise type(self._error)(*self._error.args)
        if self._transport.is_closing():
            raise ConnectionResetError("the connection was lost")

    def _fail(self, error: OSError) -> None:
        self._error = self._error or error
        self._transport.abort()
        self._wake()
        self.resume_writing()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    # ── called by the loop ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop."""
        self._fail(error if isinstance(error, OSError) else ConnectionResetError("the connection was lost"))

    def pause_writing(self) -> None:
        """Called by the transport: it is full."""
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """Called by the transport: it is empty."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._received += data
        try:
            self._read()
        except InvalidReply as error:
            self._fail(error)
        if self._replies:
            self._wake()

    def _read(self) -> None:
        """Read the lines that are complete. A reply ends with the line that has no hyphen after its code."""
        at = 0
        while line := _LINE.match(self._received, at):
            at = line.end()
            self._lines.append(line[3].strip(b" \t\r").decode("utf-8", "surrogateescape"))
            if not line[2]:
                if not self._expected:
                    raise InvalidReply("a reply to nothing")
                self._expected -= 1
                self._replies.append((int(line[1]), "\n".join(self._lines)))
                self._lines = []
        del self._received[:at]
        size = len(self._received) + sum(map(len, self._lines))
        if b"\n" in self._received or size > MAX_REPLY_BYTES or (size and not self._expected):
            raise InvalidReply("not a reply")


async def connect(host: str, port: int, context: ssl.SSLContext | None) -> Session:
    """Connect, with TLS from the beginning if there is a context. Raises `OSError`."""
    _, session = await asyncio.get_running_loop().create_connection(Session, host, port, ssl=context)
    return session
