"""The accounting of a soak: responses to callers, records of the journal, mail accepted by stand-ins.

accepted = sent + failed + expired + cancelled + unknown + waiting, and nothing else
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from relay.bootstrap import Relay
from relay.core.model import FINAL, DeliveryGuarantee, MessageStatus, State
from relay.core.parts import part_history
from relay.journal.records import every_record
from relay.platform.resources import queues_of


class TrackedSubmission(msgspec.Struct, kw_only=True):
    """One submission: the number of requests that may have arrived (`requests`), and the ids in the responses."""

    label: str
    has_key: bool
    requests: int = 0
    ids: list[str] = []
    cancelled: bool = False


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded message, to one recipient."""

    id: str
    label: str
    delivery: DeliveryGuarantee
    status: MessageStatus
    copies: int

    @property
    def uncertain_attempts(self) -> int:
        """The number of attempts with an unknown result: each may have produced one more copy."""
        return sum(len(part_history.uncertain_attempts(part)) for part in self.status.parts)

    @property
    def known(self) -> int:
        """The number of attempts that the journal records as sent."""
        return sum(attempt.outcome == "sent" for part in self.status.parts for attempt in part.attempts)


class Accounting(msgspec.Struct, frozen=True, kw_only=True):
    """The state at one moment. `left` counts the entries on all queues."""

    submissions: Sequence[TrackedSubmission]
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
        """Duplicates that at_least_once allows: one for each attempt with an unknown result."""
        return sum(
            line.known + line.uncertain_attempts - 1
            for line in self.lines
            if line.delivery is DeliveryGuarantee.AT_LEAST_ONCE and line.known + line.uncertain_attempts > 1
        )

    def violations(self) -> list[str]:
        """Return every violation of the guarantees."""
        return [*self._lost(), *(violation for line in self.lines for violation in _wrongs(line))]

    def _lost(self) -> list[str]:
        by_id = {line.id for line in self.lines}
        labels = Counter(line.label for line in self.lines)
        copies = {line.id: line.copies for line in self.lines}
        found = [
            f"{each.label} got 202 as {name}, but the message does not exist"
            for each in self.submissions
            for name in each.ids
            if name not in by_id
        ]
        for each in self.submissions:
            limit = 1 if each.has_key else each.requests
            if labels[each.label] > limit:
                found.append(f"{each.label}: {labels[each.label]} messages of {limit} submissions")
            if each.cancelled and copies[each.ids[0]]:
                found.append(f"{each.label} was cancelled for certain, and a provider took it")
            if each.has_key and len(set(each.ids)) != 1:
                found.append(f"{each.label}: {len(set(each.ids))} ids for one key")
        return found

    def table(self) -> str:
        """Format the accounting as a table."""
        accepted = {name for each in self.submissions for name in each.ids}
        states = Counter(line.status.state for line in self.lines if line.id in accepted)
        waiting = sum(count for state, count in states.items() if state not in FINAL)
        unasked = sum(line.id not in accepted for line in self.lines)
        rows: list[tuple[str, int, str]] = [
            ("submissions", len(self.submissions), ""),
            ("accepted (202)", len(accepted), ""),
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


async def read_accounting(
    relay: Relay, submissions: Sequence[TrackedSubmission], taken: Mapping[str, int]
) -> Accounting:
    """Read everything from storage. `taken` counts the copies of each message that the stand-ins accepted."""
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
    return Accounting(submissions=submissions, lines=lines, left=sum(left))
