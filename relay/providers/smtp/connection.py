"""Open an authenticated connection to an SMTP server, and send messages over it.

A method returns None if its step succeeded, else the outcome. A lost connection or a timeout is an `OSError`. `is_handed_over`
then says whether it happened after the final dot.
"""

import asyncio
import base64
import re
import ssl
from collections.abc import Mapping
from functools import partial

import msgspec

from relay.core.outcomes import Outcome, RouteFault, Sent
from relay.platform.concurrency import run_sized
from relay.providers.smtp.envelope import SmtpEnvelope
from relay.providers.smtp.outcomes import SmtpReply, queue_id, read_reply
from relay.providers.smtp.session import Session, connect

_CHUNK_BYTES = 64 * 1024
_QUIT_SECONDS = 2.0
_DATA, _SEND_CONTENT = "DATA", 354
_CLOSING = 421
"""The server closes the connection (RFC 5321 section 3.8)."""


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
        self._server = server
        self._tls_context = tls_context
        self._timeouts = timeouts
        self._session: Session | None = None
        self._ahead = 0
        self._extensions: Mapping[str, str] = {}
        self.is_handed_over = False
        self.transactions = 0
        self.idle_since = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the connection is not known to have ended."""
        return self._session is not None and self._session.is_open

    async def open(self, secret: str) -> Outcome | None:
        """Connect, start TLS, send EHLO and authenticate with the password or token."""
        context = self._tls_context if self._server.tls == "implicit" else None
        async with asyncio.timeout(self._timeouts.connect_seconds):
            self._session = await connect(self._server.host, self._server.port, context)
            greeting = await self._reply("connect", self._timeouts.connect_seconds)
        if greeting.code != 220:
            return read_reply(greeting)
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
        beginning = self._beginning(envelope, content)
        recipients = [f"RCPT TO:<{address}>" for _, address in envelope.recipients]
        if self.supports("pipelining"):
            # DATA may be the last of the commands whose replies are read later (RFC 2920 section 3.1).
            self._opened().command([beginning, *recipients, _DATA])
            self._ahead = len(recipients) + 2
        reply = await self._command("mail", beginning)
        if not reply.is_good:
            refused = read_reply(reply)
            return [(number, refused) for number in numbers]
        outcomes: list[tuple[int, Outcome]] = []
        taken: list[int] = []
        for number, line in zip(numbers, recipients, strict=True):
            reply = await self._command("rcpt", line)
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
        while self._ahead and self.is_open:
            self._ahead -= 1
            if (await self._reply("data", self._timeouts.step_seconds)).code == _SEND_CONTENT:
                # The server waits for content that nobody shall get. A connection that ends before it cancels the transaction
                # (RFC 5321 section 4.1.1.10).
                self.close()
        return self.is_open and (await self._command("mail", "RSET")).is_good

    async def quit(self) -> None:
        """Send QUIT, and close the connection in any case."""
        try:
            if self.is_open:
                async with asyncio.timeout(_QUIT_SECONDS):
                    await self._command("connect", "QUIT")
        except OSError:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection immediately."""
        if self._session is not None:
            self._session.close()

    def supports(self, extension: str) -> bool:
        """Return whether the server offered the extension in EHLO."""
        return extension in self._extensions

    @property
    def max_bytes(self) -> int:
        """The server's message size limit (RFC 1870), or 0 if it states none."""
        limit = self._extensions.get("size", "").strip()
        return int(limit) if limit.isdecimal() else 0

    async def _ehlo(self) -> Outcome | None:
        reply = await self._command("connect", f"EHLO {self._server.ehlo_name}")
        if reply.code != 250:
            return read_reply(reply)
        self._extensions = _extensions(reply.text)
        return None

    async def _secure(self) -> Outcome | None:
        if self._server.tls != "starttls":
            return None
        if not self.supports("starttls") or self._tls_context is None:
            return RouteFault(code="misconfigured", reply="the server offers no STARTTLS")
        reply = await self._command("connect", "STARTTLS")
        if reply.code != 220:
            return read_reply(reply)
        await self._opened().start_tls(self._tls_context, self._server.host, self._timeouts.step_seconds)
        return await self._ehlo()

    async def _authenticate(self, secret: str) -> Outcome | None:
        if self._server.auth == "none":
            return None
        offered = self._extensions.get("auth", "").lower().split()
        mechanism = self._server.auth or next((name for name in ("plain", "login") if name in offered), "plain")
        if mechanism not in offered:
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

    def _beginning(self, envelope: SmtpEnvelope, content: bytes) -> str:
        words = [f"MAIL FROM:<{envelope.return_path}>"]
        if self.supports("size"):
            words.append(f"SIZE={len(content)}")
        if not content.isascii() and self.supports("8bitmime"):
            words.append("BODY=8BITMIME")
        if envelope.is_utf8:
            words.append("SMTPUTF8")
        return " ".join(words)

    async def _content(self, content: bytes) -> Outcome:
        """Send DATA, the lines and the final dot. Before the dot is written, nothing can have been sent."""
        reply = await self._command("data", _DATA)
        if reply.code != _SEND_CONTENT:
            return read_reply(reply)
        async with asyncio.timeout(self._timeouts.content_seconds):
            await self._write(await run_sized(partial(_stuffed, content), len(content)))
        reply = await self._reply("content", self._timeouts.content_seconds)
        if reply.is_good:
            return Sent(reply=reply.kept, provider_id=queue_id(reply.text))
        return read_reply(reply)

    async def _write(self, lines: bytes) -> None:
        """Write the lines, many as fast as the network takes them, so that a lost connection is noticed; then the final dot."""
        session, rest = self._opened(), memoryview(lines)
        while rest and len(lines) > _CHUNK_BYTES:
            session.write(rest[:_CHUNK_BYTES])
            rest = rest[_CHUNK_BYTES:]
            await session.drained()
        session.write(b"".join((rest, b".\r\n")), replies=1)
        self.is_handed_over = True

    async def _command(self, step: str, line: str) -> SmtpReply:
        """Write a command, unless it was written ahead, and return the reply to it."""
        if self._ahead:
            self._ahead -= 1
        else:
            self._opened().command([line])
        return await self._reply(step, self._timeouts.step_seconds)

    async def _reply(self, step: str, seconds: float) -> SmtpReply:
        code, text = await self._opened().reply(seconds)
        if code == _CLOSING:
            self.close()
        return SmtpReply(step=step, code=code, text=text)

    def _opened(self) -> Session:
        if self._session is None:
            raise ConnectionError("not connected")
        return self._session


def _extensions(text: str) -> Mapping[str, str]:
    """Return the parameters of each extension in a reply to EHLO. Old servers write `AUTH=LOGIN`, some beside `AUTH LOGIN`."""
    found: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        name, _, parameters = re.sub("(?i)^auth=", "AUTH ", line).partition(" ")
        found[name.lower()] = f"{found.get(name.lower(), '')} {parameters}".strip()
    return found


def _stuffed(content: bytes) -> bytes:
    """Double the dot at the beginning of lines (RFC 5321 section 4.5.2)."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
