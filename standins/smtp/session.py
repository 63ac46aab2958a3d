# ruff: noqa: N802 (aiosmtpd finds commands by these names)
"""One SMTP connection: aiosmtpd's protocol, with scripted faults for each command and its own AUTH rules."""

import asyncio
import base64
import binascii
import ssl
from collections.abc import Collection, Sequence
from typing import NoReturn, Protocol

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, LoginPassword, Session

from standins.http import Clock
from standins.inbox import Inbox
from standins.rate_limit import RateLimiter
from standins.script import Act, Fault, Script
from standins.smtp.auth import Gate, read_xoauth2

MAX_COMMAND_BYTES = 12_288
"""RFC 4954 section 4: the longest AUTH line that a server must accept; tokens are long."""
GREETING = "relay.standin.test"

_TOO_FAST = Fault(
    act=Act.RESPOND,
    status=421,
    body="4.4.2 Message submission rate for this client has exceeded the configured limit",
)
_USUAL = {
    421: "4.3.2 Service not available, closing transmission channel",
    432: "4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information.",
    450: "4.2.1 Mailbox temporarily unavailable",
    451: "4.3.0 Temporary server error. Please try again later",
    452: "4.3.1 Insufficient system resources",
    454: "4.7.0 Temporary authentication failure",
    535: "5.7.8 Authentication credentials invalid",
    550: "5.1.1 User unknown",
    552: "5.3.4 Message size exceeds fixed maximum message size",
    554: "5.7.1 Message rejected",
}


def reply_of(fault: Fault) -> str:
    """Return the reply of a fault: its status and text, with as many lines as its body."""
    words = fault.body if isinstance(fault.body, str) else _USUAL.get(fault.status, "scripted")
    *first, last = words.splitlines()
    return "\r\n".join([*(f"{fault.status}-{line}" for line in first), f"{fault.status} {last}"])


class SessionOwner(Protocol):
    """The parts of a stand-in that a connection needs. The stand-in is also aiosmtpd's handler."""

    account: str
    clock: Clock
    gate: Gate
    inbox: Inbox
    max_message_bytes: int
    rate_limiter: RateLimiter
    script: Script
    signed_in: dict["SmtpSession", str]
    tls_context: ssl.SSLContext

    @property
    def extensions(self) -> Collection[str]:
        """Return the extensions that EHLO offers."""

    @property
    def mode(self) -> str:
        """Return how TLS begins: `starttls`, `implicit` or `none`."""

    async def until_released(self) -> None:
        """Wait for the next `release`, or for the stand-in to stop."""


class SmtpSession(SMTP):
    """A connection. Its stand-in is aiosmtpd's handler, which decides on MAIL, RCPT, DATA and credentials."""

    # Also the longest message line that is read; the stand-in refuses lines that RFC 5322 forbids.
    line_length_limit = MAX_COMMAND_BYTES
    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"

    def __init__(self, standin: SessionOwner) -> None:
        super().__init__(
            standin,
            data_size_limit=standin.max_message_bytes,
            enable_SMTPUTF8="SMTPUTF8" in standin.extensions,
            hostname=GREETING,
            ident="ESMTP stand-in",
            tls_context=standin.tls_context if standin.mode == "starttls" else None,
            require_starttls=standin.mode == "starttls",
            auth_require_tls=standin.mode == "starttls",
            authenticator=self._by_password,
            loop=asyncio.get_running_loop(),
        )
        self.command_size_limits["AUTH"] = MAX_COMMAND_BYTES
        self._standin = standin
        self.fault: Fault | None = None
        """The fault to apply after the final dot of the current message."""

    def connection_lost(self, error: Exception | None) -> None:
        self._standin.signed_in.pop(self, None)
        super().connection_lost(error)

    async def _handle_client(self) -> None:
        if await self._is_answered("connect"):
            await self._wait_for_quit()
        else:
            await super()._handle_client()

    async def _wait_for_quit(self) -> None:
        """Refuse each command until QUIT, after a greeting that refused the client (RFC 5321 section 3.1)."""
        while line := await self._reader.readline():
            if line.strip().upper() == b"QUIT":
                await self.push("221 2.0.0 Bye")
                break
            await self.push("503 5.5.1 Bad sequence of commands")
        if self.transport is not None:
            self.transport.close()

    async def check_auth_needed(self, caller_method: str) -> bool:  # noqa: ARG002 (aiosmtpd passes it)
        if not self._standin.gate.users or (self.session is not None and self.session.authenticated):
            return False
        await self.push("530 5.7.57 Client not authenticated to send mail.")
        return True

    def _by_password(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: LoginPassword
    ) -> AuthResult:
        """Authenticate PLAIN and LOGIN, called by aiosmtpd."""
        name, password = (text.decode("utf-8", "replace") for text in (data.login, data.password))
        refusal = self._standin.gate.by_password(self._standin.account, name, password)
        return self._signed_in(name, refusal)

    async def auth_XOAUTH2(self, _server: SMTP, args: list[str]) -> AuthResult:
        """Authenticate XOAUTH2. The credentials are in the command or follow an empty challenge."""
        try:
            answer = await self.challenge_auth("") if len(args) == 1 else base64.b64decode(args[1], validate=True)
        except binascii.Error:
            return AuthResult(success=False, handled=False, message="501 5.5.2 Cannot decode")
        if answer is MISSING:
            return AuthResult(success=False, handled=True)
        name, token = read_xoauth2(answer)
        return self._signed_in(name, self._standin.gate.by_token(self._standin.account, name, token))

    def _signed_in(self, name: str, refusal: str) -> AuthResult:
        if refusal:
            self._standin.inbox.refused[int(refusal[:3])] += 1
            return AuthResult(success=False, handled=False, message=refusal)
        self._standin.signed_in[self] = name
        return AuthResult(success=True, auth_data=name)

    async def smtp_EHLO(self, hostname: str) -> None:
        if not await self._is_answered("ehlo"):
            await super().smtp_EHLO(hostname)

    async def smtp_STARTTLS(self, arg: str) -> None:
        if not await self._is_answered("starttls"):
            await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg: str) -> None:
        if not await self._is_answered("auth"):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg: str) -> None:
        if await self._is_answered("mail") or await self.check_auth_needed("MAIL"):
            return
        if self._standin.rate_limiter.take(self._standin.clock()) is not None:
            await self._refuse(_TOO_FAST)
        else:
            await super().smtp_MAIL(arg)

    async def smtp_DATA(self, arg: str) -> None:
        """Take the fault for `send`, which covers all of DATA. Reset here if it acts before the body, otherwise later."""
        recipients = self.envelope.rcpt_tos if self.envelope is not None else []
        if await self._is_answered("data", recipients):
            return
        if recipients:
            self._standin.inbox.count_request()
            self.fault = self._take("send", recipients)
        if self.fault is not None and self.fault.act is Act.CUT_BEFORE_BODY:
            await self._vanish(hang=False)
        await super().smtp_DATA(arg)

    def _take(self, operation: str, recipients: Sequence[str]) -> Fault | None:
        script = self._standin.script
        return script.take(operation) or script.take(operation, recipients)

    async def _is_answered(self, operation: str, recipients: Sequence[str] = ()) -> bool:
        """Apply the script to a command. Return whether it replied instead of the command."""
        fault = await self.next_fault(operation, recipients)
        if fault is None:
            return False
        await self._refuse(fault)
        return True

    async def next_fault(self, operation: str, recipients: Sequence[str]) -> Fault | None:
        """Return the fault to reply with to a command, or None to continue. Does not return if the fault cuts or hangs."""
        fault = self._take(operation, recipients)
        return None if fault is None else await self.applied(fault)

    async def applied(self, fault: Fault) -> Fault | None:
        """Apply a fault before acceptance. Return the fault to reply with, or None to continue."""
        if fault.act is Act.SLOW:
            await asyncio.sleep(fault.seconds)
            return None
        if fault.act not in (Act.RESPOND, Act.ACCEPT_THEN):
            await self._vanish(hang=fault.act in (Act.HANG, Act.HANG_AFTER_ACCEPT))
        return fault

    async def applied_after(self, fault: Fault) -> Fault:
        """Apply a fault after acceptance. Return the fault to reply with; does not return if it cuts or hangs."""
        if fault.act is not Act.ACCEPT_THEN:
            await self._vanish(hang=fault.act is Act.HANG_AFTER_ACCEPT)
        return fault

    async def _refuse(self, fault: Fault) -> None:
        """Reply with a fault's text. After 421 the server closes the connection, RFC 5321 section 3.8."""
        self._standin.inbox.refused[fault.status] += 1
        await self.push(reply_of(fault))
        if fault.status == 421 and self.transport is not None:
            self.transport.close()

    async def _vanish(self, *, hang: bool) -> NoReturn:
        """Reset the connection, at once or at the next `release` of the stand-in.

        Never returns: when the connection is lost, aiosmtpd cancels the connection's task, which awaits this.
        """
        if hang:
            await self._standin.until_released()
        transport = self._original_transport or self.transport
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("unreachable")
