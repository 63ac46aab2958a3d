"""Open an authenticated connection to an SMTP server with aiosmtplib, and send messages over it.

A method returns None if its step succeeded, else the outcome. A lost connection or a timeout is an exception
(`relay.providers.smtp.outcomes`). `is_handed_over` then says whether it happened after the final dot.
"""

import asyncio
import base64
import ssl
from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from relay.core.outcomes import Outcome, RouteFault, Sent
from relay.platform.concurrency import run_sized
from relay.providers.smtp.envelope import SmtpEnvelope
from relay.providers.smtp.outcomes import SmtpReply, connection_errors, queue_id, read_reply

_CHUNK_BYTES = 64 * 1024
_QUIT_SECONDS = 2.0


class SmtpTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Timeouts in seconds. RFC 5321 section 4.5.3.2 suggests longer ones, which would exceed an attempt's lease.

    `slot`: for a free connection of the route. `connect`: for the connection and its greeting. `step`: for one reply.
    `content`: for transferring the content, and again for the reply to it (servers scan first). `attempt`: for everything
    but the slot.
    """

    slot_seconds: float = 60.0
    connect_seconds: float = 20.0
    step_seconds: float = 60.0
    content_seconds: float = 180.0
    attempt_seconds: float = 380.0


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how to connect. `tls` is `starttls`, `implicit` or `none`; `auth` a mechanism, `none` or `` (choose)."""

    host: str
    port: int
    tls: str
    auth: str
    username: str
    ehlo_name: str


class SmtpConnection:
    """A connection, for one transaction at once."""

    def __init__(self, server: Server, tls_context: ssl.SSLContext | None, timeouts: SmtpTimeouts) -> None:
        """Prepare a connection. Raises `ValueError` for an invalid EHLO name."""
        import aiosmtplib

        self._server = server
        self._timeouts = timeouts
        self._client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "implicit",
            start_tls=False,
            tls_context=tls_context,
            local_hostname=server.ehlo_name,
            timeout=timeouts.step_seconds,
        )
        self._writer: asyncio.StreamWriter | None = None
        # Kept here because the client forgets them when the connection ends, which must not look like missing extensions.
        self._extensions: Mapping[str, str] = {}
        self._mechanisms: Sequence[str] = ()
        self.is_handed_over = False
        self.transactions = 0
        self.idle_since = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the connection is not known to have ended."""
        return self._client.is_connected

    async def open(self, secret: str) -> Outcome | None:
        """Connect, start TLS, send EHLO and authenticate with the password or token."""
        from aiosmtplib import SMTPConnectResponseError

        try:
            await self._client.connect(timeout=self._timeouts.connect_seconds)
        except SMTPConnectResponseError as error:
            return read_reply(SmtpReply(step="connect", code=error.code, text=error.message))
        return await self._ehlo() or await self._secure() or await self._authenticate(secret)

    async def noop(self) -> Outcome | None:
        """Check that the server responds."""
        reply = await self._command("connect", "NOOP")
        return None if reply.is_good else read_reply(reply)

    async def transfer(self, envelope: SmtpEnvelope, content: bytes) -> list[tuple[int, Outcome]]:
        """Run one transaction and return an outcome for each recipient. Lines of `content` end with CRLF."""
        numbers = [number for number, _ in envelope.recipients]
        self.transactions += 1
        self.is_handed_over = False
        if refused := await self._begin(envelope, content):
            return [(number, refused) for number in numbers]
        outcomes: list[tuple[int, Outcome]] = []
        taken: list[int] = []
        for number, address in envelope.recipients:
            reply = await self._command("rcpt", f"RCPT TO:<{address}>")
            if reply.is_good:
                taken.append(number)
            else:
                outcomes.append((number, read_reply(reply)))
        if taken:
            outcome = await self._content(content)
            outcomes += [(number, outcome) for number in taken]
        return outcomes

    async def reset(self) -> bool:
        """Reset an incomplete transaction. Returns whether the connection can be reused."""
        return self.is_open and (await self._command("mail", "RSET")).is_good

    async def quit(self) -> None:
        """Send QUIT, and close the connection in any case."""
        try:
            if self.is_open:
                async with asyncio.timeout(_QUIT_SECONDS):
                    await self._client.quit()
        except connection_errors():
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection immediately."""
        self._client.close()

    def supports(self, extension: str) -> bool:
        """Return whether the server offered the extension in EHLO."""
        return extension in self._extensions

    @property
    def max_bytes(self) -> int:
        """The server's message size limit (RFC 1870), or 0 if it states none."""
        limit = self._extensions.get("size", "").strip()
        return int(limit) if limit.isdecimal() else 0

    async def _ehlo(self) -> Outcome | None:
        from aiosmtplib import SMTPHeloError

        try:
            await self._client.ehlo()
        except SMTPHeloError as error:
            return read_reply(SmtpReply(step="connect", code=error.code, text=error.message))
        self._extensions = dict(self._client.esmtp_extensions)
        self._mechanisms = tuple(self._client.server_auth_methods)
        return None

    async def _secure(self) -> Outcome | None:
        from aiosmtplib import SMTPResponseException

        if self._server.tls != "starttls":
            return None
        if not self.supports("starttls"):
            return RouteFault(code="misconfigured", reply="the server offers no STARTTLS")
        try:
            await self._client.starttls()
        except SMTPResponseException as error:
            return read_reply(SmtpReply(step="connect", code=error.code, text=error.message))
        return await self._ehlo()

    async def _authenticate(self, secret: str) -> Outcome | None:
        if self._server.auth == "none":
            return None
        mechanism = self._server.auth or next(
            (name for name in ("plain", "login") if name in self._mechanisms), "plain"
        )
        if mechanism not in self._mechanisms:
            return RouteFault(code="misconfigured", reply=f"the server offers no AUTH {mechanism.upper()}")
        reply = await self._run_mechanism(mechanism, self._server.username, secret)
        return None if reply.is_good else read_reply(reply)

    async def _run_mechanism(self, mechanism: str, username: str, secret: str) -> SmtpReply:
        """Run an AUTH mechanism: PLAIN (RFC 4616), LOGIN, XOAUTH2 (Exchange Online's page on OAuth for SMTP)."""
        if mechanism == "plain":
            return await self._command("auth", f"AUTH PLAIN {_base64(f'\0{username}\0{secret}')}")
        if mechanism == "xoauth2":
            response = _base64(f"user={username}\x01auth=Bearer {secret}\x01\x01")
            reply = await self._command("auth", f"AUTH XOAUTH2 {response}")
            # A refusal is a challenge with its reason; an empty response to it gets the reply.
            return await self._command("auth", "") if reply.code == 334 else reply
        reply = await self._command("auth", "AUTH LOGIN")
        for text in (username, secret):
            if reply.code != 334:
                return reply
            reply = await self._command("auth", _base64(text))
        return reply

    async def _begin(self, envelope: SmtpEnvelope, content: bytes) -> Outcome | None:
        words = [f"MAIL FROM:<{envelope.return_path}>"]
        if self.supports("size"):
            words.append(f"SIZE={len(content)}")
        if not content.isascii() and self.supports("8bitmime"):
            words.append("BODY=8BITMIME")
        if envelope.is_utf8:
            words.append("SMTPUTF8")
        reply = await self._command("mail", " ".join(words))
        return None if reply.is_good else read_reply(reply)

    async def _content(self, content: bytes) -> Outcome:
        """Send DATA, the lines and the final dot. Before the dot is written, nothing can have been sent."""
        reply = await self._command("data", "DATA")
        if reply.code != 354:
            return read_reply(reply)
        async with asyncio.timeout(self._timeouts.content_seconds):
            await self._write(await run_sized(partial(_stuffed, content), len(content)))
        if not self.is_open:
            raise ConnectionResetError("the connection was lost")
        self.is_handed_over = True
        reply = await self._command("content", ".", timeout=self._timeouts.content_seconds)
        if reply.is_good:
            return Sent(reply=reply.kept, provider_id=queue_id(reply.text))
        return read_reply(reply)

    async def _write(self, lines: bytes) -> None:
        """Write the lines as fast as the network accepts them, so that a lost connection is noticed."""
        transport, protocol = self._client.transport, self._client.protocol
        if transport is None or protocol is None:
            raise ConnectionResetError("the connection was lost")
        if self._writer is None:
            # Kept for the connection's lifetime: a StreamWriter closes its transport when it is collected.
            self._writer = asyncio.StreamWriter(transport, protocol, None, asyncio.get_running_loop())  # type: ignore[arg-type]
        view = memoryview(lines)
        for start in range(0, len(view), _CHUNK_BYTES):
            self._writer.write(view[start : start + _CHUNK_BYTES])
            await self._writer.drain()

    async def _command(self, step: str, line: str, timeout: float | None = None) -> SmtpReply:
        timeout = self._timeouts.step_seconds if timeout is None else timeout
        response = await self._client.execute_command(line.encode(), timeout=timeout)
        return SmtpReply(step=step, code=response.code, text=response.message)


def _stuffed(content: bytes) -> bytes:
    """Double the dot at the beginning of lines (RFC 5321 section 4.5.2)."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
