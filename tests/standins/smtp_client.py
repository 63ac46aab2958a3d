"""An SMTP client that sends single lines, to check the exact replies of the stand-in."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from standins.smtp.server import DEFAULT_PASSWORD, DEFAULT_USER, SmtpStandIn


class Client:
    """One connection. `say` sends a line and returns the whole reply, its lines joined by newlines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def say(self, line: str) -> str:
        self.write(line.encode() + b"\r\n")
        return await self.reply()

    def write(self, octets: bytes) -> None:
        self._writer.write(octets)

    async def reply(self) -> str:
        """Read the next reply. Raises `ConnectionError` or `IncompleteReadError` after a disconnect."""
        lines = []
        while True:
            line = (await self._reader.readuntil(b"\r\n")).decode().rstrip()
            lines.append(line)
            if line[3:4] != "-":
                return "\n".join(lines)

    async def is_over(self) -> bool:
        """Wait until the server closes the connection."""
        try:
            return await self._reader.read() == b""
        except ConnectionError:
            return True

    async def secure(self, context: ssl.SSLContext) -> str:
        """Send STARTTLS and EHLO. Return the reply to EHLO."""
        assert (await self.say("STARTTLS")).startswith("220")
        await self._writer.start_tls(context, server_hostname="localhost")
        return await self.say("EHLO client.test")

    async def sign_in(self, user: str = DEFAULT_USER, password: str = DEFAULT_PASSWORD) -> str:
        """Send AUTH PLAIN. Return the reply."""
        return await self.say(f"AUTH PLAIN {encoded(f'\0{user}\0{password}')}")

    async def send(
        self,
        content: bytes = b"Subject: x\r\n\r\nhello\r\n",
        *recipients: str,
        options: str = "",
        sender: str = DEFAULT_USER,
    ) -> str:
        """Send one message. Return the last reply."""
        reply = await self.say(f"MAIL FROM:<{sender}>{options}")
        for recipient in recipients or ("ada@example.org",):
            if reply.startswith("250"):
                reply = await self.say(f"RCPT TO:<{recipient}>")
        if not reply.startswith("250"):
            return reply
        reply = await self.say("DATA")
        if not reply.startswith("354"):
            return reply
        self.write(content + b".\r\n")
        return await self.reply()

    def close(self) -> None:
        self._writer.close()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@asynccontextmanager
async def connected(standin: SmtpStandIn, *, ready: bool = True) -> AsyncIterator[Client]:
    """Connect; with `ready`, also EHLO, and STARTTLS and AUTH if the stand-in requires them."""
    trust = standin.authority.client_context()
    tls = trust if standin.mode == "implicit" else None
    reader, writer = await asyncio.open_connection(standin.host, standin.port, ssl=tls)
    client = Client(reader, writer)
    try:
        if ready:
            assert (await client.reply()).startswith("220")
            await client.say("EHLO client.test")
            if standin.mode == "starttls":
                await client.secure(trust)
            if standin.gate.users:
                assert (await client.sign_in()).startswith("235")
        yield client
    finally:
        client.close()
