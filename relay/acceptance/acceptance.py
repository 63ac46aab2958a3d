"""Use case 1: store a message durably on the outbound queue, then confirm it.

Content that does not fit an entry is written to a blob first (`relay.acceptance.content_blobs`). Concurrent submissions share
a put (`relay.acceptance.group_commit`).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

import msgspec

from relay.acceptance.content_blobs import ContentBlobs
from relay.acceptance.group_commit import GroupCommit
from relay.clients.quotas import Quotas
from relay.clients.registry import Client
from relay.core import entries, ids
from relay.core.errors import Refusal, StorageError, Unavailable
from relay.core.model import Address, State, Submission
from relay.core.settings import DEFAULT_LANE, Settings
from relay.platform import concurrency
from relay.platform.log import log_event
from relay.platform.storage.ports import Blobs, Queues
from relay.platform.telemetry import OFF, Telemetry

RETRY_AFTER_SECONDS = 5
_CONCURRENT_BLOBS = 8


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A stored message: its public id, and `queued` or `scheduled`.

    `suppressed` maps the numbers of suppressed `recipients` to the reasons.
    """

    id: str
    state: State
    suppressed: Mapping[int, str] = {}
    recipients: tuple[Address, ...] = ()


class LaneGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The submissions of a request that use one lane."""

    lane: str
    submissions: Sequence[Submission]


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A request ready to be stored: the entry to put on a queue of `lane`, and the result for its caller."""

    lane: str
    entry: bytes
    accepted: tuple[Accepted, ...]


class Acceptance:
    """Accepts submissions that passed the policy."""

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
        self._contents = ContentBlobs(blobs, clock)
        self._telemetry = telemetry
        self._waiting_messages = 0
        self._waiting_bytes = 0
        self._commits: Mapping[str, GroupCommit] = {
            name: GroupCommit(queues, name, lane.queues(name), new_batch, self._contents.share)
            for name, lane in settings.lanes.items()
        }

    async def accept(self, client: Client, lane: str, submission: Submission) -> Accepted:
        """Store one message. Raises `Refusal`: 503 if storage is unavailable or too much waits, 429 beyond the client's quota."""
        try:
            with self._admitted(1, submission.size):
                await self._quotas.take_recipients(client, _recipients(submission))
                element = await self._contents.element(submission)
                name = await self._commits[lane].put(element, client.mac_key)
        except StorageError as error:
            raise unavailable(error) from error
        accepted = _accepted(name, submission)
        self._telemetry.accepted(lane, 1)
        _log_accepted(accepted, submission, client, lane)
        return accepted

    async def accept_together(
        self,
        client: Client,
        groups: Sequence[LaneGroup],
        batch: str,
        *,
        reserve: Callable[[Prepared], Awaitable[None]] | None = None,
    ) -> list[Accepted]:
        """Store all messages of a request with one write, or none of them.

        A request that needs several entries is written to a blob with all of them, and one entry refers to the blob
        (`relay.acceptance.fan_out`). The batch ids derive from `batch`. `reserve` receives the prepared request before
        anything is stored. Returns the messages in the order of the groups.
        """
        submissions = [submission for group in groups for submission in group.submissions]
        try:
            with self._admitted(len(submissions), sum(submission.size for submission in submissions)):
                await self._quotas.take_recipients(client, sum(map(_recipients, submissions)))
                prepared = await self._prepare(client, groups, batch)
                if reserve is not None:
                    await reserve(prepared)
                await self._commits[prepared.lane].put_entry(prepared.entry)
        except StorageError as error:
            raise unavailable(error) from error
        self._log(client, groups, prepared.accepted)
        return list(prepared.accepted)

    async def put_again(self, lane: str, entry: bytes) -> None:
        """Put the entry of a request that was prepared before. Raises `Refusal` if storage is unavailable.

        A second put is harmless: the journal recognizes a batch it has seen.
        """
        commit = self._commits.get(lane) or self._commits[DEFAULT_LANE]
        try:
            await commit.put_entry(entry)
        except StorageError as error:
            raise unavailable(error) from error

    async def _prepare(self, client: Client, groups: Sequence[LaneGroup], batch: str) -> Prepared:
        accepted: list[Accepted] = []
        bodies: list[bytes] = []
        for number, group in enumerate(groups):
            calls = [partial(self._contents.element, each) for each in group.submissions]
            elements = await concurrency.gather_limited(calls, limit=_CONCURRENT_BLOBS)
            name = batch if number == 0 else ids.derived_batch(batch, 0, -number)
            packed = self._commits[group.lane].pack(name, elements, client.mac_key)
            pairs = zip(packed.names, group.submissions, strict=True)
            accepted += [_accepted(name, submission) for name, submission in pairs]
            bodies += packed.entries
        lane = groups[0].lane
        return Prepared(lane=lane, entry=await self._as_one(bodies, lane), accepted=tuple(accepted))

    async def _as_one(self, bodies: Sequence[bytes], lane: str) -> bytes:
        if len(bodies) == 1:
            return bodies[0]
        return entries.encode_fan_out(await self._contents.put(b"\n".join(bodies)), lane)

    def _log(self, client: Client, groups: Sequence[LaneGroup], accepted: Sequence[Accepted]) -> None:
        for group in groups:
            self._telemetry.accepted(group.lane, len(group.submissions))
        pairs = ((group.lane, submission) for group in groups for submission in group.submissions)
        for (lane, submission), each in zip(pairs, accepted, strict=True):
            _log_accepted(each, submission, client, lane)

    def _admitted(self, messages: int, size: int) -> concurrency.Held:
        """Count messages and their bytes as waiting until they are stored. Raises `Refusal` beyond the limits of this instance.

        A single request is always admitted.
        """
        is_full = (
            self._waiting_messages + messages > self._settings.max_waiting_messages
            or self._waiting_bytes + size > self._settings.max_waiting_bytes
        )
        if is_full and self._waiting_messages:
            raise Refusal(
                503,
                "busy",
                "Too many submissions are waiting for storage on this instance. Retry after Retry-After.",
                headers={"Retry-After": "1"},
            )
        self._waiting_messages += messages
        self._waiting_bytes += size
        return concurrency.Held(partial(self._release, messages, size))

    def _release(self, messages: int, size: int) -> None:
        self._waiting_messages -= messages
        self._waiting_bytes -= size


def _recipients(submission: Submission) -> int:
    """Count the recipients that are not suppressed."""
    return 0 if submission.message is None else len(submission.message.recipients) - len(submission.suppressed)


def unavailable(error: StorageError) -> Refusal:
    """Return the refusal of a message that may be stored: the write may have succeeded and its response been lost."""
    seconds = error.retry_after_seconds if isinstance(error, Unavailable) else None
    log_event("storage_unavailable", error=type(error).__name__)
    return Refusal(
        503,
        "storage_unavailable",
        "Storage did not confirm the message, so it may or may not have been accepted. Repeat the request after "
        "Retry-After with the same Idempotency-Key; without a key, a retry may send the message twice.",
        headers={"Retry-After": str(max(1, round(seconds or RETRY_AFTER_SECONDS)))},
    )


def _accepted(name: str, submission: Submission) -> Accepted:
    state = State.SCHEDULED if submission.send_at else State.QUEUED
    if not submission.suppressed or submission.message is None:
        return Accepted(id=name, state=state)
    return Accepted(id=name, state=state, suppressed=submission.suppressed, recipients=submission.message.recipients)


def _log_accepted(accepted: Accepted, submission: Submission, client: Client, lane: str) -> None:
    log_event("accepted", message=accepted.id, client=client.name, lane=lane, bytes=submission.size)
    if accepted.suppressed:
        count = len(accepted.suppressed)
        log_event("recipients_suppressed", message=accepted.id, client=client.name, recipients=count)
