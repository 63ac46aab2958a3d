"""`relay smtp-bridge`: listen for SMTP on this machine, and post each message to a relay.

For applications that can only send by SMTP. The bridge stores nothing: it replies 250 only after the relay's 202.
"""

import asyncio
import hashlib
import ipaddress
import re
import uuid
from collections.abc import Callable
from typing import Annotated, Any

import typer

from relay.api.reading.addresses import email_address
from relay.cli.mail.header import complete, qualify
from relay.cli.mail.raw_mail import RefusalKind, fits, post, refusal_kind
from relay.cli.mail.stopping import stopped_by_signals
from relay.cli.output import remote_of, reports_errors
from relay.cli.remote import Remote, RemoteError
from relay.mime import raw
from relay.mime.fields import clean

MAX_MESSAGE_BYTES = 31_457_280
MAX_LINE_BYTES = 1_000_000
"""The longest line of a message. RFC 5321 allows 1,000, but applications write HTML on one line."""
MAX_UNSETTLED = 1_000
IDLE_SECONDS = 600.0
"""How long a client may be silent, and a call to the relay may take. Clients wait that long: RFC 5321 section 4.5.3.2."""
MAX_REPLY = 400
REPLIES = {
    RefusalKind.RETRY: "451 4.3.0",
    RefusalKind.NO_ACCESS: "451 4.3.5",  # the bridge's configuration is wrong: the client must keep the message
    RefusalKind.FORBIDDEN: "550 5.7.1",
    RefusalKind.BAD_RECIPIENT: "550 5.1.3",
    RefusalKind.TOO_LARGE: "552 5.3.4",
    RefusalKind.INVALID: "554 5.6.0",
}
"""Reply codes: RFC 5321 section 4.2, RFC 3463."""


_PATH = re.compile(
    r"""\s*(?:<(?:@[^<>:"]*:)?((?:"(?:[^"\\]|\\.)*"|[^<>"\s])*)>|((?:"(?:[^"\\]|\\.)*"|[^<>"\s])+))(?:\s+(.*))?\s*""",
    re.DOTALL,
)
"""A path with or without its brackets, a source route (which is ignored), and parameters."""


class Bridge:
    """Handles aiosmtpd's hooks. A transaction is one call to the relay; a repeated one uses the same idempotency key."""

    def __init__(self, remote: Remote, *, passes_sender: bool, report: Callable[[str], None], domain: str = "") -> None:
        self._remote = remote
        self._domain = domain
        self._passes_sender = passes_sender
        self._report = report
        self._unsettled: dict[str, list[str]] = {}
        self._posting: set[asyncio.Future[Any]] = set()

    async def handle_MAIL(  # noqa: N802 (aiosmtpd finds hooks by these names)
        self, _server: Any, _session: Any, envelope: Any, address: str | None, mail_options: list[str]
    ) -> str:
        """Accept any valid MAIL FROM, also an empty one; the relay decides whether a route can carry it."""
        sender = qualify((address or "").removeprefix("<>"), self._domain)
        if self._passes_sender and sender and (problem := _address_problem(sender)):
            return f"553 5.1.7 {problem}"
        # aiosmtpd takes an empty text for a missing command.
        envelope.mail_from = sender or "<>"
        envelope.mail_options.extend(mail_options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802 (as above)
        self, _server: Any, _session: Any, envelope: Any, address: str, rcpt_options: list[str]
    ) -> str:
        """Accept each valid RCPT TO, as many as fit in one call; the client sends the others in another transaction.

        One that the relay would refuse is refused here, since a reply to DATA concerns every recipient (RFC 5321 section 3.3).
        """
        address = qualify(address, self._domain)
        if problem := _address_problem(address):
            return f"553 5.1.3 {problem}"
        if not fits(envelope.mail_from if self._passes_sender else None, [*envelope.rcpt_tos, address]):
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 (as above)
        """Post the message to the relay. Replies 250 only when it is stored durably."""
        sender = envelope.mail_from if self._passes_sender else None
        mail = self._completed(envelope.content, envelope.mail_from.removeprefix("<>"))
        digest = _digest(sender, envelope.rcpt_tos, mail)
        key = self._key(digest, mail)
        posting = asyncio.ensure_future(
            asyncio.to_thread(post, self._remote, mail, sender=sender, recipients=envelope.rcpt_tos, key=key)
        )
        self._posting.add(posting)
        try:
            accepted = await posting
        except RemoteError as error:
            kind = refusal_kind(error)
            if kind is RefusalKind.RETRY:
                self._remember(digest, key)
            self._report(f"not accepted: {kind.value}")
            return _reply(REPLIES[kind], error)
        finally:
            self._posting.discard(posting)
        self._report(f"accepted {accepted['id']}")
        return f"250 2.0.0 Accepted as {accepted['id']}"

    async def handle_exception(self, error: Exception) -> str:
        """Reply 451 to an error of the bridge itself, so that the client retries the message."""
        self._report(f"failed: {type(error).__name__}")
        return "451 4.3.0 Internal error of the bridge; retry later"

    async def finish(self) -> None:
        """Wait until running calls have ended."""
        await asyncio.gather(*self._posting, return_exceptions=True)

    def _completed(self, content: bytes, sender: str) -> bytes:
        """Add a missing From, from MAIL FROM as Postfix does for its own clients, and missing domains."""
        head, body = raw.split(content)
        fields = raw.fields_of(head)
        completed = complete(fields, author=sender, name="", domain=self._domain)
        if completed == fields:
            return content
        return b"".join([*(field.line for field in completed), b"\r\n", body])

    def _key(self, digest: str, mail: bytes) -> str:
        """Return the idempotency key of a transaction: the same one if a client repeats it after a lost reply.

        A Message-ID identifies the message. Without one, two equal messages may be two mails, so only a message that got
        451 keeps its key when the client repeats it.
        """
        if raw.message_id(mail):
            return f"smtp-{digest}"
        keys = self._unsettled.get(digest)
        if not keys:
            return str(uuid.uuid4())
        key = keys.pop()
        if not keys:
            del self._unsettled[digest]
        return key

    def _remember(self, digest: str, key: str) -> None:
        self._unsettled.setdefault(digest, []).append(key)
        if len(self._unsettled) > MAX_UNSETTLED:
            del self._unsettled[next(iter(self._unsettled))]


@reports_errors
def smtp_bridge(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 picks a free one.", min=0, max=65535)] = 2525,
    allow_other_hosts: Annotated[
        bool,
        typer.Option(
            "--allow-other-hosts", help="Allow a non-loopback address: any host that reaches it sends with your key."
        ),
    ] = False,
    ignore_mail_from: Annotated[
        bool,
        typer.Option(
            "--ignore-mail-from", help="Ignore MAIL FROM: bounces go to From. For routes without a return path."
        ),
    ] = False,
    domain: Annotated[
        str,
        typer.Option(
            "--domain", envvar="RELAY_MAIL_DOMAIN", help="The domain to add to addresses and hosts without one."
        ),
    ] = "",
    max_bytes: Annotated[
        int, typer.Option(help="The maximum size of a message, in bytes.", min=1_000)
    ] = MAX_MESSAGE_BYTES,
) -> None:
    """Listen for SMTP on this machine, and post each message to the relay.

    Replies 250 only after the relay accepted the message; 4xx if the relay is unreachable or busy, so that the application
    retries; 5xx with the reason if the relay refuses. There is no password: any program that reaches the port can send
    with the relay key.

    Example: relay smtp-bridge --port 2525
    """
    if not is_loopback(host) and not allow_other_hosts:
        raise RemoteError(
            f"{host} is not a loopback address: any host that reaches it could send with your key. "
            "If a firewall prevents that, give --allow-other-hosts.",
            exit_code=2,
        )
    bridge = Bridge(remote_of(context), passes_sender=not ignore_mail_from, report=typer.echo, domain=domain)
    try:
        asyncio.run(serve(bridge, host, port, max_bytes))
    except OSError as error:
        raise RemoteError(f"Cannot listen on {host}:{port}: {error.strerror}.", exit_code=1) from error
    except KeyboardInterrupt:
        return


def is_loopback(host: str) -> bool:
    """Return whether a host is a loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


async def serve(bridge: Bridge, host: str, port: int, max_bytes: int) -> None:
    """Listen until SIGTERM or SIGINT, then close the port and finish running calls. Raises `OSError`."""
    server = await listen(bridge, host, port, max_bytes)
    stopping = stopped_by_signals()
    at = server.sockets[0].getsockname()
    typer.echo(f"Listening on {at[0]}:{at[1]}")
    await stopping.wait()
    server.close()
    await bridge.finish()
    server.close_clients()


async def listen(bridge: Bridge, host: str, port: int, max_bytes: int) -> asyncio.Server:
    """Listen for SMTP. Raises `OSError`."""
    from aiosmtpd.smtp import SMTP

    class Smtp(SMTP):
        line_length_limit = MAX_LINE_BYTES

        async def smtp_HELO(self, hostname: str) -> None:  # noqa: N802 (aiosmtpd finds commands by these names)
            """Accept a greeting without a name, as many servers do."""
            await super().smtp_HELO(hostname or "unknown")

        async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802 (as above)
            """Accept a greeting without a name, as many servers do."""
            await super().smtp_EHLO(hostname or "unknown")

        def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
            """Keep the quotes of a local part, and the dots of carriers' addresses, which the library refuses."""
            return read_path(arg)

    loop = asyncio.get_running_loop()

    def session() -> Smtp:
        return Smtp(
            bridge,
            data_size_limit=max_bytes,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="Relay",
            timeout=IDLE_SECONDS,
            loop=loop,
        )

    return await loop.create_server(session, host, port)


def read_path(text: str) -> tuple[str | None, str | None]:
    """Split the argument of MAIL or RCPT into the address and its parameters (RFC 5321 section 4.1.2); None if it is no path.

    The empty path keeps its brackets, as aiosmtpd expects.
    """
    path = _PATH.fullmatch(text)
    if path is None:
        return (None, None) if text else ("", "")
    return path[1] or path[2] or "<>", path[3] or ""


def _address_problem(address: str) -> str:
    """Return why the relay would refuse an address, in ASCII; empty if it would not."""
    try:
        email_address(address)
    except ValueError as error:
        return clean(str(error).encode("ascii", "replace").decode())
    return ""


def _digest(sender: str | None, recipients: list[str], mail: bytes) -> str:
    digest = hashlib.sha256()
    for part in (sender or "", *sorted(recipients)):
        digest.update(part.encode() + b"\n")
    digest.update(b"\n" + mail)
    return digest.hexdigest()


def _reply(status: str, error: RemoteError) -> str:
    """Format an error as one line of ASCII, short enough for SMTP. The relay's error texts contain no addresses."""
    words = "; ".join(line.strip() for line in str(error).splitlines())
    return f"{status} {clean(words.encode('ascii', 'replace').decode())[:MAX_REPLY]}"
