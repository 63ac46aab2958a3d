# ruff: noqa: N802 (aiosmtpd finds hooks by these names)
"""Stand-in for a smart host with authenticated submission: on-premises Exchange, Exchange Online or another relay.

Script operations: `connect`, `ehlo`, `starttls`, `auth`, `mail`, `rcpt`, `data` (the reply before the
message) and `send` (from DATA to the reply after the final dot). A fault's status is an SMTP code, its
body the reply's text; several lines become a multiline reply.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Literal
from uuid import uuid4

from aiohttp import web
from aiosmtpd.smtp import Envelope, Session

from standins.entra import TokenIssuer
from standins.http import Clock, StandIn, utc_now
from standins.inbox import Mail
from standins.mime import read_mime
from standins.rate_limit import Limit, RateLimiter
from standins.script import Act
from standins.smtp.auth import REFUSALS, Gate
from standins.smtp.rules import lines_refusal
from standins.smtp.session import SmtpSession, reply_of
from standins.tls import Authority

DEFAULT_USER = "relay@example.com"
DEFAULT_PASSWORD = "standin-smtp-password"  # noqa: S105 (a made-up credential of a local stand-in)

_SEND_REFUSALS = {
    "send_as_denied": "554 5.2.252 SendAsDenied; the user is not allowed to send as this sender",
    "mailbox_full": "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException",
    "blocked": "550 5.1.8 Access denied, bad outbound sender",
}
_TOO_MANY = (
    "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information."
)


class SmtpStandIn(StandIn):
    """A stand-in for a smart host at `host` and `port`. Clients must trust `authority`, unless `tls` is `none`.

    `users` maps users to passwords, for AUTH PLAIN and LOGIN; an empty mapping requires no authentication. The
    same users may use XOAUTH2 with tokens of `issuer`. `senders` maps a user to the senders it may use;
    None allows all. Of one user's connections, only the first `max_connections` may send.
    `extensions`: those of 8BITMIME, SMTPUTF8 and PIPELINING that EHLO offers; `certificate_hosts`: the names in the
    certificate; `limits`: the rate limits.
    """

    name = "smtp"
    account_states = ("active", *REFUSALS, *_SEND_REFUSALS)

    def __init__(
        self,
        *,
        tls: Literal["starttls", "implicit", "none"] = "starttls",
        authority: Authority | None = None,
        certificate_hosts: Sequence[str] = (),
        issuer: TokenIssuer | None = None,
        users: Mapping[str, str] | None = None,
        senders: Mapping[str, Collection[str]] | None = None,
        extensions: Collection[str] = ("8BITMIME", "SMTPUTF8", "PIPELINING"),
        max_message_bytes: int = 35 * 1024 * 1024,
        max_connections: int | None = None,
        limits: Sequence[Limit] = (),
        clock: Clock = utc_now,
        port: int = 0,
    ) -> None:
        super().__init__(clock=clock, port=port)
        self.mode = tls
        self.authority = authority or Authority()
        self.tls_context = self.authority.server_context(*certificate_hosts)
        self.gate = Gate(
            {DEFAULT_USER: DEFAULT_PASSWORD} if users is None else users, issuer or TokenIssuer(clock=clock)
        )
        self.senders = None if senders is None else {user: {*map(str.lower, own)} for user, own in senders.items()}
        self.extensions = frozenset(extensions)
        self.max_message_bytes = max_message_bytes
        self.max_connections = max_connections
        self.rate_limiter = RateLimiter(limits)
        self.signed_in: dict[SmtpSession, str] = {}
        """The authenticated open connections with their users, in the order of their AUTH."""
        self.connections = 0
        """The number of connections so far."""
        self.host = "127.0.0.1" if tls == "none" else "localhost"
        self.port = 0
        self._server: asyncio.Server | None = None

    def routes(self) -> list[web.RouteDef]:
        return []

    async def start(self) -> None:
        host, port = self._bind
        self.control_url = await self.listen(self.control_routes(), host, 0)
        context = self.tls_context if self.mode == "implicit" else None
        self._server = await asyncio.get_running_loop().create_server(self._session, host, port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'smtps' if context else 'smtp'}://{self.host}:{self.port}"

    async def stop(self) -> None:
        await super().stop()
        if self._server is not None:
            self._server.close()
            self._server.abort_clients()
            await self._server.wait_closed()

    def _session(self) -> SmtpSession:
        self.connections += 1
        return SmtpSession(self)

    async def handle_EHLO(
        self, _server: SmtpSession, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        hidden = {"8BITMIME", "SMTPUTF8"} - self.extensions
        offered = [line for line in responses if line[4:] not in hidden]
        # aiosmtpd takes commands that come together, but does not say so.
        offered[1:1] = ["250-PIPELINING"] if "PIPELINING" in self.extensions else []
        return offered if self.gate.users else [line for line in offered if not line[4:].startswith("AUTH ")]

    async def handle_MAIL(
        self, _server: SmtpSession, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if "8BITMIME" not in self.extensions and "BODY=8BITMIME" in options:
            return "555 5.5.4 BODY=8BITMIME is not offered"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender OK"

    async def handle_RCPT(
        self, server: SmtpSession, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        fault = await server.next_fault("rcpt", [address])
        if fault is not None:
            self.inbox.refused[fault.status] += 1
            return reply_of(fault)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Recipient OK"

    async def handle_DATA(self, server: SmtpSession, _session: Session, envelope: Envelope) -> str:
        """Decide on a complete message, and apply the fault that DATA took from the script."""
        fault = server.fault
        if fault is not None and fault.act in (Act.RESPOND, Act.HANG, Act.SLOW):
            fault = await server.applied(fault)
            if fault is not None:
                self.inbox.refused[fault.status] += 1
                return reply_of(fault)
        refusal = self._refusal(server, envelope)
        if refusal:
            self.inbox.refused[int(refusal[:3])] += 1
            return refusal
        mail = self._mail(envelope)
        await self.inbox.add(mail)
        if fault is not None:
            return reply_of(await server.applied_after(fault))
        return f"250 2.0.0 OK: queued as {mail.id}"

    def _refusal(self, server: SmtpSession, envelope: Envelope) -> str:
        """Return the reply that refuses a message; empty if it is accepted."""
        user = self.signed_in.get(server, "")
        rivals = [session for session, name in self.signed_in.items() if name == user]
        if self.max_connections is not None and server in rivals[self.max_connections :]:
            return _TOO_MANY
        if self.account in _SEND_REFUSALS:
            return _SEND_REFUSALS[self.account]
        if self.senders is not None and (envelope.mail_from or "").lower() not in self.senders.get(user, ()):
            return _SEND_REFUSALS["send_as_denied"]
        return lines_refusal(envelope.original_content or b"", envelope.mail_options, is_utf8=bool(envelope.smtp_utf8))

    def _mail(self, envelope: Envelope) -> Mail:
        return read_mime(
            envelope.original_content or b"",
            mail_id=uuid4().hex[:12].upper(),
            accepted_at=self.clock(),
            envelope=tuple(envelope.rcpt_tos),
            envelope_sender=envelope.mail_from,
        )
