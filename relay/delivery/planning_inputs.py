"""Collect planning inputs: the routes each message may use under current settings, which are held, and which clients are."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from relay.clients.suppressions.store import Suppressions
from relay.core import entries
from relay.core.model import FINAL, Message, MessageStatus, Submission
from relay.core.parts.part_history import keeps_route
from relay.core.parts.part_states import expires_at, resume
from relay.core.settings import Settings
from relay.delivery.planning import CANARY_WAIT, FRESH, HeldRoute, PlanningContext, no_shortage
from relay.journal.content import Content
from relay.providers.registry import provider_module
from relay.routes.brakes import Brakes
from relay.routes.hold_rows import Hold, RouteState, scope_of
from relay.routes.holds import Holds
from relay.routes.recipient_budget.counting import ExternalRecipients
from relay.routes.recipient_budget.window import Shortage
from relay.routes.routing import Leg, Router


class PlanningInputs:
    """Reads the routes' states and the envelopes."""

    def __init__(
        self,
        *,
        settings: Settings,
        holds: Holds,
        brakes: Brakes,
        content: Content,
        external_recipients: ExternalRecipients,
        suppressions: Suppressions,
    ) -> None:
        self._settings = settings
        self._router = Router(settings)
        self._holds = holds
        self._brakes = brakes
        self._content = content
        self._external_recipients = external_recipients
        self._suppressions = suppressions

    async def of(
        self,
        entry: entries.BatchEntry,
        indices: Iterable[int],
        now: datetime,
        statuses: Sequence[MessageStatus] | None = None,
    ) -> Mapping[int, PlanningContext]:
        """Return the planning context of each of these messages. `statuses`: what is recorded about them already."""
        envelopes = {index: await self._envelope(entry, index, statuses) for index in indices}
        legs = {index: self._legs(entry, index, envelope) for index, envelope in envelopes.items()}
        for index, envelope in envelopes.items():
            if envelope is not None and await self._has_unsubscribed(entry.messages[index], envelope):
                legs[index] = ()
        troubled: Mapping[str, Hold] = {
            scope: hold for scope, hold in (await self._holds.all()).items() if hold.state is not RouteState.ACTIVE
        }
        braked = self._braked(entry, legs, now)
        if troubled:
            # A message that a brake holds cannot be a canary.
            going = {index for index in legs if index not in braked and not _has_expired(entry, index, now, statuses)}
            parts = [part for index in going if statuses for part in statuses[index].parts if part.state not in FINAL]
            ways = [leg.routes for index in sorted(going) for leg in legs[index] or ()]
            ways += [(part.route,) for part in parts if keeps_route(part)]
            senders = {envelope.sender.email.lower() for envelope in envelopes.values() if envelope is not None}
            troubled = await self._less_canaries(troubled, entry.batch, ways, senders)
        return {
            index: PlanningContext(
                submission=entry.messages[index],
                now=now,
                legs=legs[index],
                exists=self._settings.routes.__contains__,
                closed=_braked(braked[index]) if index in braked else _closed(troubled, envelope, now),
                shortage=await self._shortages(envelope, legs[index], statuses[index] if statuses else None),
                can_verify=self.can_verify,
                lease_seconds=self._settings.attempt_seconds,
            )
            for index, envelope in envelopes.items()
        }

    def _braked(self, entry: entries.BatchEntry, indices: Iterable[int], now: datetime) -> Mapping[int, HeldRoute]:
        """Return what holds each message whose client is held on this lane, whichever route it would take."""
        brakes = self._brakes.known()
        found: dict[int, HeldRoute] = {}
        for index in indices if brakes else ():
            brake = brakes.get(entry.messages[index].client_id)
            if brake is not None and brake.figures is not None and brake.covers(entry.lane):
                found[index] = HeldRoute(scope=brake.scope, code=brake.figures.cause, until=now + CANARY_WAIT)
        return found

    def can_verify(self, route: str) -> bool:
        """Return whether Relay can ask a route's provider about a lost response: False for a route that no longer exists."""
        known = self._settings.routes.get(route)
        if known is None:
            return False
        module = provider_module(known.provider)
        # A module says so itself where that depends on the account.
        says = getattr(module, "can_verify", None)
        return "verify" in module.CAPABILITIES.features and (says is None or bool(says(known.settings)))

    async def _envelope(
        self, entry: entries.BatchEntry, index: int, statuses: Sequence[MessageStatus] | None
    ) -> Message | None:
        submission = entry.messages[index]
        envelope = submission.message or await self._content.message(submission)
        sender = statuses[index].sender if statuses is not None else None
        return envelope if envelope is None or sender is None else msgspec.structs.replace(envelope, sender=sender)

    async def _has_unsubscribed(self, submission: Submission, envelope: Message) -> bool:
        """Return whether the recipient of a message about a topic has unsubscribed from it, perhaps after it was accepted."""
        if submission.unsubscribe is None:
            return False
        topic, email = submission.unsubscribe.topic, envelope.recipients[0].email
        return await self._suppressions.is_unsubscribed(submission.client_id, topic, email)

    def _legs(self, entry: entries.BatchEntry, index: int, envelope: Message | None) -> Sequence[Leg] | None:
        if envelope is None:
            return None
        return self._router.legs(entry.messages[index], envelope, entry.lane)

    async def _shortages(
        self, envelope: Message | None, legs: Sequence[Leg] | None, status: MessageStatus | None
    ) -> Callable[[str, Sequence[int]], Shortage | None]:
        if envelope is None:
            return no_shortage
        bound = [part.route for part in status.parts if keeps_route(part)] if status is not None else []
        return await self._external_recipients.shortages(
            envelope, [*(r for leg in legs or () for r in leg.routes), *bound]
        )

    async def _less_canaries(
        self, troubled: Mapping[str, Hold], batch: str, ways: Sequence[Sequence[str]], senders: set[str]
    ) -> Mapping[str, Hold]:
        """Return the holds that apply to this batch: it may be the canary of a route in `trial`.

        It becomes the canary only of a route that it would use, which has no active route before it in the rule.
        """
        closed = dict(troubled)
        for way in ways:
            for route in way:
                found = [hold for hold in closed.values() if _concerns(hold, route, senders)]
                for hold in found:
                    if hold.state is RouteState.TRIAL and await self._holds.claim_canary(hold.scope, batch):
                        del closed[hold.scope]
                if all(hold.scope not in closed for hold in found):
                    break
        return closed


def _has_expired(
    entry: entries.BatchEntry, index: int, now: datetime, statuses: Sequence[MessageStatus] | None
) -> bool:
    """Return whether a message is too old to be sent, so that it cannot be a canary."""
    submission = entry.messages[index]
    parts = statuses[index].parts if statuses is not None else (FRESH,)
    return all(expires_at(resume(part, now), submission) <= now for part in parts)


def _concerns(hold: Hold, route: str, senders: set[str]) -> bool:
    return hold.route == route and (not hold.sender or hold.sender in senders)


def _braked(held: HeldRoute) -> Callable[[str], HeldRoute | None]:
    return lambda _: held


def _closed(troubled: Mapping[str, Hold], envelope: Message | None, now: datetime) -> Callable[[str], HeldRoute | None]:
    def closed(route: str) -> HeldRoute | None:
        if not troubled:
            return None
        hold = troubled.get(route)
        if hold is None and envelope is not None:
            hold = troubled.get(scope_of(route, envelope.sender.email.lower()))
        if hold is None:
            return None
        return HeldRoute(scope=hold.scope, code=hold.code, until=max(hold.next_probe_at or now, now + CANARY_WAIT))

    return closed
