"""Check later whether mail that a provider accepted was sent, for providers that report it after a while (ACS).

A sent part with a `check_at` has a row in `pending`, like everything that must happen later. A part that the provider failed to
send becomes `failed`: a dead letter that can be redriven. A part without a final answer within a day stays sent.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from relay.core.errors import NewerVersion, NotFound, Unavailable, UnreadableEntry
from relay.core.model import Attempt, Message, Part, State, Submission
from relay.core.outcomes import Deferred, Outcome, PerRecipient, Rejected, Sent, reply_text
from relay.core.parts import attempt_results, part_states, part_turns
from relay.core.settings import Settings
from relay.delivery.provider_calls import ProviderCalls
from relay.delivery.send_request import as_sent, send_request_of
from relay.delivery.settlement import Change, FollowUp, settle
from relay.journal.content import Content
from relay.journal.pending import Due, Pending, rows_of
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.platform.concurrency import NEVER, Deadline, Progress
from relay.platform.log import log_event, log_failure
from relay.providers.contract import Provider
from relay.providers.registry import provider_module

MAX_ROWS = 50
"""Checks per run: status requests have a rate limit too (ACS: 60 per minute), and a run should end within a minute."""
FIRST_DELAY = timedelta(seconds=60)
CHECK_FOR = timedelta(days=1)
ASK_SECONDS = 60.0
"""Timeout of one status request."""


def checked(part: Part, answer: Outcome | PerRecipient, now: datetime) -> tuple[Part, ...]:
    """Apply the provider's answer to a sent part: usually one part; more when recipients got different answers."""
    return tuple(_checked(each, outcome, now) for each, outcome in attempt_results.by_outcome(part, answer))


class SentChecks:
    """Asks providers about sent mail. Runs every minute, on one instance."""

    def __init__(
        self,
        *,
        settings: Settings,
        journal: Journal,
        pending: Pending,
        follow_up: FollowUp,
        content: Content,
        providers: Callable[[str], Provider],
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._pending = pending
        self._follow_up = follow_up
        self._content = content
        self._calls = ProviderCalls(providers)
        self._clock = clock

    async def run(self, deadline: Deadline = NEVER) -> Progress:
        """Make the checks that are due. Costs nothing if no route supports checks."""
        if not any(self._can_check(route) for route in self._settings.routes):
            return Progress()
        rows = 0
        async for listed in self._pending.until(self._clock()):
            if rows >= MAX_ROWS or deadline.is_over:
                return Progress(done=rows, is_complete=False)
            if listed.due.kind == State.SENT:
                rows += await self._check_or_log(listed.due)
        return Progress(done=rows)

    async def _check_or_log(self, due: Due) -> bool:
        """Make one check. A record that cannot be read or checked must not stop the checks after it, nor take their place."""
        try:
            return await self._check(due)
        except Unavailable:
            raise
        except Exception:
            log_failure("check_failed", batch=due.batch)
            return False

    async def _check(self, due: Due) -> bool:
        try:
            record = await self._journal.read(due.batch)
        except NotFound:
            await self._pending.remove(due)
            return False
        except NewerVersion:
            # The check is made after the upgrade.
            return False
        indices = record.having(due.indices)
        turns = [(index, part) for index in indices for part in record.statuses[index].parts]
        changes = [
            Change(index=index, before=part, after=checked(part, await self._ask(record, index, part), self._clock()))
            for index, part in turns
            if part_turns.is_check_due(part, self._clock())
        ]
        change = await settle(self._journal, record, changes)
        settled = change.after
        # Without a change, an earlier run died after it had settled: its follow-up is done now.
        await self._follow_up.run(change.before if change.is_written else None, settled, indices)
        if due.row not in rows_of(settled.batch, settled.lane, enumerate(settled.statuses)):
            await self._pending.remove(due)
        return True

    async def _ask(self, record: Record, index: int, part: Part) -> Outcome | PerRecipient:
        if not self._can_check(part.route):
            return Sent()
        entry = record.entry()
        message = as_sent(record, index, await self._message(entry.messages[index]))
        if message is None:
            return Sent()
        request = send_request_of(record, entry, index, part, message)
        answer = await self._calls.ask(part.route, request, part.provider_id, seconds=ASK_SECONDS)
        log_event("checked", message=request.id, route=part.route, outcome=type(answer).__name__.lower())
        return answer

    async def _message(self, submission: Submission) -> Message | None:
        """Return the message or its envelope; None if its content was purged: then there is nothing to check."""
        try:
            return submission.message or await self._content.message(submission)
        except UnreadableEntry:
            return None

    def _can_check(self, route: str) -> bool:
        known = self._settings.routes.get(route)
        return known is not None and "checks" in provider_module(known.provider).CAPABILITIES.features


def _checked(part: Part, outcome: Outcome, now: datetime) -> Part:
    last = part.attempts[-1]
    if isinstance(outcome, Rejected):
        failure = Attempt(
            number=last.number,
            route=last.route,
            provider=last.provider,
            at=now,
            outcome="rejected",
            code=outcome.code,
            reply=reply_text(outcome.reply),
            provider_id=part.provider_id,
            first=last.first,
        )
        failed = msgspec.structs.replace(part, attempts=(*part.attempts, failure), check_at=None)
        return part_states.end(failed, State.FAILED, outcome.code)
    is_over = isinstance(outcome, Deferred) or (isinstance(outcome, Sent) and outcome.check_after_seconds is None)
    # Double the time since the attempt.
    later = now + max(FIRST_DELAY, now - last.at)
    return msgspec.structs.replace(part, check_at=None if is_over or later - last.at > CHECK_FOR else later)
