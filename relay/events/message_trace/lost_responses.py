"""Find out from the message trace whether an attempt whose response was lost was sent.

A row with the attempt's Message-ID and one of its recipients proves that Exchange has the mail. But the Message-ID is the same in
all attempts, and mail that Exchange refused later has rows too. A row from the time of another accepted attempt proves nothing.
The absence of rows proves the opposite only if all of this holds; else the attempt stays uncertain:

- `SURE_AFTER` has passed since the attempt. Mail appears after 5 to 10 minutes (learn.microsoft.com/exchange/monitoring/
  trace-an-email-message/message-trace-faq), which is no promise, and the attempt itself may have lasted eight.
- The Message-ID is Relay's. Exchange keeps one that it was given (graph/api/message-update: `internetMessageId` may be set in a
  draft; graph/outlook-things-to-know-about-send-mail: MIME stays "more or less intact"), but a server may overwrite it
  (MS-OXCMAIL 2.1.3.2.11). So the trace must have other mail that Exchange received after the attempt and that kept Relay's.
- The trace was read up to a time after the attempt.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from relay.core import ids
from relay.core.model import Attempt, Part
from relay.core.outcomes import AskLater, Deferred, Sent, Unknown
from relay.core.parts import part_history
from relay.core.send_request import SendRequest
from relay.events.message_trace.progress import TraceProgress
from relay.events.message_trace.reader import MessageTraces, TraceReader
from relay.events.provider_events import recipient_of
from relay.mime import raw as raw_mail
from relay.providers.graph.message_trace import LONGEST_WINDOW, TraceFault, TracePage, TraceRow

APPEARS_AFTER = timedelta(minutes=10)
"""Time after an attempt before the trace is asked: earlier, its mail does not appear yet."""
SURE_AFTER = timedelta(minutes=70)
_ASK_EVERY = timedelta(minutes=20)
_NO_BUDGET_SECONDS = 60.0
_CLOCK_SKEW = timedelta(minutes=2)
SPARE = 30
"""Requests that asking about lost responses leaves to the windows."""


class LostResponses:
    """Asks the traces about attempts of the routes that they cover."""

    def __init__(self, traces: MessageTraces, clock: Callable[[], datetime]) -> None:
        self._traces = traces
        self._clock = clock

    async def ask(self, part: Part, request: SendRequest, attempt: Attempt) -> Sent | Deferred | Unknown | AskLater:
        """Find out what became of an attempt of a part. `Deferred`: it was certainly not sent. Raises `StorageError`."""
        reader, now = self._traces.of(part.route), self._clock()
        age = now - attempt.at
        if reader is None or age > LONGEST_WINDOW - _CLOCK_SKEW:
            return Unknown(code=attempt.code, reply="no message trace covers this attempt")
        if age < APPEARS_AFTER:
            return AskLater(seconds=(APPEARS_AFTER - age).total_seconds())
        if not await reader.budget.take(spare=SPARE):
            return AskLater(seconds=_NO_BUDGET_SECONDS)
        page = await reader.client.find(_message_id(request), attempt.at - _CLOCK_SKEW, now)
        if isinstance(page, TraceFault):
            return await self._after_fault(reader, page, attempt, age)
        found = _rows_of(page, request)
        own = [row.received_date_time for row in found if not _may_be_of_another(row, part)]
        if own:
            return Sent(reply="found in the message trace", verified=_number_of(max(own), part, attempt))
        if found:
            return _later_or_unknown(attempt, age, "the message trace may have the mail of another attempt only")
        if page.rows or page.link:
            return Unknown(code=attempt.code, reply="the message trace has this Message-ID with other recipients only")
        if _is_proof(await reader.progress(), request, attempt, age):
            return Deferred(code="provider_unavailable", reply="the message trace does not have it")
        return _later_or_unknown(attempt, age, "not in the message trace")

    async def _after_fault(
        self, reader: TraceReader, fault: TraceFault, attempt: Attempt, age: timedelta
    ) -> Unknown | AskLater:
        if fault.code == "rate_limited":
            await reader.budget.block(fault.retry_after_seconds)
            return AskLater(seconds=max(_NO_BUDGET_SECONDS, fault.retry_after_seconds or 0.0))
        return _later_or_unknown(attempt, age, f"message trace: {fault.code}")


def _later_or_unknown(attempt: Attempt, age: timedelta, reply: str) -> Unknown | AskLater:
    if age >= SURE_AFTER:
        return Unknown(code=attempt.code, reply=reply)
    return AskLater(seconds=min(_ASK_EVERY, SURE_AFTER - age).total_seconds())


def _is_proof(progress: TraceProgress | None, request: SendRequest, attempt: Attempt, age: timedelta) -> bool:
    """Return whether the absence of rows proves that the attempt was not sent."""
    is_own = request.message.raw is None and ids.IN_TEXT.search(request.message_id_header) is not None
    if not is_own or age < SURE_AFTER or progress is None or progress.matched_at is None:
        return False
    return progress.matched_at > attempt.at and progress.sure_until > attempt.at


def _rows_of(page: TracePage, request: SendRequest) -> Sequence[TraceRow]:
    people = request.message.recipients
    wanted = {people[number].email.lower() for number in request.recipients}
    return [row for row in page.rows if recipient_of(row.recipient_address).lower() in wanted]


def _number_of(received_at: datetime, part: Part, attempt: Attempt) -> int:
    """Return the number of the last uncertain attempt before a row, which reports will name."""
    uncertain = (each for each in part_history.uncertain_attempts(part) if each.at <= received_at)
    return max((each.accepted_number for each in uncertain), default=attempt.accepted_number)


def _may_be_of_another(row: TraceRow, part: Part) -> bool:
    """Return whether a row may be that of an attempt that was accepted, and did not reach the recipients after all."""
    return any(
        since - _CLOCK_SKEW <= row.received_date_time <= until + _CLOCK_SKEW
        for since, until in part_history.accepted_periods(part)
    )


def _message_id(request: SendRequest) -> str:
    """Return the Message-ID with which the attempt was sent: a raw message keeps its own."""
    raw = request.message.raw
    return (raw_mail.message_id(raw) if raw is not None else None) or request.message_id_header
