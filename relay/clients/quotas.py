"""Limit how much a client sends: a rate and a daily quota, shared by all instances.

An instance does not access storage for each message: with one read and one write by ETag it reserves a share, and spends that
first. Requests that wait for a reservation share it. A share of the rate is the number of messages that the instance spent in
the last two seconds, less one standard deviation, so that many instances with little traffic reserve no more than they use; the
unused messages expire after two seconds. A share of the quota is half of the recipients that the instance spent today, at most
1/100 of the quota; the unused recipients are lost when the process ends. So the quota is never exceeded, and a client at half of
it is never refused.
Table `quotas`: partition the client's id, rows `rate` and `day-<yyyymmdd>` (docs/decisions/0012-quotas.md).
"""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from relay.clients.registry import Client
from relay.clients.request_rate import RequestRate
from relay.core.errors import Refusal, UnreadableEntry
from relay.core.settings import Pace
from relay.platform import resources
from relay.platform.gcra import burst_of, free_cells, interval_of, wait_for
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Tables
from relay.platform.storage.readable import decode
from relay.platform.storage.rows import RowChange, change_row

TABLE = resources.QUOTAS_TABLE
SHARE_SECONDS = 2.0
QUOTA_SHARES = 100
WARN_AT = 0.9
KEPT = timedelta(days=2)
_MINUTE = 60


class _LocalShare(msgspec.Struct):
    """The part of a client's rate and quota that this process has reserved and not yet spent."""

    rate: int = 0
    free: int = 0
    """Messages that the row had left after the last reservation."""
    rate_until: datetime = datetime.min.replace(tzinfo=UTC)
    spent: int = 0
    """Messages since `spent_since`."""
    spent_since: datetime = datetime.min.replace(tzinfo=UTC)
    spent_before: float = 0
    """Messages in `SHARE_SECONDS` before that."""
    waiting: int = 0
    """Messages of requests that wait for their part of the rate."""
    day: str = ""
    quota: int = 0
    quota_spent: int = 0
    """Recipients of `day`."""
    waiting_recipients: int = 0

    def spend(self, messages: int) -> None:
        """Take messages from the reserved rate."""
        self.rate -= messages
        self.spent += messages

    def next_share(self, now: datetime) -> int:
        """Return how many messages to reserve: one standard deviation less than were spent in `SHARE_SECONDS`."""
        seconds = (now - self.spent_since).total_seconds()
        if seconds >= SHARE_SECONDS:
            self.spent_before = self.spent * SHARE_SECONDS / seconds
            self.spent, self.spent_since = 0, now
        expected = max(self.spent, self.spent_before)
        return int(expected - math.sqrt(expected))


class Quotas:
    """Counts messages and recipients against the rates and quotas of clients."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._clock = clock
        self.requests = RequestRate(clock)
        self._shares: dict[str, _LocalShare] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def take_messages(self, client: Client, messages: int) -> None:
        """Take messages from the client's rate before they are read: messages that are then refused, or only checked, count too.

        Raises `Refusal` (429) with `Retry-After` if there are not enough.
        """
        rate = client.policy.rate_per_minute
        if rate is None:
            return
        local = self._shares.setdefault(client.id, _LocalShare())
        local.waiting += messages
        try:
            async with self._locks.setdefault(client.id, asyncio.Lock()):
                await self._fill_rate(client, local, rate, messages, self._clock())
                local.spend(messages)
        finally:
            local.waiting -= messages

    async def take_recipients(self, client: Client, recipients: int) -> None:
        """Take recipients from the client's daily quota, for messages that Relay is about to accept.

        A message to a thousand people counts as much as a thousand messages. Raises `Refusal` (429) with `Retry-After` if
        there are not enough.
        """
        quota = client.policy.daily_quota
        if quota is None:
            return
        local = self._shares.setdefault(client.id, _LocalShare())
        local.waiting_recipients += recipients
        try:
            async with self._locks.setdefault(client.id, asyncio.Lock()):
                await self._fill_quota(client, local, quota, recipients, self._clock())
                local.quota -= recipients
                local.quota_spent += recipients
        finally:
            local.waiting_recipients -= recipients

    def headers(self, client: Client) -> Mapping[str, str]:
        """Return `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) for a response to this client."""
        rate = client.policy.rate_per_minute
        if rate is None:
            return {}
        local = self._shares.get(client.id, _LocalShare())
        left = local.rate + local.free if local.rate_until > self._clock() else min(rate, burst_of(_pace(rate)))
        return {
            "RateLimit-Policy": f'"default";q={rate};w={_MINUTE}',
            "RateLimit": f'"default";r={max(0, left)};t={math.ceil(SHARE_SECONDS)}',
        }

    async def _fill_rate(self, client: Client, local: _LocalShare, rate: int, wanted: int, now: datetime) -> None:
        kept = local.rate if local.rate_until > now else 0
        if kept >= wanted:
            return
        pace = _pace(rate)
        if wanted > burst_of(pace):
            raise _too_many_at_once(rate, burst_of(pace))
        expected = max(local.next_share(now), local.waiting - kept)
        share = max(wanted - kept, min(expected, math.ceil(rate * SHARE_SECONDS / _MINUTE)))

        def decide(known: Entity | None) -> RowChange[tuple[int, int]]:
            # After a lost race, time has passed.
            at = self._clock().timestamp()
            arrival = _arrival(known, pace, at)
            free = free_cells(pace, arrival, at)
            if free < wanted - kept:
                raise _too_fast(rate, wait_for(pace, arrival, at, wanted - kept))
            taken = min(free, share)
            later = repr(arrival + taken * interval_of(pace))
            return RowChange(result=(taken, free - taken), properties={"arrival": later, **_written(now)})

        taken, local.free = await change_row(self._tables, TABLE, client.id, "rate", decide, retry_after_seconds=1)
        local.rate = kept + taken
        local.rate_until = self._clock() + timedelta(seconds=SHARE_SECONDS)

    async def _fill_quota(self, client: Client, local: _LocalShare, quota: int, wanted: int, now: datetime) -> None:
        day = f"{now:%Y%m%d}"
        if local.day == day and local.quota >= wanted:
            return
        kept, spent = (local.quota, local.quota_spent) if local.day == day else (0, 0)
        share = max(wanted - kept, min(max(spent // 2, local.waiting_recipients - kept), quota // QUOTA_SHARES))

        def decide(known: Entity | None) -> RowChange[tuple[int, int]]:
            used = int(_counted(known, "used"))
            if quota - used < wanted - kept:
                raise _used_up(quota, now)
            taken = min(quota - used, share)
            return RowChange(result=(used, taken), properties={"used": used + taken, **_written(now)})

        used, taken = await change_row(self._tables, TABLE, client.id, f"day-{day}", decide, retry_after_seconds=1)
        local.day, local.quota, local.quota_spent = day, kept + taken, spent
        if used < WARN_AT * quota <= used + taken:
            log_event("quota_nearly_used", level=logging.WARNING, client=client.name, quota=quota, used=used + taken)


def _counted(known: Entity | None, name: str) -> float:
    """Return a stored number; 0 without a row. Counting begins again in a row that cannot be read: nothing else repairs it."""
    if known is None:
        return 0.0
    try:
        return decode(TABLE, known, lambda row: _finite(str(row.properties[name])))
    except UnreadableEntry:
        return 0.0


def _arrival(known: Entity | None, pace: Pace, now: float) -> float:
    """Return the stored arrival time, at most a whole burst ahead: more was written by an instance whose clock was ahead."""
    return min(max(now, _counted(known, "arrival")), now + burst_of(pace) * interval_of(pace))


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a number")
    return number


def _written(now: datetime) -> Mapping[str, str]:
    """Return the time of writing, by which the purge deletes old rows."""
    return {"created_at": now.isoformat()}


def _pace(rate: int) -> Pace:
    return Pace(count=rate, seconds=_MINUTE)


def _too_fast(rate: int, seconds: float) -> Refusal:
    return Refusal(
        429,
        "too_many_requests",
        f"This client may send {rate} messages a minute (policy: rate_per_minute). Repeat the request after Retry-After.",
        headers={"Retry-After": str(max(1, math.ceil(seconds)))},
    )


def _too_many_at_once(rate: int, burst: int) -> Refusal:
    return Refusal(
        429,
        "too_many_requests",
        f"This client may send {rate} messages a minute, at most {burst} of them in one request (policy: rate_per_minute)."
        " Send smaller batches.",
        headers={"Retry-After": str(_MINUTE)},
    )


def _used_up(quota: int, now: datetime) -> Refusal:
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return Refusal(
        429,
        "quota_exhausted",
        f"This client may send to {quota} recipients a day (policy: daily_quota); too few are left today."
        " The next day begins at midnight UTC.",
        headers={"Retry-After": str(math.ceil((midnight - now).total_seconds()))},
    )
