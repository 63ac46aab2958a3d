"""Serve one connection of an SMTP client, below the commands, with aiosmtpd.

aiosmtpd lacks PROXY before TLS, TLS from the first byte with AUTH, limits, and enhanced status codes in replies.
"""

import asyncio
import ssl
from asyncio import sslproto
from collections import defaultdict
from collections.abc import Callable
from typing import Any, cast

import msgspec
from aiosmtpd.proxy_protocol import AF, V2_CMD, get_proxy
from aiosmtpd.smtp import SMTP

from relay.submission.connections import Connections
from relay.submission.logins import Login, Logins
from relay.submission.protocol.content import CHUNK, Memory
from relay.submission.protocol.replies import with_code
from relay.submission.protocol.session_limits import SessionLimits
from relay.submission.settings import Address, Settings, address_in, contains
from relay.submission.transactions import Transactions

MAX_COMMAND = 4_096
"""The longest command. RFC 5321 allows 512 bytes; UTF-8 addresses and keys are longer."""
HANDSHAKE_SECONDS = 30
"""Timeout of the PROXY header, and of TLS."""
LINGER_SECONDS = 30.0
"""How long a client may take to read the last replies."""

_STOPPING = b"421 4.3.2 The server stops; connect again"

LOST = (OSError, asyncio.IncompleteReadError)
"""Errors of a connection that ends; `ssl.SSLError` and `TimeoutError` are among them."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that all connections share. `tls` returns the context with the newest certificate, None without one."""

    settings: Settings
    transactions: Transactions
    logins: Logins
    connections: Connections
    memory: Memory
    tls: Callable[[], ssl.SSLContext | None]


class Connection(SMTP):
    """A connection until it closes. The subclass has the commands and the hooks that aiosmtpd calls for them."""

    line_length_limit = CHUNK  # the reader's limit
    # The library leaves these open until there is a connection.
    session: Any
    envelope: Any
    transport: Any
    _handler_coroutine: Any
    _timeout_handle: Any

    def __init__(self, server: Server, *, has_tls: bool, open_connections: "set[Connection]") -> None:
        self._server = server
        self._open_connections = open_connections
        self._has_tls = has_tls
        self._login: Login | None = None
        self._address: Address | None = None
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

    # ── from beginning to end ──

    async def _handle_client(self) -> None:
        self._open_connections.add(self)
        try:
            await self._arrive()
        except LOST:
            pass
        finally:
            self._open_connections.discard(self)
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
            # A health check of the load balancer has no client address, and so no rights.
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
        """Abort the connection and its unread replies: `close` would wait for a client that reads nothing."""
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
        """End the dialogue with the reply of a limit."""
        self._dismiss(reply)

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
        if isinstance(error, LOST):
            self._close()
        return self._server.transactions.failed(error)
