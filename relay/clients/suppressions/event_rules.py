"""Suppress recipients after events: the address does not exist, a complaint, an unsubscription.

Partition `reported` of the table has a row for each address that bounced by a report sent as mail, with the clients that had
written to it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from relay.clients.suppressions.rows import ALL, NO_EXPIRY, TABLE, Suppression, key_of, topic_scope
from relay.clients.suppressions.store import Suppressions
from relay.core.events import BounceClass, EventKind, EventSource, MessageEvent
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Tables
from relay.platform.storage.rows import RowChange, change_row

_REPORTED = "reported"
_CONFIRMED = 2
"""The number of clients whose mail must have bounced before a reported address is suppressed for all."""


class EventRules:
    """Adds the suppressions that follow from events."""

    def __init__(self, tables: Tables, suppressions: Suppressions) -> None:
        self._tables = tables
        self._suppressions = suppressions

    async def follow(self, events: Sequence[MessageEvent]) -> None:
        """Suppress the recipients of events, or resubscribe them to a topic."""
        for each in events:
            reason = _reason_of(each)
            if each.event.topic:
                await self._follow_topic(each)
            elif reason and each.is_ours:
                await self._suppress(each, reason)

    async def _suppress(self, event: MessageEvent, reason: str) -> None:
        made = self._suppressions.made(event.event.recipient, reason, event.client_id, source=event.event.provider)
        if made.scope == ALL and not await self._is_believed_for_all(event, made):
            made = msgspec.structs.replace(made, scope=event.client_id)
        await self._suppressions.add(made)
        log_event("suppressed", message=event.message, client=event.client, reason=reason)

    async def _follow_topic(self, event: MessageEvent) -> None:
        """Suppress or resubscribe the recipient for the topic of the event alone."""
        at, email = event.event.at, event.event.recipient
        scope = topic_scope(event.client_id, event.event.topic)
        if not event.is_ours:
            return
        if event.event.kind == EventKind.UNSUBSCRIBED:
            made = self._suppressions.made(
                email, "unsubscribed", event.client_id, scope=scope, source=event.event.provider
            )
            await self._suppressions.add(msgspec.structs.replace(made, at=at))
        elif event.event.kind == EventKind.RESUBSCRIBED:
            known = await self._suppressions.last(scope, email)
            if known is not None and known.at <= at:
                await self._suppressions.resubscribe(scope, email, at)

    async def _is_believed_for_all(self, event: MessageEvent, made: Suppression) -> bool:
        """Return whether an event may suppress its recipient for other clients too.

        A provider's authenticated event may. A report sent as mail can be forged by anyone who knows the message's id: its
        recipients and its client. So it counts only if the message had no other recipient, and only once a second client has
        such a report too. A client's own report counts for that client alone.
        """
        if event.source is EventSource.PROVIDER:
            return True
        if event.source is EventSource.CLIENT or not event.is_sole_recipient:
            return False

        def decide(known: Entity | None) -> RowChange[bool]:
            reported = _reported_by(known, made.at)
            if event.client_id in reported or len(reported) >= _CONFIRMED:
                return RowChange(result=len(reported) >= _CONFIRMED)
            both = [*reported, event.client_id]
            return RowChange(
                result=len(both) >= _CONFIRMED,
                properties={"clients": msgspec.json.encode(both), "expires_at": made.expires_at or NO_EXPIRY},
            )

        return await change_row(self._tables, TABLE, _REPORTED, key_of(made.email), decide)


def _reason_of(event: MessageEvent) -> str:
    if event.event.kind == EventKind.BOUNCED and event.event.bounce_class == BounceClass.ADDRESS:
        return "bounced"
    reasons: Mapping[str, str] = {EventKind.COMPLAINED: "complained", EventKind.UNSUBSCRIBED: "unsubscribed"}
    return reasons.get(event.event.kind, "")


def _reported_by(known: Entity | None, now: datetime) -> Sequence[str]:
    """Return the ids of the clients whose mail to this address was reported as bounced, while that counts."""
    expires_at = known.properties["expires_at"] if known is not None else None
    if known is None or not isinstance(expires_at, datetime) or expires_at <= now:
        return ()
    return msgspec.json.decode(bytes(known.properties["clients"]), type=tuple[str, ...])  # type: ignore[arg-type] # bytes
