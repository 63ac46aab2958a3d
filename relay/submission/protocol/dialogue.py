"""Handle the SMTP commands of one client that aiosmtpd lacks, or parses too strictly.

aiosmtpd lacks AUTH that asks another service, CHUNKING and PIPELINING. It handles the commands that are not overridden here.
"""

import asyncio
from typing import Any, cast

from aiosmtpd.smtp import AuthResult, LoginPassword

from relay.submission.logins import Login
from relay.submission.protocol.arguments import read_chunk_size, read_path, without_auth
from relay.submission.protocol.connection import LOST, Connection, Server
from relay.submission.protocol.content import Content, is_smuggled, read_chunk, read_until_end, without_dots
from relay.submission.settings import contains
from relay.submission.transactions import Transaction

POST_SECONDS = 300.0
"""How long a client waits for the reply to its message. RFC 5321 section 4.5.3.2.6: it waits ten minutes."""
NEEDS_LOGIN = "530 5.7.0 Authentication required: the user is a client's name, the password its key"
SMUGGLED = "550 5.6.0 A line with only a dot must end in CR LF, before and behind it"


class Dialogue(Connection):
    """The commands of one connection. aiosmtpd finds them (`smtp_…`) and its hooks (`handle_…`) by their names."""

    _set_rset_state: Any

    def __init__(self, server: Server, *, has_tls: bool, open_connections: set[Connection]) -> None:
        self._content: Content | None = None
        self._is_chunked = False
        super().__init__(server, has_tls=has_tls, open_connections=open_connections)

    async def _handle_client(self) -> None:
        try:
            await super()._handle_client()
        finally:
            self._drop_content()

    def _end_by_limit(self, reply: bytes) -> None:
        """End the dialogue with the reply of a limit, or that of a message that was refused before its end."""
        problem = self._content.problem if self._content is not None else ""
        super()._end_by_limit(problem.encode() or reply)

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
        except LOST:
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
        self._reset_timeout()  # a backstop: the time of the message ends earlier, with a reply
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
