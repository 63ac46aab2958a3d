"""One authenticated connection to an SMTP server, over aiosmtplib: opened, used for transactions, closed.

A method answers None when its step succeeded, else the outcome. A lost connection or a time-out is an exception of
aiosmtplib or the system (`LOSSES`); `is_handed_over` then says on which side of the final dot it happened.
"""

import asyncio
import base64
import re
import ssl
from collections.abc import Sequence
from typing import Any

import msgspec

from relay.outcomes import Deferred, Outcome, RouteFault, Sent, reply_text
from relay.providers.smtp_replies import Reply, read_reply

CONNECT_SECONDS = 20.0
STEP_SECONDS = 60.0
"""How long one answer is waited for. RFC 5321 section 4.5.3.2 would give more, the lease of an attempt does not."""
CONTENT_SECONDS = 180.0
"""How long handing over the content may take, and then again the answer to it: servers scan before they answer."""

_CHUNK_BYTES = 64 * 1024
_LEADING_DOT = re.compile(rb"(?m)^\.")


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how to connect. `tls` is `starttls`, `implicit` or `none`; `auth` a mechanism, `none` or `` (choose)."""

    host: str
    port: int
    tls: str
    auth: str
    username: str
    ehlo_name: str


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction: return path, recipients (number, address) and what the addresses need."""

    return_path: str
    recipients: tuple[tuple[int, str], ...]
    is_utf8: bool


class Connection:
    """A connection. Not for two transactions at once."""

    def __init__(self, server: Server, context: ssl.SSLContext | None) -> None:
        import aiosmtplib

        self._server = server
        self._client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "implicit",
            start_tls=False,
            tls_context=context,
            local_hostname=server.ehlo_name,
            timeout=STEP_SECONDS,
        )
        self._writer: asyncio.StreamWriter | None = None
        self.is_handed_over = False
        self.transactions = 0
        self.idle_since = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the connection has not been seen to end."""
        return self._client.is_connected

    async def open(self, secret: str) -> Outcome | None:
        """Connect, change to TLS, say EHLO and authenticate with the password or token."""
        from aiosmtplib import SMTPConnectResponseError

        try:
            await self._client.connect(timeout=CONNECT_SECONDS)
        except SMTPConnectResponseError as error:
            return read_reply(Reply(step="connect", code=error.code, text=error.message))
        return await self._hello() or await self._secure() or await self._authenticate(secret)

    async def noop(self) -> Outcome | None:
        """Ask for a sign of life."""
        reply = await self._command("connect", "NOOP")
        return None if reply.is_good else read_reply(reply)

    async def transfer(self, envelope: Envelope, content: bytes) -> list[tuple[int, Outcome]]:
        """One transaction: an outcome for each recipient. `content` ends its lines with CRLF."""
        everybody = [number for number, _ in envelope.recipients]
        self.transactions += 1
        self.is_handed_over = False
        if refused := await self._begin(envelope, content):
            return [(number, refused) for number in everybody]
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
        """End a transaction that was not completed; whether the connection can be used again."""
        return self.is_open and (await self._command("mail", "RSET")).is_good

    async def quit(self) -> None:
        """Take leave, and close whatever comes of it."""
        try:
            if self.is_open:
                async with asyncio.timeout(2.0):
                    await self._client.quit()
        except losses():
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Close at once."""
        self._client.close()

    def supports(self, extension: str) -> bool:
        """Whether EHLO offered it."""
        return self._client.supports_extension(extension)

    @property
    def max_bytes(self) -> int:
        """The largest message the server takes (RFC 1870), or 0 where it does not say."""
        limit = self._client.esmtp_extensions.get("size", "").strip()
        return int(limit) if limit.isdecimal() else 0

    async def _hello(self) -> Outcome | None:
        from aiosmtplib import SMTPHeloError

        try:
            await self._client.ehlo()
        except SMTPHeloError as error:
            return read_reply(Reply(step="connect", code=error.code, text=error.message))
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
            return read_reply(Reply(step="connect", code=error.code, text=error.message))
        return await self._hello()

    async def _authenticate(self, secret: str) -> Outcome | None:
        if self._server.auth == "none":
            return None
        offered = self._client.server_auth_methods
        mechanism = self._server.auth or next((name for name in ("plain", "login") if name in offered), "plain")
        if mechanism not in offered:
            return RouteFault(code="misconfigured", reply=f"the server offers no AUTH {mechanism.upper()}")
        reply = await self._say(mechanism, self._server.username, secret)
        return None if reply.is_good else read_reply(reply)

    async def _say(self, mechanism: str, username: str, secret: str) -> Reply:
        """The exchange of a mechanism: PLAIN (RFC 4616), LOGIN, XOAUTH2 (Exchange Online's page on OAuth for SMTP)."""
        if mechanism == "plain":
            return await self._command("auth", f"AUTH PLAIN {_base64(f'\0{username}\0{secret}')}")
        if mechanism == "xoauth2":
            response = _base64(f"user={username}\x01auth=Bearer {secret}\x01\x01")
            reply = await self._command("auth", f"AUTH XOAUTH2 {response}")
            # A refusal comes as a challenge with its reason; the empty answer asks for the reply.
            return await self._command("auth", "") if reply.code == 334 else reply
        reply = await self._command("auth", "AUTH LOGIN")
        for text in (username, secret):
            if reply.code != 334:
                return reply
            reply = await self._command("auth", _base64(text))
        return reply

    async def _begin(self, envelope: Envelope, content: bytes) -> Outcome | None:
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
        """DATA, the lines, the final dot. Before the dot leaves, nothing can have been sent."""
        reply = await self._command("data", "DATA")
        if reply.code != 354:
            return read_reply(reply)
        async with asyncio.timeout(CONTENT_SECONDS):
            await self._write(_LEADING_DOT.sub(b"..", content))
        self.is_handed_over = True
        reply = await self._command("content", ".", timeout=CONTENT_SECONDS)
        if reply.is_good:
            return Sent(reply=reply.kept, provider_id=_queue_id(reply.text))
        return read_reply(reply)

    async def _write(self, lines: bytes) -> None:
        """Give the lines to the network as fast as it takes them, so that a connection lost meanwhile is seen."""
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

    async def _command(self, step: str, line: str, timeout: float = STEP_SECONDS) -> Reply:
        response = await self._client.execute_command(line.encode(), timeout=timeout)
        return Reply(step=step, code=response.code, text=response.message)


def losses() -> tuple[type[BaseException], ...]:
    """The exceptions that mean a lost connection, a time-out or a server that speaks no SMTP."""
    from aiosmtplib import SMTPException

    return (SMTPException, OSError, TimeoutError)


def opening_failed(error: BaseException) -> Deferred | RouteFault:
    """What it means that no connection could be opened."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return RouteFault(code="misconfigured", reply=reply_text(f"the certificate: {cause.verify_message}"))
        if isinstance(cause, ssl.SSLError):
            return RouteFault(code="misconfigured", reply=reply_text(f"TLS: {cause.reason}"))
        cause = cause.__cause__
    return Deferred(code="unreachable", reply=type(error).__name__)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _queue_id(text: str) -> str | None:
    """The server's name for the message, as Postfix, Exchange and Exim say it."""
    found = re.search(r"queued as ([^\s\]]+)|<([^<>\s]+)> .*?Queued|\bid=([^\s\]]+)", text, re.IGNORECASE)
    return next((group for group in found.groups() if group), None) if found else None


def distinct(outcomes: Sequence[tuple[int, Outcome]]) -> list[tuple[tuple[int, ...], Outcome]]:
    """Recipient numbers by outcome, in the order of their first."""
    groups: dict[Any, list[int]] = {}
    for number, outcome in sorted(outcomes, key=lambda pair: pair[0]):
        groups.setdefault(outcome, []).append(number)
    return [(tuple(numbers), outcome) for outcome, numbers in groups.items()]
