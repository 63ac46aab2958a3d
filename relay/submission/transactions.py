"""Reply to MAIL, RCPT and the message as the relay would decide. Each message is one call to the relay."""

import hashlib
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec

from relay.acceptance.policy import may_send_from, may_send_to
from relay.api.reading.addresses import email_address
from relay.mime import raw
from relay.mime.fields import clean
from relay.platform.concurrency import run_sized
from relay.submission.envelope import envelope_of, fits
from relay.submission.header import complete, qualify
from relay.submission.logins import Login
from relay.submission.refusals import RefusalKind
from relay.submission.relay_api import Accepted, Refused, RelayApi
from relay.submission.settings import Settings

MAX_REPEATABLE = 1_000
"""Messages without a Message-ID that keep their idempotency key because they got 451."""
MAX_REPLY = 400
REPLIES = {
    RefusalKind.RETRY: "451 4.3.0",
    RefusalKind.NO_ACCESS: "451 4.3.5",  # a key was removed or a setting is wrong: the client must keep the message
    RefusalKind.FORBIDDEN: "550 5.7.1",
    RefusalKind.BAD_RECIPIENT: "550 5.1.3",
    RefusalKind.TOO_LARGE: "552 5.3.4",
    RefusalKind.INVALID: "554 5.6.0",
}
"""Reply codes: RFC 5321 section 4.2, RFC 3463."""


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A message with its envelope. An empty sender is `<>`."""

    login: Login
    sender: str
    recipients: Sequence[str]
    content: bytes


class Transactions:
    """Replies to MAIL, RCPT and the end of a message. A repeated message has the same idempotency key."""

    def __init__(
        self,
        api: RelayApi,
        settings: Settings,
        *,
        clock: Callable[[], datetime],
        report: Callable[[str], None],
    ) -> None:
        self._api = api
        self._settings = settings
        self._clock = clock
        self._report = report
        self._repeatable: dict[str, list[str]] = {}
        self._busy_until: dict[str, datetime] = {}

    def sender(self, login: Login, address: str, size: int) -> tuple[str, str]:
        """Return the sender, `<>` for none, and the reply to MAIL. The relay decides whether a route can carry it.

        `size` is what the client announces (SIZE), 0 if it announces nothing.
        """
        sender = qualify(address.removeprefix("<>"), self._settings.domain)
        policy = login.policy
        if (wait := (self._busy_until.get(login.name, self._clock()) - self._clock()).total_seconds()) > 0:
            return sender, f"451 4.7.1 Rate limit of this client; retry in {wait:.0f} seconds"
        if policy is not None and policy.max_bytes is not None and size > policy.max_bytes:
            return sender, f"552 5.3.4 Message too large (limit {policy.max_bytes} bytes, policy: max_bytes)"
        if self._settings.passes_sender and sender:
            if problem := address_problem(sender):
                return sender, f"553 5.1.7 {problem}"
            if policy is not None and not may_send_from(policy, sender):
                return sender, "550 5.7.1 This client may not use this return path (policy: senders)"
        return sender or "<>", "250 2.1.0 OK"

    def recipient(self, login: Login, sender: str, recipients: Sequence[str], address: str) -> tuple[str, str]:
        """Return the recipient and the reply to RCPT; as many fit as one call can carry, the client sends the others later.

        One that the relay would refuse is refused here, since a reply to DATA concerns every recipient (RFC 5321 section 3.3).
        """
        address = qualify(address, self._settings.domain)
        if problem := address_problem(address):
            return address, f"553 5.1.3 {problem}"
        if login.policy is not None and not may_send_to(login.policy, address):
            return address, "550 5.7.1 This client may not send to this recipient (policy: recipients)"
        wanted = [*recipients, address]
        if len(wanted) > self._settings.limits.recipients or not fits(self._return_path(sender), wanted):
            return address, "452 4.5.3 Too many recipients"
        return address, "250 2.1.5 OK"

    async def finish(self, transaction: Transaction) -> str:
        """Post the message to the relay. Replies 250 only when it is stored durably."""
        mail = await run_sized(partial(self._completed, transaction), len(transaction.content))
        sender = self._return_path(transaction.sender)
        digest = _digest(sender, transaction.recipients, mail) if self._settings.has_keys else ""
        once = self._key(digest, mail)
        # In one order, as in the digest: a key belongs to one request.
        envelope = envelope_of(sender, sorted(transaction.recipients))
        result = await self._api.send(transaction.login.key, mail, envelope, once=once)
        if isinstance(result, Accepted):
            self._report(f"accepted {result.id}{_of(transaction.login)}")
            return f"250 2.0.0 Accepted as {result.id}"
        self._report(f"not accepted: {result.kind.value}{_of(transaction.login)}")
        self._note(transaction.login, result)
        if result.kind is RefusalKind.RETRY and once:
            self._remember(digest, once)
        return _reply(REPLIES[result.kind], result.text)

    def failed(self, error: Exception) -> str:
        """Return the reply after an error of the server itself, so that the client retries the message."""
        self._report(f"failed: {type(error).__name__}")
        return "451 4.3.0 Internal error; retry later"

    def _return_path(self, sender: str) -> str | None:
        return sender.removeprefix("<>") if self._settings.passes_sender else None

    def _completed(self, transaction: Transaction) -> bytes:
        """Add a missing From, from MAIL FROM as Postfix does for its own clients, and missing domains."""
        head, body = raw.split(transaction.content)
        fields = raw.fields_of(head)
        author = transaction.sender.removeprefix("<>")
        completed = complete(fields, author=author, name="", domain=self._settings.domain)
        if completed == fields:
            return transaction.content
        return b"".join([*(field.line for field in completed), b"\r\n", body])

    def _key(self, digest: str, mail: bytes) -> str:
        """Return the idempotency key of a message: the same one if a client repeats it after a lost reply.

        A Message-ID identifies the message. Without one, two equal messages may be two mails, so only a message that got
        451 keeps its key when the client repeats it.
        """
        if not digest:
            return ""
        if raw.message_id(mail):
            return f"smtp-{digest}"
        keys = self._repeatable.get(digest)
        if not keys:
            return str(uuid.uuid4())
        key = keys.pop()
        if not keys:
            del self._repeatable[digest]
        return key

    def _remember(self, digest: str, key: str) -> None:
        self._repeatable.setdefault(digest, []).append(key)
        if len(self._repeatable) > MAX_REPEATABLE:
            del self._repeatable[next(iter(self._repeatable))]

    def _note(self, login: Login, refused: Refused) -> None:
        """Remember when the relay takes messages of this client again, so that MAIL is refused until then."""
        if refused.code == "too_many_requests" and login.name and refused.retry_after:
            self._busy_until[login.name] = self._clock() + timedelta(seconds=refused.retry_after)


def address_problem(address: str) -> str:
    """Return why the relay would refuse an address, in ASCII; empty if it would not."""
    try:
        email_address(address)
    except ValueError as error:
        return clean(str(error).encode("ascii", "replace").decode())
    return ""


def _digest(sender: str | None, recipients: Sequence[str], mail: bytes) -> str:
    digest = hashlib.sha256()
    for part in (sender or "", *sorted(recipients)):
        digest.update(part.encode() + b"\n")
    digest.update(b"\n" + mail)
    return digest.hexdigest()


def _of(login: Login) -> str:
    return f" of {login.name}" if login.name else ""


def _reply(status: str, text: str) -> str:
    """Format a refusal as one line of ASCII, short enough for SMTP. The relay's error texts contain no addresses."""
    return f"{status} {clean(text.encode('ascii', 'replace').decode())[:MAX_REPLY]}"
