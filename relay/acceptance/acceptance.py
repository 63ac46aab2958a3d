"""Use case 1: make a message durable on the outbound queue, then say so.

Content that does not fit an entry goes into a blob first (claim check). The put itself is shared
(`relay.acceptance.group_commit`).
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial

import msgspec

from relay.acceptance.group_commit import GroupCommit
from relay.clients.quotas import Quotas
from relay.clients.registry import Client
from relay.core import entries as wire
from relay.core import ids
from relay.core.errors import Refusal, StorageError, Unavailable
from relay.core.model import Address, Message, State, Submission
from relay.core.settings import Settings
from relay.platform import concurrency
from relay.platform.log import log_event
from relay.platform.resources import CONTENT_CONTAINER
from relay.platform.storage.ports import Blobs, Queues
from relay.platform.telemetry import OFF, Telemetry

RETRY_AFTER_SECONDS = 5
_BLOBS_AT_ONCE = 8


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is durable now: its public name, and `queued` or `scheduled`.

    `suppressed` are the numbers of those of its `recipients` that are not sent to, with the reasons.
    """

    id: str
    state: State
    suppressed: Mapping[int, str] = {}
    recipients: tuple[Address, ...] = ()


class Acceptance:
    """Accepts submissions that policy has passed."""

    def __init__(
        self,
        *,
        settings: Settings,
        queues: Queues,
        blobs: Blobs,
        quotas: Quotas,
        clock: Callable[[], datetime],
        new_batch: Callable[[], str] = ids.new_batch_id,
        telemetry: Telemetry = OFF,
    ) -> None:
        self._settings = settings
        self._quotas = quotas
        self._blobs = blobs
        self._clock = clock
        self._telemetry = telemetry
        self._held_messages = 0
        self._held_bytes = 0
        self._commits: Mapping[str, GroupCommit] = {
            name: GroupCommit(queues, name, lane.queues(name), new_batch) for name, lane in settings.lanes.items()
        }

    async def accept(self, client: Client, lane: str, submission: Submission) -> Accepted:
        """Make one message durable. Raises `Refusal`: 503 when storage is away or too much waits, 429 beyond its allowance."""
        try:
            with self._room([submission]):
                await self._quotas.take(client, 1)
                encoded = await self._encode(submission)
                name = await self._commits[lane].put(encoded, client.mac_key)
        except StorageError as error:
            raise unavailable(error) from error
        self._telemetry.accepted(lane, 1)
        return _accepted(name, submission, client, lane)

    async def accept_as(
        self, client: Client, lane: str, submissions: Sequence[Submission], batch: str
    ) -> list[Accepted]:
        """Make messages durable under a batch id chosen before, so that the same call again changes nothing."""
        try:
            with self._room(submissions):
                await self._quotas.take(client, len(submissions))
                encoded = [await self._encode(submission) for submission in submissions]
                names = await self._commits[lane].put_alone(batch, encoded, client.mac_key)
        except StorageError as error:
            raise unavailable(error) from error
        self._telemetry.accepted(lane, len(submissions))
        pairs = zip(names, submissions, strict=True)
        return [_accepted(name, submission, client, lane) for name, submission in pairs]

    async def accept_together(
        self,
        client: Client,
        lane: str,
        submissions: Sequence[Submission],
        batch: str,
        *,
        before: Callable[[Sequence[str]], Awaitable[None]] | None = None,
    ) -> list[Accepted]:
        """Like `accept_as`, but with one write that makes all of them durable, or none, however many there are.

        What does not fit one entry goes into a blob as the entries it will become, and one entry is put that names it
        (`relay.acceptance.fan_out`). `before` is told the ids when all is prepared and nothing is durable yet.
        """
        try:
            with self._room(submissions):
                await self._quotas.take(client, len(submissions))
                encoded = await concurrency.gather_limited(
                    (partial(self._encode, each) for each in submissions), most=_BLOBS_AT_ONCE
                )
                packed = self._commits[lane].pack(batch, encoded, client.mac_key)
                if before is not None:
                    await before(packed.names)
                await self._commits[lane].put_entry(await self._as_one(packed.entries, lane))
        except StorageError as error:
            raise unavailable(error) from error
        self._telemetry.accepted(lane, len(submissions))
        pairs = zip(packed.names, submissions, strict=True)
        return [_accepted(name, submission, client, lane) for name, submission in pairs]

    async def _as_one(self, entries: Sequence[bytes], lane: str) -> bytes:
        if len(entries) == 1:
            return entries[0]
        blob = self._new_blob()
        await self._blobs.put(CONTENT_CONTAINER, blob, b"\n".join(entries))
        return wire.encode_fan_out(blob, lane)

    def _new_blob(self) -> str:
        return f"{self._clock():%Y%m%d}/{ids.new_batch_id()}"

    async def _encode(self, submission: Submission) -> bytes:
        encoded = wire.encode_submission(submission)
        if wire.weight(encoded) <= wire.MAX_INLINE_BYTES or submission.message is None:
            return encoded
        blob = self._new_blob()
        await self._blobs.put(CONTENT_CONTAINER, blob, wire.encode_message(submission.message))
        claimed = msgspec.structs.replace(submission, blob=blob, message=_envelope(submission.message))
        encoded = wire.encode_submission(claimed)
        if wire.weight(encoded) > wire.MAX_INLINE_BYTES:
            encoded = wire.encode_submission(msgspec.structs.replace(claimed, message=None))
        return encoded

    @contextmanager
    def _room(self, submissions: Sequence[Submission]) -> Iterator[None]:
        """Room for these until storage has them. Raises `Refusal`; one request alone always finds room."""
        messages, size = len(submissions), sum(submission.size for submission in submissions)
        is_full = (
            self._held_messages + messages > self._settings.max_waiting_messages
            or self._held_bytes + size > self._settings.max_waiting_bytes
        )
        if is_full and self._held_messages:
            raise Refusal(
                503,
                "busy",
                "This instance holds as many submissions as it may until storage has taken them. Repeat the request.",
                headers={"Retry-After": "1"},
            )
        self._held_messages += messages
        self._held_bytes += size
        try:
            yield
        finally:
            self._held_messages -= messages
            self._held_bytes -= size


def unavailable(error: StorageError) -> Refusal:
    """The answer to a caller whose message could not be stored."""
    seconds = error.retry_after_seconds if isinstance(error, Unavailable) else None
    log_event("storage_unavailable", error=type(error).__name__)
    return Refusal(
        503,
        "storage_unavailable",
        "The message could not be stored, so it was not accepted. Repeat the request after Retry-After.",
        headers={"Retry-After": str(max(1, round(seconds or RETRY_AFTER_SECONDS)))},
    )


def _envelope(message: Message) -> Message:
    """What an entry keeps of a message whose content lies in a blob: who it is from and to, and its subject."""
    return Message(
        sender=message.sender,
        to=message.to,
        cc=message.cc,
        bcc=message.bcc,
        subject=message.subject,
        tags=message.tags,
        metadata=message.metadata,
        return_path=message.return_path,
    )


def _accepted(name: str, submission: Submission, client: Client, lane: str) -> Accepted:
    log_event("accepted", message=name, client=client.name, lane=lane, bytes=submission.size)
    state = State.SCHEDULED if submission.send_at else State.QUEUED
    if not submission.suppressed or submission.message is None:
        return Accepted(id=name, state=state)
    log_event("recipients_suppressed", message=name, client=client.name, recipients=len(submission.suppressed))
    return Accepted(id=name, state=state, suppressed=submission.suppressed, recipients=submission.message.recipients)
