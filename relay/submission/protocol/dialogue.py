"""The SMTP dialogue with one client: aiosmtpd, with what it lacks.

It lacks AUTH that asks somebody else, TLS from the first byte with AUTH, PROXY before TLS, CHUNKING, PIPELINING and enhanced
status codes in its replies, and limits. Commands that are not overridden here are aiosmtpd's.
"""

import asyncio
import ssl
from asyncio import sslproto
from collections import defaultdict
from collections.abc import Callable
from typing import Any, cast

import msgspec
from aiosmtpd.proxy_protocol import AF, V2_CMD, get_proxy
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from relay.submission.connections import Connections
from relay.submission.logins import Login, Logins
from relay.submission.protocol.arguments import read_chunk_size, read_path, without_auth
from relay.submission.protocol.content import (
    CHUNK,
    Content,
    Memory,
    is_smuggled,
    read_chunk,
    read_until_end,
    without_dots,
)
from relay.submission.protocol.replies import with_code
from relay.submission.protocol.session_limits import SessionLimits
from relay.submission.settings import Address, Settings, address_in, contains
from relay.submission.transactions import Transaction, Transactions

MAX_COMMAND = 4_096
"""The longest command. RFC 5321 allows 512 bytes; UTF-8 addresses and keys are longer."""
HANDSHAKE_SECONDS = 30
"""Timeout of the PROXY header, and of TLS."""
LINGER_SECONDS = 30.0
"""How long a client may take to read the last replies."""
POST_SECONDS = 300.0
"""How long a client waits for the reply to its message. RFC 5321 section 4.5.3.2.6: it waits ten minutes."""
NEEDS_LOGIN = "530 5.7.0 Authentication required: the user is a client's name, the password its key"
SMUGGLED = "550 5.6.0 A line with only a dot must end in CR LF, before and behind it"

_STOPPING = b"421 4.3.2 The server stops; connect again"

_LOST = (OSError, asyncio.IncompleteReadError)
"""Errors of a connection that ends; `ssl.SSLError` and `TimeoutError` are among them."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """What all connections share. `tls` returns the context with the newest certificate, None without one."""

    settings: Settings
    transactions: Transactions
    logins: Logins
    connections: Connections
    memory: Memory
    tls: Callable[[], ssl.SSLContext | None]


class Dialogue(SMTP):
    """One connection. aiosmtpd finds the hooks (`handle_…`) and commands (`smtp_…`) by their names."""

    line_length_limit = CHUNK  # the reader's limit
    # The library leaves these open until there is a connection.
    session: Any
    envelope: Any
    transport: Any
    _handler_coroutine: Any
    _set_rset_state: Any
    _timeout_handle: Any

    def __init__(self, server: Server, *, has_tls: bool, open_dialogues: "set[Dialogue]") -> None:
        self._server = server
        self._open_dialogues = open_dialogues
        self._has_tls = has_tls
        self._login: Login | None = None
        self._address: Address | None = None
        self._content: Content | None = None
        self._is_chunked = False
        self._is_posting = self._is_stopping = False
        self._limits = SessionLimits(server.settings.limits, loop=asyncio.get_running_loop(), end=self._end_by_limit)
        super().__init__(
            self,  # aiosmtpd calls its hooks
            data_size_limit=server.settings.limits.message_bytes,
            enable_SMTPUTF8=True,
            hostname=server.settings.hostname,
            ident="Relay",
            timeout=server.settings.limits.idle_seconds,
            tls_context=server.tls(),
            auth_require_tls=not server.settings.allows_plain_auth,
            loop=asyncio.get_running_loop(),
        )
        # The library changes a table that all connections share, with each greeting.
        self.command_size_limits = defaultdict(lambda: MAX_COMMAND)
        self.command_size_limit = MAX_COMMAND

    # ── the connection ──

    async def _handle_client(self) -> None:
        self._open_dialogues.add(self)
        try:
            await self._arrive()
        except _LOST:
            pass
        finally:
            self._open_dialogues.discard(self)
            self._drop_content()
            self._limits.close()
            # The library would close and cancel when the connection is lost, but does not learn of one that ends in a handshake.
            if self.transport is None:
                self._timeout_handle.cancel()
            else:
                self.transport.close()
                self._reset_timeout(LINGER_SECONDS)

    async def _arrive(self) -> None:
        peer = address_in(str((self.session.peer or ("",))[0]))
        if contains(self._server.settings.proxies, peer):
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                proxy = await get_proxy(self._reader)
            if not proxy.valid:
                await self._end()
                return
            has_source = proxy.command != V2_CMD.LOCAL and proxy.family in (AF.INET, AF.INET6)
            # A health check of the load balancer has no client: its address gives it no rights.
            peer = address_in(str(proxy.src_addr)) if has_source else None
        self._address = peer
        with self._server.connections.opened(peer) as refusal:
            if refusal:
                if not self._has_tls:
                    await self.push(f"421 4.7.0 {refusal}")
                await self._end()
                return
            if not contains(self._server.settings.networks, peer):
                self._limits.await_login(lambda: self._login is not None)
            if self._has_tls:
                await self._start_tls(self._take_buffer())
            await super()._handle_client()

    def connection_made(self, transport: Any) -> None:
        """Begin the dialogue; again when TLS has begun, which ends the login (RFC 3207 section 4.2)."""
        self._login = None
        super().connection_made(transport)

    def _close(self) -> None:
        """Close the connection, and cancel the task that reads commands."""
        if self.transport is not None:
            self.transport.close()
        self._handler_coroutine.cancel()

    async def _end(self) -> None:
        """Close the connection from within that task: no command that has arrived already is read."""
        self._close()
        await asyncio.sleep(0)

    def _timeout_cb(self) -> None:
        """Drop the connection with the replies that were not read: `close` would wait for a client that reads nothing."""
        if self.transport is not None:
            self.transport.abort()

    def stop(self) -> asyncio.Task[None] | None:
        """End the dialogue; after the reply to a message that is being posted. Returns the task that then ends."""
        self._is_stopping = True
        if self._is_posting:
            task: asyncio.Task[None] = self._handler_coroutine
            return task
        self._dismiss(_STOPPING)
        return None

    def _dismiss(self, reply: bytes) -> None:
        """End the dialogue with a reply, whatever the task that reads commands waits for."""
        self._writer.write(reply + b"\r\n")
        self._reset_timeout(LINGER_SECONDS)
        self._close()

    def _end_by_limit(self, reply: bytes) -> None:
        """End the dialogue with the reply of a limit, or that of a message that was refused before its end."""
        problem = self._content.problem if self._content is not None else ""
        self._dismiss(problem.encode() or reply)

    def _take_buffer(self) -> bytes:
        buffer = cast(Any, self._reader)._buffer
        taken = bytes(buffer)
        buffer.clear()
        return taken

    async def _start_tls(self, received: bytes = b"") -> None:
        """Begin TLS on this connection; `received` are its first bytes. Raises `ConnectionError` or `ssl.SSLError`."""
        waiter = self.loop.create_future()
        self._tls_protocol = sslproto.SSLProtocol(
            self.loop,
            self,
            cast(ssl.SSLContext, self.tls_context),
            waiter,
            server_side=True,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
        )
        plain = self._original_transport = self.transport
        plain.set_protocol(self._tls_protocol)
        self.transport = self._tls_protocol._app_transport
        self._tls_protocol.connection_made(plain)
        if received:
            cast(Any, asyncio.protocols)._feed_data_to_buffered_proto(self._tls_protocol, received)
        await waiter
        if self.session.ssl is None:  # the client left during the handshake
            raise ConnectionResetError

    # ── replies ──

    async def push(self, status: str | bytes) -> None:
        """Send a reply with its enhanced status code."""
        await self._reply(self._with_code(status if isinstance(status, bytes) else status.encode("ascii", "replace")))

    async def _reply(self, text: bytes) -> None:
        """Send a reply, and end a session that sends no mail."""
        self._writer.write(text + b"\r\n")
        await self._writer.drain()
        if last := self._limits.after(text):
            self._writer.write(last + b"\r\n")
            await self._end()

    def _with_code(self, line: bytes) -> bytes:
        is_greeting = line.startswith(b"220 " + self.hostname.encode())
        return line if is_greeting else with_code(line)

    async def handle_exception(self, error: Exception) -> str:
        """Reply 451 to an error of the server itself."""
        if isinstance(error, _LOST):
            self._close()
        return self._server.transactions.failed(error)

    # ── greeting, TLS and AUTH ──

    async def smtp_HELO(self, hostname: str | None) -> None:  # noqa: N802 (see the class)
        """Accept a greeting, also one without a name, as many servers do."""
        self._greet(hostname, is_extended=False)
        await self._reply(f"250 {self.hostname}".encode())

    async def smtp_EHLO(self, hostname: str | None) -> None:  # noqa: N802 (see the class)
        """Accept a greeting, also one without a name, and list the extensions."""
        self._greet(hostname, is_extended=True)
        lines = [
            self.hostname,
            f"SIZE {self.data_size_limit}",
            *("8BITMIME", "SMTPUTF8", "PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES"),
            *(["STARTTLS"] if self.tls_context and not self._tls_protocol else []),
            *(["AUTH LOGIN PLAIN"] if self._tls_protocol or not self._auth_require_tls else []),
        ]
        text = "".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}"
        await self._reply(text.encode())

    def _greet(self, hostname: str | None, *, is_extended: bool) -> None:
        self._set_rset_state()
        self.session.extended_smtp = is_extended
        self.session.host_name = hostname or "unknown"

    async def smtp_QUIT(self, arg: str | None) -> None:  # noqa: N802 (see the class)
        """End the dialogue; commands behind it are not read."""
        await super().smtp_QUIT(arg)
        await asyncio.sleep(0)

    async def smtp_STARTTLS(self, arg: str | None) -> None:  # noqa: N802 (see the class)
        """Begin TLS. What the client sent before its handshake is dropped (RFC 3207 section 6)."""
        if arg or not self.tls_context or self._tls_protocol:
            await self.push("501 Syntax: STARTTLS" if arg else "503 TLS is not available here, or has begun")
            return
        self._take_buffer()
        await self.push("220 Ready to start TLS")
        try:
            await self._start_tls()
        except _LOST:
            await self._end()

    async def smtp_AUTH(self, arg: str | None) -> None:  # noqa: N802 (see the class)
        """Take the name of a mechanism in any case."""
        name, blank, rest = (arg or "").partition(" ")
        await super().smtp_AUTH(f"{name.upper()}{blank}{rest}")

    AuthLoginUsernameChallenge = "Username:"  # what most servers ask for, and some clients expect
    AuthLoginPasswordChallenge = "Password:"

    async def auth_PLAIN(self, _: Any, args: list[str]) -> AuthResult:  # noqa: N802 (see the class)
        """Check name and key (RFC 4616)."""
        return await self._checked(await super().auth_PLAIN(_, args))

    async def auth_LOGIN(self, _: Any, args: list[str]) -> AuthResult:  # noqa: N802 (see the class)
        """Check name and key."""
        return await self._checked(await super().auth_LOGIN(_, args))

    def _authenticate(self, mechanism: str, auth_data: Any) -> AuthResult:  # noqa: ARG002 (the library's signature)
        """Return what the client sent; the library does not wait for a check here."""
        return AuthResult(success=True, auth_data=auth_data)

    async def _checked(self, given: AuthResult) -> AuthResult:
        if not given.success:
            return given
        sent = cast(LoginPassword, given.auth_data)
        name, key = (each.decode("utf-8", "replace") for each in sent)
        found = await self._server.logins.check(name, key, str(self._address or ""))
        if isinstance(found, str):
            return AuthResult(success=False, handled=False, message=found)
        self._login = found
        return AuthResult(success=True)

    async def check_auth_needed(self, caller_method: str) -> bool:  # noqa: ARG002 (the library's signature)
        """Refuse a command of a client that has not signed in, unless its network needs no AUTH."""
        if self._login is None and contains(self._server.settings.networks, self._address):
            self._login = await self._server.logins.of_key(self._server.settings.key)
        if self._login is None:
            await self.push(NEEDS_LOGIN)
        return self._login is None

    # ── the envelope ──

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Keep the quotes of a local part, and the dots of carriers' addresses, which the library refuses."""
        address, parameters = read_path(arg)
        return address, parameters and without_auth(parameters)

    async def handle_MAIL(  # noqa: N802 (see the class)
        self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Accept a sender, also an empty one."""
        sizes = [int(option[5:]) for option in options if option.startswith("SIZE=")]
        sender, reply = self._server.transactions.sender(cast(Login, self._login), address, *sizes[:1] or [0])
        if reply.startswith("250"):
            envelope.mail_from = sender
        return reply

    async def handle_RCPT(  # noqa: N802 (see the class)
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        """Accept a recipient."""
        if self._is_chunked:
            return "503 5.5.1 The message has begun"
        address, reply = self._server.transactions.recipient(
            cast(Login, self._login), envelope.mail_from, envelope.rcpt_tos, address
        )
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
            self._limits.excuse()
        elif reply.startswith("452"):
            self._limits.excuse_overshoot()
        return reply

    # ── the message ──

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 (see the class)
        """Read a message that ends with CRLF.CRLF, and post it."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        if problem := "501 Syntax: DATA" if arg else self._sequence_problem():
            await self.push(problem)
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        content = self._content = self._new_content()
        await read_until_end(self._reader, content)
        mail = content.take()
        if not content.problem and is_smuggled(mail):
            content.problem = SMUGGLED
        mail = without_dots(mail)  # one copy is kept while it is posted
        await self._finish(mail, content.problem)
        await self._end_if_given_up(content)

    async def smtp_BDAT(self, arg: str | None) -> None:  # noqa: N802 (see the class)
        """Read a chunk of a message, and post the message after the last one (RFC 3030)."""
        size, last = read_chunk_size(arg or "")
        if size is None:
            await self.push("501 Syntax: BDAT size [LAST]")
            await self._end()  # what follows may be a chunk, and must not be read as commands
            return
        is_ready = bool(self.session.host_name) and bool(self.envelope.rcpt_tos)
        if self._login is None:
            await self.push(NEEDS_LOGIN)
            await self._end()
            return
        content = self._content if is_ready and self._content is not None else self._new_content()
        if not is_ready:
            content.problem = self._sequence_problem() or "503 Send EHLO first"
        self._content, self._is_chunked = content, is_ready
        await read_chunk(self._reader, size, content)
        if content.problem:
            await self.push(content.problem)
            if last or not is_ready:
                self._set_rset_state()
            await self._end_if_given_up(content)
        elif last:
            await self._finish(content.take(), "")
        else:
            if size:
                self._limits.excuse()
            await self.push(f"250 2.0.0 {size} bytes received")

    async def _end_if_given_up(self, content: Content) -> None:
        """Close the connection of a client that sends on after its message was refused.

        RFC 5321 section 7.8 allows that. The reply stays 552 (RFC 1870 section 4): after 421 the client would try again.
        """
        if content.is_given_up:
            await self._end()

    def _sequence_problem(self) -> str:
        if self._is_chunked:
            return "503 The message was begun with BDAT"
        return "" if self.envelope.rcpt_tos else "503 Error: need RCPT command"

    async def _finish(self, content: bytes, problem: str) -> None:
        reply = problem
        self._limits.message_ends()
        if not problem:
            self._reset_timeout(POST_SECONDS)
            self._is_posting = True
            envelope = self.envelope
            transaction = Transaction(
                login=cast(Login, self._login),
                sender=envelope.mail_from,
                recipients=tuple(envelope.rcpt_tos),
                content=content,
            )
            try:
                reply = await self._server.transactions.finish(transaction)
            finally:
                self._is_posting = False
            self._reset_timeout()
        self._set_rset_state()
        if reply.startswith("250"):
            self._limits.accepted()
        await self.push(reply)
        if self._is_stopping:
            self.stop()

    def _new_content(self) -> Content:
        limits = self._server.settings.limits
        self._limits.message_begins()
        self._reset_timeout()  # later than the end of the message's time, which has a reply
        return Content(
            limit=limits.message_bytes,
            excess=limits.excess_bytes,
            memory=self._server.memory,
            on_read=self._on_read,
        )

    def _on_read(self, size: int) -> None:
        self._limits.message_grows(size)
        self._reset_timeout()

    def _set_post_data_state(self) -> None:
        cast(Any, super())._set_post_data_state()
        self._drop_content()

    def _drop_content(self) -> None:
        self._limits.message_ends()
        if self._content is not None:
            self._content.close()
        self._content, self._is_chunked = None, False
