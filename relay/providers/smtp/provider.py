"""Send through any smart host with authenticated submission: on-premises Exchange, Exchange Online SMTP AUTH, other relays.

RFC 5321 over TLS (RFC 3207, RFC 8314), AUTH (RFC 4954), SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), PIPELINING
(RFC 2920).
"""

import asyncio
import ssl
from collections.abc import Sequence

from relay.core.errors import SettingsError
from relay.core.outcomes import Deferred, Outcome, PerRecipient, Rejected, RouteFault, Sent, Unknown, reply_text
from relay.core.send_request import SendRequest
from relay.core.settings import RouteSettings
from relay.providers.contract import Capabilities, Provider, ProviderContext
from relay.providers.smtp.connection import Server, SmtpConnection, SmtpTimeouts
from relay.providers.smtp.envelope import SmtpEnvelope, content_of, envelope_of, seven_bit
from relay.providers.smtp.outcomes import distinct, opening_failed
from relay.providers.smtp.pool import Pool
from relay.providers.smtp.settings import check_settings, connections_of, default_paces, server_of

CAPABILITIES = Capabilities(
    max_bytes=150 * 1024 * 1024,
    max_recipients=500,
    features=frozenset(
        {
            "headers",
            "x_headers",
            "inline_images",
            "empty_files",
            "calendar",
            "raw_mime",
            "envelope",
            "return_path",
            "reply_to_many",
            "smtputf8",
            "per_recipient",
        }
    ),
)
"""Common limits of servers. A server with a lower one states it (SIZE, 452 4.5.3), and Relay respects it."""

_TIMEOUTS = SmtpTimeouts()
SMTP_SCOPE = "https://outlook.office365.com/.default"
"""Exchange Online's scope, for XOAUTH2 (learn.microsoft.com/exchange/client-developer/legacy-protocols)."""


def create(name: str, settings: RouteSettings, context: ProviderContext) -> Provider:
    """Make the provider of a route. Opens no connection."""
    return SmtpProvider(settings, context)


class SmtpProvider:
    """A route to an SMTP server."""

    def __init__(self, settings: RouteSettings, context: ProviderContext, timeouts: SmtpTimeouts = _TIMEOUTS) -> None:
        self._settings = settings
        self._server: Server = server_of(settings)
        self._context = context
        self._timeouts = timeouts
        self._tls_context: ssl.SSLContext | None = None
        self._pool = Pool(limit=connections_of(settings), wait_seconds=timeouts.slot_seconds, clock=context.clock)

    async def send(self, request: SendRequest) -> Outcome | PerRecipient:
        """Run one transaction for the whole envelope. Recipients may have different outcomes."""
        try:
            envelope = envelope_of(request)
            content = await content_of(request)
        except ValueError as error:
            return Rejected(code="invalid_message", reply=reply_text(str(error)))
        async with self._pool.slot() as is_ours:
            if not is_ours:
                return Deferred(code="provider_unavailable", reply="no connection became free in time")
            return await self._deliver(envelope, content, self._deadline())

    async def probe(self) -> Sent | RouteFault:
        """Connect, start TLS, authenticate, and send NOOP."""
        connection = await self._open(self._deadline())
        if not isinstance(connection, SmtpConnection):
            return _as_fault(connection)
        try:
            refused = await connection.noop()
        except OSError as error:
            refused = opening_failed(error)
        await connection.quit()
        return Sent() if refused is None else _as_fault(refused)

    async def verify(self, request: SendRequest, provider_id: str | None) -> Outcome:
        """Return `Unknown`: an SMTP server cannot look up a message."""
        return Unknown(code="response_lost", provider_id=provider_id)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    def _deadline(self) -> float:
        """Return the deadline of an attempt that starts now, in the event loop's time."""
        return asyncio.get_running_loop().time() + self._timeouts.attempt_seconds

    async def _deliver(self, envelope: SmtpEnvelope, content: bytes, until: float) -> Outcome | PerRecipient:
        """Send over an idle connection, or over a new one if that was dead before it accepted anything."""
        connection = self._pool.idle()
        if connection is not None:
            outcome = await self._transfer(connection, envelope, content, until)
            if not _is_stale(connection, outcome):
                return outcome
        fresh = await self._open(until)
        return await self._transfer(fresh, envelope, content, until) if isinstance(fresh, SmtpConnection) else fresh

    async def _transfer(
        self, connection: SmtpConnection, envelope: SmtpEnvelope, content: bytes, until: float
    ) -> Outcome | PerRecipient:
        if unsuited := _unsuited(connection, envelope, content):
            await self._pool.give_back(connection, is_clean=True)
            return unsuited
        try:
            if not content.isascii() and not connection.supports("8bitmime"):
                content = await seven_bit(content)
            async with asyncio.timeout_at(until):
                outcomes = distinct(_read(envelope, await connection.transfer(envelope, content)))
        except ValueError as error:
            await self._pool.give_back(connection, is_clean=True)
            return Rejected(code="invalid_message", reply=str(error))
        except OSError as error:
            connection.close()
            return _lost(connection, error)
        except BaseException:
            connection.close()
            raise
        await self._pool.give_back(connection, is_clean=all(isinstance(outcome, Sent) for _, outcome in outcomes))
        return outcomes[0][1] if len(outcomes) == 1 else PerRecipient(outcomes=tuple(outcomes))

    async def _open(self, until: float) -> SmtpConnection | Outcome:
        """Open an authenticated connection. Rereads a refused secret once."""
        try:
            async with asyncio.timeout_at(until):
                return await self._open_with_secret()
        except TimeoutError as error:
            return opening_failed(error)

    async def _open_with_secret(self) -> SmtpConnection | Outcome:
        secret = await self._secret()
        if not isinstance(secret, str):
            return secret
        opened = await self._connect(secret)
        if isinstance(opened, RouteFault) and opened.code == "bad_credentials" and self._server.auth != "none":
            renewed = await self._secret(refused=secret)
            if isinstance(renewed, str) and renewed != secret:
                return await self._connect(renewed)
        return opened

    async def _connect(self, secret: str) -> SmtpConnection | Outcome:
        try:
            connection = SmtpConnection(self._server, await self._tls(), self._timeouts)
        except (OSError, ValueError) as error:
            return RouteFault(code="misconfigured", reply=f"ca_file: {type(error).__name__}")
        try:
            refused = await connection.open(secret)
        except OSError as error:
            connection.close()
            return opening_failed(error)
        except BaseException:
            connection.close()
            raise
        if refused is None:
            return connection
        await connection.quit()
        return refused

    async def _secret(self, refused: str = "") -> str | Deferred | RouteFault:
        """Return the password, or the token for XOAUTH2. With `refused`, return a different one if there is one."""
        if self._server.auth == "none":
            return ""
        if self._server.auth == "xoauth2":
            scope = str(self._settings.get("scope", SMTP_SCOPE))
            token: str | Deferred | RouteFault = await self._context.credential.token(
                self._settings, scope, refused=refused
            )
            return token
        secrets, reference = self._context.secrets, str(self._settings["password"])
        try:
            return await (secrets.refresh(reference) if refused else secrets.get(reference))
        except SettingsError as error:
            return RouteFault(code="secret_unavailable", reply=reply_text(str(error)))

    async def _tls(self) -> ssl.SSLContext | None:
        if self._tls_context is None and self._server.tls != "none":
            self._tls_context = await asyncio.to_thread(_make_context, self._settings.get("ca_file"))
        return self._tls_context


def _make_context(ca_file: str | None) -> ssl.SSLContext:
    """Trust the system's authorities and those in `ca_file`. Raises `OSError` if the file is missing."""
    tls_context = ssl.create_default_context()
    if ca_file:
        tls_context.load_verify_locations(cafile=ca_file)
    return tls_context


def _unsuited(connection: SmtpConnection, envelope: SmtpEnvelope, content: bytes) -> Rejected | None:
    """Return why this server cannot accept the message, according to its EHLO."""
    if envelope.is_utf8 and not connection.supports("smtputf8"):
        return Rejected(code="unsupported", reply="the server offers no SMTPUTF8")
    if 0 < connection.max_bytes < len(content):
        return Rejected(
            code="message_too_large",
            reply=f"the server's limit is {connection.max_bytes} bytes",
        )
    return None


def _read(envelope: SmtpEnvelope, outcomes: Sequence[tuple[int, Outcome]]) -> Sequence[tuple[int, Outcome]]:
    """With an empty return path, turn sender faults into rejections: they concern this message, not all with its From."""
    if envelope.return_path:
        return outcomes
    return [
        (number, Rejected(code="policy_refused", reply=outcome.reply) if _is_of_sender(outcome) else outcome)
        for number, outcome in outcomes
    ]


def _is_of_sender(outcome: Outcome) -> bool:
    return isinstance(outcome, RouteFault) and outcome.code == "sender_not_verified"


def _lost(connection: SmtpConnection, error: BaseException) -> Deferred | Unknown:
    """Return the outcome of a lost or timed-out connection. Before the final dot nothing can have been sent."""
    reply = type(error).__name__
    if connection.is_handed_over:
        return Unknown(code="response_lost", reply=reply)
    return Deferred(code="unreachable", reply=reply)


def _is_stale(connection: SmtpConnection, outcome: Outcome | PerRecipient) -> bool:
    """Return whether a reused connection was dead or closed by the server (421) before it accepted anything."""
    is_transient = isinstance(outcome, Deferred) and outcome.code in ("unreachable", "provider_unavailable")
    return is_transient and not connection.is_open and not connection.is_handed_over


def _as_fault(outcome: Outcome) -> RouteFault:
    return outcome if isinstance(outcome, RouteFault) else RouteFault(code=outcome.code, reply=outcome.reply)


__all__ = ("CAPABILITIES", "SmtpProvider", "check_settings", "create", "default_paces")
