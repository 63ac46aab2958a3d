"""Make the attempts of a batch concurrently, with a limit per route, and return the change that each one makes."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from relay.core import entries
from relay.core.errors import StorageError, Unavailable, UnreadableEntry
from relay.core.model import Part
from relay.core.outcomes import AskLater, NotYet, Outcome, PerRecipient, Rejected, Unknown
from relay.core.parts import attempt_results, part_history, part_states
from relay.core.send_request import SendRequest
from relay.core.settings import Lane, Route, Settings
from relay.delivery.send_groups import SendGroups
from relay.delivery.send_request import as_sent, send_request_of
from relay.delivery.sending import Sending
from relay.delivery.settlement import Change
from relay.journal.content import Content, ContentReads
from relay.journal.record_rows import Record
from relay.platform.log import log_event, log_failure
from relay.platform.telemetry import OFF, Telemetry, measurement_of
from relay.providers.contract import Provider
from relay.routes.pacing import SLOT_LASTS, Pacing
from relay.routes.recipient_budget.counting import ExternalRecipients
from relay.routes.watch import RouteWatch

if TYPE_CHECKING:
    from relay.events.message_trace.lost_responses import LostResponses

MIN_SECONDS_LEFT = 90.0
"""Do not start an attempt with less lease time left than this (short leases: a quarter); it could outlive the lease."""
_STORAGE_PAUSE = timedelta(seconds=30)
_AT_ONCE = timedelta(seconds=1)


class OwnedPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part that is recorded as `sending` under this process's lease."""

    index: int
    part: Part


class _Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Data that the attempts of one batch share. With one jitter, parts deferred together come back together, as one entry."""

    record: Record
    entry: entries.BatchEntry
    lane: Lane
    jitter: float
    reads: ContentReads


class Attempts:
    """Makes the attempts of a batch."""

    def __init__(
        self,
        *,
        settings: Settings,
        providers: Callable[[str], Provider],
        can_verify: Callable[[str], bool],
        content: Content,
        groups: SendGroups,
        watch: RouteWatch,
        pacing: Pacing,
        external_recipients: ExternalRecipients,
        clock: Callable[[], datetime],
        random: Callable[[], float],
        lost_responses: "LostResponses | None" = None,
        telemetry: Telemetry = OFF,
    ) -> None:
        self._settings = settings
        self._sending = Sending(
            settings,
            providers,
            can_verify,
            clock,
            external_recipients=external_recipients,
            lost_responses=lost_responses,
        )
        self._can_verify = can_verify
        self._content = content
        self._groups = groups
        self._watch = watch
        self._pacing = pacing
        self._clock = clock
        self._random = random
        self._telemetry = telemetry
        self._gates: dict[str, asyncio.Semaphore] = {}
        self._min_seconds_left = min(MIN_SECONDS_LEFT, settings.attempt_seconds / 4)

    async def make(self, record: Record, entry: entries.BatchEntry, begun: Sequence[OwnedPart]) -> list[Change]:
        """Make these attempts, and return a change for each. Provider, network and storage errors are outcomes."""
        lane = self._settings.lanes.get(record.lane, Lane())
        reads = self._content.reads_of(entry.messages[index] for index in {ours.index for ours in begun})
        batch = _Batch(record=record, entry=entry, lane=lane, jitter=self._random(), reads=reads)
        # The stops of groups are read before a slot of a pace is taken, and after `sending` is recorded: so a stop is certain.
        halts = await self._groups.halts([(entry.messages[ours.index], ours.part) for ours in begun])
        turns = list(zip(begun, halts, strict=True))
        halted = [Change(index=ours.index, before=ours.part, after=(halt,)) for ours, halt in turns if halt is not None]
        going = [ours for ours, halt in turns if halt is None]
        waits = await self._pace(batch, going)
        made = (self._make_safely(batch, ours, wait) for ours, wait in zip(going, waits, strict=True))
        return [*halted, *await asyncio.gather(*made)]

    async def _pace(self, batch: _Batch, begun: Sequence[OwnedPart]) -> list[Part | None]:
        """Return the waiting part for each part that must wait for a slot of its route's pace; None for the others."""
        waits: list[Part | None] = [None] * len(begun)
        groups: dict[tuple[str, ...], list[int]] = {}
        for number, ours in enumerate(begun):
            route = self._settings.routes[ours.part.route]
            if route.paces and not _has_slot(ours.part, self._clock()):
                groups.setdefault((route.name, *_resources(route, batch, ours)), []).append(number)
        for (name, *resources), numbers in groups.items():
            try:
                slots = await self._pacing.slots(self._settings.routes[name].paces, resources, len(numbers))
            except Unavailable:
                later = self._clock() + _STORAGE_PAUSE
                for number in numbers:
                    waits[number] = part_states.postpone(begun[number].part, later, "paced")
                continue
            for number, slot in zip(numbers, slots, strict=True):
                if slot > self._clock() + _AT_ONCE:
                    waits[number] = part_states.pace(begun[number].part, slot)
        return waits

    async def _make_safely(self, batch: _Batch, ours: OwnedPart, wait: Part | None) -> Change:
        """Make one attempt. A bug that one message triggers must not lose the outcomes of the others."""
        begun_at = self._clock()
        try:
            return await self._make_one(batch, ours, wait)
        except Exception as error:
            log_failure("attempt_failed", route=ours.part.route)
            answer = Unknown(code="poisoned", reply=type(error).__name__)
            result = self._result(batch, ours.part, answer, begun_at)
            after = attempt_results.settle(ours.part, batch.entry.messages[ours.index], result)
            return Change(index=ours.index, before=ours.part, after=after)

    async def _make_one(self, batch: _Batch, ours: OwnedPart, wait: Part | None) -> Change:
        if wait is not None:
            return Change(index=ours.index, before=ours.part, after=(wait,))
        size = batch.entry.messages[ours.index].size
        async with self._gate(ours.part.route), self._content.budget.hold(size):
            if self._is_too_late(ours.part):
                return Change(index=ours.index, before=ours.part, after=(self._left_for_later(ours.part),))
            return Change(index=ours.index, before=ours.part, after=await self._try(batch, ours))

    async def _try(self, batch: _Batch, ours: OwnedPart) -> tuple[Part, ...]:
        submission, part, begun_at = batch.entry.messages[ours.index], ours.part, self._clock()
        try:
            message = as_sent(batch.record, ours.index, await self._content.whole(submission, batch.reads))
        except StorageError:
            return (part_states.postpone(part, begun_at + _STORAGE_PAUSE, "content_unavailable"),)
        except UnreadableEntry:
            message = None
        if self._is_too_late(part):
            # The process stood still, or storage was slow: another one may have taken the part by now.
            return (self._left_for_later(part),)
        asked_at = self._clock()
        answer: Outcome | PerRecipient | AskLater | NotYet = Rejected(code="content_missing")
        is_final_check = False
        request = None
        if message is not None:
            request = send_request_of(batch.record, batch.entry, ours.index, part, message)
            part, answer, is_final_check = await self._sending.send(part, submission, request)
        if isinstance(answer, AskLater):
            later = self._clock() + timedelta(seconds=answer.seconds)
            return (part_states.postpone(part, later, part_history.uncertain_attempts(part)[-1].code),)
        if isinstance(answer, NotYet):
            later = min(self._clock() + timedelta(seconds=answer.seconds), part_states.expires_at(part, submission))
            return (part_states.postpone(part, later, answer.code),)
        result = self._result(batch, part, answer, begun_at, is_final_check=is_final_check)
        held = await self._watch.note(
            batch.entry, part, submission, message, index=ours.index, answer=answer, now=result.now
        )
        spare = await self._watch.spare_route(
            batch.entry, part, submission, message, answer=answer, lane=batch.lane, now=result.now
        )
        settled = attempt_results.settle(part, submission, msgspec.structs.replace(result, spare_route=spare), held)
        self._log(batch, ours, settled, request)
        if message is not None:
            lane, name = batch.record.lane, batch.record.batch
            self._telemetry.attempted(
                measurement_of(name, lane, submission, each, asked_at=asked_at, answered_at=result.now)
                for each in settled
            )
        return settled

    def _result(
        self, batch: _Batch, part: Part, answer: Outcome | PerRecipient, at: datetime, *, is_final_check: bool = False
    ) -> attempt_results.AttemptResult:
        return attempt_results.AttemptResult(
            answer=answer,
            provider=self._settings.routes[part.route].provider,
            at=at,
            now=self._clock(),
            lane=batch.lane,
            jitter=batch.jitter,
            can_verify=self._can_verify(part.route),
            is_final_check=is_final_check,
        )

    def _gate(self, route: str) -> asyncio.Semaphore:
        if route not in self._gates:
            self._gates[route] = asyncio.Semaphore(self._settings.routes[route].concurrency)
        return self._gates[route]

    def _is_too_late(self, part: Part) -> bool:
        """Return whether so little of the lease is left that an attempt could outlive it."""
        until = part.lease_until or self._clock()
        return (until - self._clock()).total_seconds() < self._min_seconds_left

    def _left_for_later(self, part: Part) -> Part:
        return part_states.postpone(part, self._clock() + _AT_ONCE, part.code)

    def _log(self, batch: _Batch, ours: OwnedPart, settled: Sequence[Part], request: SendRequest | None) -> None:
        name = request.id if request is not None else batch.record.message_id(ours.index, batch.entry)
        for part in settled:
            last = part.attempts[-1]
            log_event(
                "attempt",
                message=name,
                client=batch.entry.messages[ours.index].client,
                lane=batch.record.lane,
                route=last.route,
                provider=last.provider,
                number=last.number,
                outcome=last.outcome,
                code=last.code,
                state=str(part.state),
                seconds=last.seconds,
            )


def _has_slot(part: Part, now: datetime) -> bool:
    return part.slot_at is not None and part.slot_at + SLOT_LASTS >= now


def _resources(route: Route, batch: _Batch, ours: OwnedPart) -> tuple[str, ...]:
    message = batch.entry.messages[ours.index].message
    sender = batch.record.statuses[ours.index].sender or (message.sender if message is not None else None)
    address = sender.email.lower() if sender is not None else ""
    return tuple((pace.resource or route.name).replace("{sender}", address) for pace in route.paces)
