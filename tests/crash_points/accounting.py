"""The accounting of a trial: responses to callers, records of the journal, and mail the providers accepted.

    accepted = sent + failed + expired + cancelled + unknown + waiting, and nothing else

and for every recipient at most as many copies as the delivery guarantee allows.
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set

import msgspec

from relay.core import entries as wire
from relay.core.errors import NotFound
from relay.core.model import DEAD, FINAL, DeliveryGuarantee, Message, MessageStatus, Part, State, Submission
from relay.core.parts import part_history
from relay.core.stored_content import decode_content
from relay.journal.pending import rows_of
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.platform.resources import CONTENT_CONTAINER, EVENTS_QUEUE
from relay.platform.storage.memory.memory_storage import MemoryStorage
from relay.platform.storage.ports import Entity
from tests.crash_points.caller import TrackedSubmission
from tests.crash_points.providers import Acceptance, Ledger
from tests.crash_points.world import MAIN_QUEUE, POISON_QUEUE


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One message: its submission, its record, and the acceptances by providers."""

    id: str
    batch: str
    lane: str
    index: int
    submission: Submission
    message: Message
    status: MessageStatus
    taken: tuple[Acceptance, ...]

    @property
    def label(self) -> str:
        """The subject, which is the caller's name for the message."""
        return self.message.subject

    @property
    def recorded(self) -> Set[str]:
        """The providers' ids of the acceptances in the journal."""
        return recorded_in(self.status)


def accepted_attempts(status: MessageStatus) -> Set[int]:
    """Return the attempts that a later report proved to be accepted: it names no id of the provider's."""
    attempts = (attempt for part in status.parts for attempt in part.attempts)
    return {each.verified for each in attempts if each.outcome == "sent" and each.verified and each.provider_id is None}


def recorded_in(status: MessageStatus) -> Set[str]:
    """Return the providers' ids of the acceptances in a status."""
    known = {part.provider_id for part in status.parts if part.state is State.SENT}
    known |= {a.provider_id for part in status.parts for a in part.attempts if a.outcome == "sent"}
    return {name for name in known if name is not None}


class Accounting:
    """Reads the journal. Keeps the lines of a record until the record or the acceptances change."""

    def __init__(self, journal: Journal, memory: MemoryStorage, ledger: Ledger, history: Sequence[bytes]) -> None:
        """`history` holds all entries ever queued: the content of erased messages is taken from there."""
        self._journal = journal
        self._memory = memory
        self._ledger = ledger
        self._history = history
        self._known: dict[str, tuple[tuple[str, int], Sequence[Line]]] = {}

    async def read(self) -> list[Line]:
        """Read every recorded message."""
        lines: list[Line] = []
        for row in self._memory.tables.rows("journal"):
            if row.row == "batch":
                lines += await self._record(row)
        return lines

    async def _record(self, row: Entity) -> Sequence[Line]:
        # An ETag is never given twice.
        version = row.etag, self._ledger.version
        known, lines = self._known.get(row.partition, (None, ()))
        if known != version:
            lines = await self._lines(row.partition.partition("-")[2])
            self._known[row.partition] = version, lines
        for line in lines:
            if line.submission.message is None:
                # Raises when the blob is gone, whatever the record says.
                await self._memory.blobs.get(CONTENT_CONTAINER, str(line.submission.blob))
        return lines

    async def _lines(self, batch: str) -> Sequence[Line]:
        try:
            record = await self._journal.read(batch)
        except NotFound:
            # Withdrawn while its entry lies on the queue: no record yet.
            return ()
        entry = record.entry()
        whole = _accepted(batch, self._history) if any(status.erased for status in record.statuses) else entry
        return [
            await self._line(record, index, record.message_id(index, entry), submission)
            for index, (submission, _) in enumerate(zip(whole.messages, record.statuses, strict=True))
        ]

    async def _line(self, record: Record, index: int, name: str, submission: Submission) -> Line:
        message = submission.message
        if message is None:
            message = decode_content(
                await self._memory.blobs.get(CONTENT_CONTAINER, str(submission.blob)), submission.span
            )
        return Line(
            id=name,
            batch=record.batch,
            lane=record.lane,
            index=index,
            submission=submission,
            message=message,
            status=record.statuses[index],
            taken=tuple(taken for taken in self._ledger.acceptances if taken.message == name),
        )


def _accepted(batch: str, history: Sequence[bytes]) -> wire.BatchEntry:
    """Return a batch as it was put on its queue."""
    entries = (wire.decode_entry(body) for body in history if batch.encode() in body)
    return next(entry for entry in entries if isinstance(entry, wire.BatchEntry) and entry.batch == batch)


def tally(lines: Sequence[Line]) -> Counter[State]:
    """Count messages by state."""
    return Counter(line.status.state for line in lines)


def violations(
    lines: Sequence[Line], submissions: Mapping[str, TrackedSubmission], interrupted: Set[int], memory: MemoryStorage
) -> list[str]:
    """Return every violation of the guarantees, as a sentence. Valid only when nothing runs any more.

    `interrupted`: the processes that died, or stood still for longer than a lease.
    """
    found = list(_lost(lines, submissions))
    for line in lines:
        found += [f"{line.label}: {violation}" for violation in _copies(line, interrupted, submissions)]
        found += [f"{line.label}: {violation}" for violation in _states(line, memory)]
    found += _rests(lines, memory)
    return found


def _lost(lines: Sequence[Line], submissions: Mapping[str, TrackedSubmission]) -> list[str]:
    by_id = {line.id for line in lines}
    labels = Counter(line.label for line in lines)
    found = [
        f"{each.label}: got 202 as {name}, but the message does not exist"
        for each in submissions.values()
        for name in each.ids
        if name not in by_id and not each.may_be_purged
    ]
    cancelled = {each.id for each in submissions.values() if each.cancelled}
    found += [
        f"{line.label}: cancelled for certain, and {line.status.state}"
        for line in lines
        if line.id in cancelled and State.CANCELLED not in {part.state for part in line.status.parts}
    ]
    for each in submissions.values():
        limit = 1 if each.has_key else each.requests
        if labels[each.label] > limit:
            found.append(f"{each.label}: {labels[each.label]} messages of {limit} submissions")
        if len(set(each.ids)) > limit:
            found.append(f"{each.label}: several ids for one key")
    return found


def _copies(line: Line, interrupted: Set[int], submissions: Mapping[str, TrackedSubmission]) -> list[str]:
    """Return duplicates that the guarantee forbids. Erased messages have no provider ids in the journal."""
    found: list[str] = []
    for taken in () if line.status.erased else line.taken:
        is_excused = not taken.was_confirmed or taken.process in interrupted
        if taken.provider_id not in line.recorded and not is_excused:
            found.append(f"the provider took it as {taken.provider_id} and said so, which nobody recorded")
    return found + excesses(line, submissions)


def excesses(line: Line, submissions: Mapping[str, TrackedSubmission]) -> list[str]:
    """Return copies that must not exist at any moment."""
    found: list[str] = []
    wanted = 1 + (submissions[line.label].resends if line.label in submissions else 0)
    for number in _envelope(line):
        copies = [taken for taken in line.taken if number in taken.recipients]
        known = sum(taken.provider_id in line.recorded for taken in copies)
        if known > wanted:
            found.append(f"recipient {number} got {known} copies that the journal knows of")
        redriven = sum(part.redriven for part in line.status.parts if number in _recipients(part, line))
        if line.submission.delivery is DeliveryGuarantee.AT_MOST_ONCE and len(copies) > 1 + redriven:
            found.append(f"recipient {number} got {len(copies)} copies of an at_most_once message")
    return found


def _states(line: Line, memory: MemoryStorage) -> list[str]:
    """Return wrong states, and dead letters missing from the index."""
    found: list[str] = []
    covered = [number for part in line.status.parts for number in _recipients(part, line)]
    if sorted(covered) != sorted(_envelope(line)):
        found.append(f"its parts are for {sorted(covered)}, its recipients are {sorted(_envelope(line))}")
    dead_letters = {(row.partition, row.row) for row in memory.tables.rows("deadletters")}
    for part in line.status.parts:
        wanted = set(_recipients(part, line))
        copies = [taken for taken in line.taken if wanted & set(taken.recipients)]
        known = [
            taken
            for taken in copies
            if line.status.erased
            or taken.provider_id in line.recorded
            or taken.attempt in accepted_attempts(line.status)
        ]
        missing = wanted - {number for taken in known for number in taken.recipients}
        if part.state is State.SENT and missing:
            found.append(f"is sent, and no provider took it for {sorted(missing)}")
        if part.state in (State.FAILED, State.EXPIRED, State.CANCELLED) and copies:
            found.append(f"is {part.state}, and a provider took it")
        is_listed = (part.code or "expired", f"{line.batch}-{line.index:02d}") in dead_letters
        if part.state in DEAD and not is_listed and not line.status.erased:
            found.append(f"is {part.state} ({part.code}), and not on the list of dead letters")
        if is_listed and line.status.erased:
            found.append("is erased, and on the list of dead letters")
        if part.state is State.UNKNOWN and not part_history.uncertain_attempts(part) and part.code != "poisoned":
            found.append("is unknown without a reason to doubt")
        if part.state in (State.QUEUED, State.SENDING):
            found.append(f"is {part.state} although nothing moves any more")
    return found


def rows_for(lines: Sequence[Line]) -> Set[str]:
    """Return the keys of the rows in `pending` that these messages need."""
    return {row for line in lines for row in rows_of(line.batch, line.lane, [(line.index, line.status)])}


def _rests(lines: Sequence[Line], memory: MemoryStorage) -> list[str]:
    """Return waiting messages without a row in `pending`, and rows of messages that do not wait."""
    found: list[str] = []
    wanted = rows_for(lines)
    present = {row.row for row in memory.tables.rows("pending")}
    found += [f"nothing in pending for {row}" for row in wanted - present]
    found += [f"pending still lists {row}" for row in present - wanted]
    for queue in (MAIN_QUEUE, POISON_QUEUE, EVENTS_QUEUE):
        found += [f"queue {queue} holds {body[:80]!r}" for body in memory.queues.bodies(queue)]
    return found


def is_at_rest(lines: Sequence[Line], memory: MemoryStorage) -> bool:
    """Return whether every message has ended, nothing is to be checked later, and nothing is left over."""
    has_ended = all(part.state in FINAL and part.check_at is None for line in lines for part in line.status.parts)
    return has_ended and not _rests(lines, memory)


def _envelope(line: Line) -> list[int]:
    return [n for n in range(len(line.message.recipients)) if n not in line.submission.suppressed]


def _recipients(part: Part, line: Line) -> list[int]:
    return _envelope(line) if part.recipients is None else list(part.recipients)
