"""Track how far the message trace was read: pure functions.

Mail appears in the trace 5 to 10 minutes after it was sent (learn.microsoft.com/exchange/monitoring/trace-an-email-message/
message-trace-faq), and its rows change: what is deferred is retried for a day. So every minute of received mail is read several
times, each time later: a pass follows the present at its own distance.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from relay.providers.graph.message_trace import LONGEST_WINDOW


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """A pass reads what Exchange received at least `lag` ago, at least `every` at once."""

    name: str
    lag: timedelta
    every: timedelta


FIRST = Pass(name="first", lag=timedelta(minutes=2), every=timedelta(seconds=45))
"""The first reports, as early as possible."""
SURE = Pass(name="sure", lag=timedelta(minutes=15), every=timedelta(seconds=45))
"""Mail that appeared late: 15 minutes are more than the delay that Exchange states."""
LATE = Pass(name="late", lag=timedelta(hours=3), every=timedelta(minutes=10))
"""Mail that Exchange deferred for a while."""
LAST = Pass(name="last", lag=timedelta(hours=26), every=timedelta(minutes=30))
"""Mail that Exchange gave up on after a day."""
PASSES = (FIRST, SURE, LATE, LAST)
_LONGEST_SLICE = timedelta(hours=1)
_BEFORE_FIRST_RUN = timedelta(minutes=15)


class PassProgress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a pass has read: everything received until `read_until`, and of the slice after it the pages before `link`."""

    read_until: datetime
    slice_until: datetime | None = None
    link: str = ""


class TraceProgress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The progress of every pass. Nothing is known of mail before `began_at`.

    `matched_at` is when Exchange received the latest mail that kept Relay's Message-ID.
    """

    began_at: datetime
    passes: Mapping[str, PassProgress] = {}
    matched_at: datetime | None = None

    def of(self, each: Pass) -> PassProgress:
        """Return the progress of a pass."""
        return self.passes.get(each.name) or PassProgress(read_until=self.began_at)

    def with_pass(self, each: Pass, progress: PassProgress) -> "TraceProgress":
        """Replace the progress of a pass."""
        return msgspec.structs.replace(self, passes={**self.passes, each.name: progress})

    def with_match(self, received_at: datetime | None) -> "TraceProgress":
        """Note that Exchange received a mail with Relay's Message-ID."""
        if received_at is None or (self.matched_at is not None and received_at <= self.matched_at):
            return self
        return msgspec.structs.replace(self, matched_at=received_at)

    def knows(self, since: datetime, before: datetime) -> bool:
        """Return whether all mail of Relay's that Exchange received in a period was found, if it had Relay's Message-ID.

        Mail that was found since then shows that Exchange keeps the Message-IDs.
        """
        is_read = self.began_at <= since and before <= self.sure_until
        return is_read and self.matched_at is not None and self.matched_at >= since

    @property
    def sure_until(self) -> datetime:
        """The time until which all mail that Exchange received is known."""
        return self.of(SURE).read_until


def begin(now: datetime) -> TraceProgress:
    """Return the progress before the first run."""
    return TraceProgress(began_at=(now - _BEFORE_FIRST_RUN).replace(microsecond=0))


def next_slice(progress: TraceProgress, each: Pass, now: datetime) -> PassProgress | None:
    """Return what a pass reads next, in whole seconds; None if that is too little yet. A slice that was begun goes on."""
    known = progress.of(each)
    if known.slice_until is not None:
        return known
    newest = (now - each.lag).replace(microsecond=0)
    # After a long standstill: older mail is out of reach, or its answer is of no use any more.
    start = max(known.read_until, newest - LONGEST_WINDOW)
    if newest - start < each.every:
        return None
    return PassProgress(read_until=start, slice_until=min(newest, start + _LONGEST_SLICE))


def restarted(known: PassProgress) -> PassProgress:
    """Read a slice from its first page, and only its first half: its pages were not read before their links expired."""
    if known.slice_until is None:
        return known
    half = (known.slice_until - known.read_until) / 2
    shorter = (known.read_until + half).replace(microsecond=0)
    return PassProgress(read_until=known.read_until, slice_until=max(shorter, known.read_until + timedelta(seconds=1)))
