"""The accounts of a soak: what callers were told, what the journal says, what the stand-ins took.

accepted = sent + failed + expired + cancelled + unknown + waiting, and nothing else
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from relay.bootstrap import Relay
from relay.core import part_states
from relay.core.model import FINAL, DeliveryGuarantee, MessageStatus, State
from relay.journal.records import every_record
from relay.platform.resources import queues_of


class Told(msgspec.Struct, kw_only=True):
    """What one submission came to: `asked` requests that may have arrived, and the ids it was answered with."""

    label: str
    has_key: bool
    asked: int = 0
    ids: list[str] = []


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded message, to one recipient."""

    id: str
    label: str
    delivery: DeliveryGuarantee
    status: MessageStatus
    copies: int

    @property
    def uncertain_attempts(self) -> int:
        """Attempts that may have arrived without our knowing: as many copies more may there be."""
        return sum(len(part_states.uncertain_attempts(part)) for part in self.status.parts)

    @property
    def known(self) -> int:
        """Attempts that the journal knows to have arrived."""
        return sum(attempt.outcome == "sent" for part in self.status.parts for attempt in part.attempts)


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at one moment. `left` counts the entries on all queues."""

    told: Sequence[Told]
    lines: Sequence[Line]
    left: int

    @property
    def is_at_rest(self) -> bool:
        """Whether every message has ended and every queue is empty."""
        return not self.left and all(line.status.state in FINAL for line in self.lines)

    @property
    def duplicates(self) -> int:
        """Copies beyond the first."""
        return sum(max(0, line.copies - 1) for line in self.lines)

    @property
    def allowed(self) -> int:
        """Copies beyond the first that the second promise allows: one for each doubt of a message sent at least once."""
        return sum(
            line.known + line.uncertain_attempts - 1
            for line in self.lines
            if line.delivery is DeliveryGuarantee.AT_LEAST_ONCE and line.known + line.uncertain_attempts > 1
        )

    def wrongs(self) -> list[str]:
        """Every breach of a promise."""
        return [*self._lost(), *(wrong for line in self.lines for wrong in _wrongs(line))]

    def _lost(self) -> list[str]:
        by_id = {line.id for line in self.lines}
        labels = Counter(line.label for line in self.lines)
        found = [
            f"{each.label} was answered 202 as {name}, and there is no such message"
            for each in self.told
            for name in each.ids
            if name not in by_id
        ]
        for each in self.told:
            limit = 1 if each.has_key else each.asked
            if labels[each.label] > limit:
                found.append(f"{each.label}: {labels[each.label]} messages of {limit} submissions")
            if each.has_key and len(set(each.ids)) != 1:
                found.append(f"{each.label}: {len(set(each.ids))} ids for one key")
        return found

    def table(self) -> str:
        """The accounts, to be read."""
        accepted = {name for each in self.told for name in each.ids}
        states = Counter(line.status.state for line in self.lines if line.id in accepted)
        waiting = sum(count for state, count in states.items() if state not in FINAL)
        unasked = sum(line.id not in accepted for line in self.lines)
        rows: list[tuple[str, int, str]] = [
            ("submissions", len(self.told), ""),
            ("accepted (answered 202)", len(accepted), ""),
            *((f"  {state}", states[state], "") for state in (*_ENDS,)),
            ("  waiting", waiting, ""),
            ("  missing", len(accepted) - sum(states.values()), "must be 0"),
            ("accepted, response lost", unasked, "the client got no id"),
            ("uncertain attempts", sum(line.uncertain_attempts for line in self.lines), "a crash, or a lost response"),
            ("duplicates", self.duplicates, f"at most {self.allowed} allowed"),
            ("  of at_most_once messages", sum(map(_excess, self.lines)), "must be 0"),
            ("entries left on queues", self.left, "must be 0"),
        ]
        return "\n".join(f"{name:34} {number:>8,}  {note}".rstrip() for name, number, note in rows)


_ENDS = (State.SENT, State.FAILED, State.EXPIRED, State.CANCELLED, State.UNKNOWN)
_NOT_SENT = (State.FAILED, State.EXPIRED, State.CANCELLED)


def _excess(line: Line) -> int:
    return max(0, line.copies - 1) if line.delivery is DeliveryGuarantee.AT_MOST_ONCE else 0


def _wrongs(line: Line) -> list[str]:
    found: list[str] = []
    state = line.status.state
    if state not in FINAL:
        found.append(f"{line.label} is {state} although nothing moves any more")
    if line.known > 1:
        found.append(f"{line.label} was sent {line.known} times knowingly")
    if line.copies > line.known + line.uncertain_attempts:
        found.append(f"{line.label}: {line.copies} copies, {line.known} known and {line.uncertain_attempts} in doubt")
    if _excess(line):
        found.append(f"{line.label}: {line.copies} copies of an at_most_once message")
    if state is State.SENT and not line.copies:
        found.append(f"{line.label} is sent, and no provider took it")
    if state in _NOT_SENT and line.copies:
        found.append(f"{line.label} is {state}, and a provider took it")
    return found


async def read_books(relay: Relay, told: Sequence[Told], taken: Mapping[str, int]) -> Books:
    """Read everything from storage. `taken` counts the copies of each message that the stand-ins took."""
    now = datetime.now(UTC)
    lines: list[Line] = []
    async for record in every_record(relay.journal, since=now - timedelta(days=1), before=now + timedelta(hours=1)):
        entry = record.entry()
        for index, (submission, status) in enumerate(zip(entry.messages, record.statuses, strict=True)):
            name = record.message_id(index, entry)
            label = "" if submission.message is None else submission.message.subject
            copies = taken.get(name, 0)
            lines.append(Line(id=name, label=label, delivery=submission.delivery, status=status, copies=copies))
    left = [await relay.storage.queues.count(queue) for queue in queues_of(relay.settings.lanes)]
    return Books(told=told, lines=lines, left=sum(left))
