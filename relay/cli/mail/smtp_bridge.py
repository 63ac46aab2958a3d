"""`relay smtp-bridge`: listens for SMTP on this machine and posts what it gets to a relay.

For applications that can speak nothing else. It keeps nothing: 250 is said only after the relay's 202.
"""

import asyncio
import hashlib
import ipaddress
import signal
import uuid
from collections.abc import Callable
from typing import Annotated, Any

import typer

from relay.cli.mail.raw_mail import MAX_RECIPIENTS_BYTES, Meaning, meaning, post
from relay.cli.output import remote_of, told
from relay.cli.remote import Remote, RemoteError
from relay.mime import raw
from relay.mime.fields import clean

MAX_MESSAGE_BYTES = 31_457_280
MAX_LINE_BYTES = 1_000_000
"""Of a message's line. RFC 5321 has 1,000; applications that write html in one line are met here first."""
MAX_UNSETTLED = 1_000
IDLE_SECONDS = 600.0
"""How long a client may be silent, and the relay may take; RFC 5321 section 4.5.3.2 lets clients wait as long."""
MAX_REPLY = 400
REPLIES = {
    Meaning.LATER: "451 4.3.0",
    Meaning.BROKEN: "451 4.3.5",  # a wrong key is this bridge's fault, and must cost no mail
    Meaning.FORBIDDEN: "550 5.7.1",
    Meaning.NO_RECIPIENT: "550 5.1.3",
    Meaning.TOO_LARGE: "552 5.3.4",
    Meaning.WRONG: "554 5.6.0",
}
"""RFC 5321 section 4.2, RFC 3463."""


class Bridge:
    """What aiosmtpd asks. A transaction is one call to the relay, with one key however often it is repeated."""

    def __init__(self, remote: Remote, *, passes_sender: bool, tell: Callable[[str], None]) -> None:
        self._remote = remote
        self._passes_sender = passes_sender
        self._tell = tell
        self._unsettled: dict[str, list[str]] = {}
        self._posting: set[asyncio.Future[Any]] = set()

    async def handle_MAIL(  # noqa: N802 (aiosmtpd finds hooks by these names)
        self, _server: Any, _session: Any, envelope: Any, address: str | None, mail_options: list[str]
    ) -> str:
        """MAIL FROM: whatever it is, an empty one too; whether it can be passed on, the relay decides."""
        envelope.mail_from = address or ""
        envelope.mail_options.extend(mail_options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802 (as above)
        self, _server: Any, _session: Any, envelope: Any, address: str, rcpt_options: list[str]
    ) -> str:
        """RCPT TO: as many as one call can name; the client sends the others in another transaction."""
        if sum(len(each.encode()) + 1 for each in [*envelope.rcpt_tos, address]) > MAX_RECIPIENTS_BYTES:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 (as above)
        """The reply to a whole message: 250 only when it is durable."""
        sender = envelope.mail_from if self._passes_sender else None
        mail: bytes = envelope.content
        digest = _digest(sender, envelope.rcpt_tos, mail)
        key = self._key(digest, mail)
        posting = asyncio.ensure_future(
            asyncio.to_thread(post, self._remote, mail, sender=sender, recipients=envelope.rcpt_tos, key=key)
        )
        self._posting.add(posting)
        try:
            answer = await posting
        except RemoteError as error:
            found = meaning(error)
            if found is Meaning.LATER:
                self._remember(digest, key)
            self._tell(f"not accepted: {found.value}")
            return _reply(REPLIES[found], error)
        finally:
            self._posting.discard(posting)
        self._tell(f"accepted {answer['id']}")
        return f"250 2.0.0 Accepted as {answer['id']}"

    async def handle_exception(self, error: Exception) -> str:
        """A fault of the bridge is not the mail's: the client tries again."""
        self._tell(f"failed: {type(error).__name__}")
        return "451 4.3.0 The bridge failed on this; try again"

    async def finish(self) -> None:
        """Wait for the calls under way."""
        await asyncio.gather(*self._posting, return_exceptions=True)

    def _key(self, digest: str, mail: bytes) -> str:
        """The key of a transaction: the same when a client repeats it after an answer was lost.

        With a Message-ID the same message is the same mail. Without one two equal messages may be two mails, so only a
        repetition of what was answered with 451 has its key again.
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


@told
def smtp_bridge(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)] = 2525,
    allow_other_hosts: Annotated[
        bool,
        typer.Option(
            "--allow-other-hosts", help="Listen on an address that others reach: whoever does sends in your name."
        ),
    ] = False,
    ignore_mail_from: Annotated[
        bool,
        typer.Option(
            "--ignore-mail-from", help="Disregard MAIL FROM: bounces go to From. For routes without a return path."
        ),
    ] = False,
    max_bytes: Annotated[int, typer.Option(help="The largest message.", min=1_000)] = MAX_MESSAGE_BYTES,
) -> None:
    """Listen for SMTP on this machine, and post each message to the relay.

    Says 250 only after the relay accepted; 4xx when it is away or busy, so that the application tries again; 5xx with
    the reason when it refuses. There is no password: whoever reaches the port may send what the key may send.

    Example: relay smtp-bridge --port 2525
    """
    if not is_loopback(host) and not allow_other_hosts:
        raise RemoteError(
            f"{host} is reached by others, and anybody who reaches the bridge sends with your key. "
            "If a firewall sees to that, give --allow-other-hosts.",
            exit_code=2,
        )
    bridge = Bridge(remote_of(context), passes_sender=not ignore_mail_from, tell=typer.echo)
    try:
        asyncio.run(serve(bridge, host, port, max_bytes))
    except OSError as error:
        raise RemoteError(f"{host}:{port} cannot be listened on: {error.strerror}.", exit_code=1) from error
    except KeyboardInterrupt:
        return


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


async def serve(bridge: Bridge, host: str, port: int, max_bytes: int) -> None:
    """Listen until SIGTERM or SIGINT; then take no more, and finish what is under way. Raises `OSError`."""
    from aiosmtpd.smtp import SMTP

    class Smtp(SMTP):
        line_length_limit = MAX_LINE_BYTES

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

    server = await loop.create_server(session, host, port)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stopping.set)
        except NotImplementedError:  # Windows: Ctrl+C arrives as KeyboardInterrupt
            break
    at = server.sockets[0].getsockname()
    typer.echo(f"Listening on {at[0]}:{at[1]}")
    await stopping.wait()
    server.close()
    await bridge.finish()
    server.close_clients()


def _digest(sender: str | None, recipients: list[str], mail: bytes) -> str:
    digest = hashlib.sha256()
    for part in (sender or "", *sorted(recipients)):
        digest.update(part.encode() + b"\n")
    digest.update(b"\n" + mail)
    return digest.hexdigest()


def _reply(status: str, error: RemoteError) -> str:
    """One line of ASCII, short enough for SMTP; the relay's texts repeat no address."""
    words = "; ".join(line.strip() for line in str(error).splitlines())
    return f"{status} {clean(words.encode('ascii', 'replace').decode())[:MAX_REPLY]}"
