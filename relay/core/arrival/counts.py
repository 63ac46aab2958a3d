"""Count arrivals by client, tag, route and recipient domain, in bounded space for any mail. Pure, except for `Tally`."""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

import msgspec

from relay.core.arrival.arrivals import Arrival, RecipientArrival
from relay.core.arrival.recipient_states import BounceType

MAX_NAMES = 10_000
"""Names of a dimension that are counted separately within an hour; later ones are counted as `OTHERS`."""
MAX_KEPT_NAMES = 200
"""Names of a dimension that are stored for an hour: those with the most bounces and complaints, and those with the most mail."""
MAX_KEPT_BYTES = 60_000
"""Bytes of a dimension's counts: a property of a row holds 65,536."""
OTHERS = ""
"""The name that stands for all other names, and for mail without a name."""


class Dimension(StrEnum):
    """A property of mail by which arrivals are counted."""

    CLIENT = "client"
    TAG = "tag"
    ROUTE = "route"
    DOMAIN = "domain"


class Counts(msgspec.Struct, frozen=True, array_like=True):
    """Numbers of recipients by arrival. `sent` counts every copy that a provider accepted, except suppressed ones.

    A complaint implies a delivery, so `delivered` includes `complained`.
    """

    sent: int = 0
    delivered: int = 0
    hard_bounced: int = 0
    soft_bounced: int = 0
    complained: int = 0
    suppressed: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Counts(*(one + two for one, two in pairs))

    @property
    def bounced(self) -> int:
        """Hard and soft bounces."""
        return self.hard_bounced + self.soft_bounced

    @property
    def bounce_rate(self) -> float:
        """Hard and soft bounces as a share of the sent copies, from 0 to 1."""
        return self.bounced / self.sent if self.sent else 0.0

    @property
    def complaint_rate(self) -> float:
        """Complaints as a share of the sent copies, from 0 to 1."""
        return self.complained / self.sent if self.sent else 0.0


type Named = Mapping[str, Counts]
"""Counts by name."""


class HourCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The arrivals of the mail that was accepted in one hour."""

    total: Counts
    by: Mapping[Dimension, Named]


_ONE: Mapping[RecipientArrival, Counts] = {
    RecipientArrival(arrival=Arrival.COMPLAINED): Counts(sent=1, delivered=1, complained=1),
    RecipientArrival(arrival=Arrival.BOUNCED, bounce_type=BounceType.HARD): Counts(sent=1, hard_bounced=1),
    RecipientArrival(arrival=Arrival.BOUNCED, bounce_type=BounceType.SOFT): Counts(sent=1, soft_bounced=1),
    RecipientArrival(arrival=Arrival.SUPPRESSED): Counts(suppressed=1),
    RecipientArrival(arrival=Arrival.NOT_REPORTED): Counts(sent=1),
    RecipientArrival(arrival=Arrival.AWAITED): Counts(sent=1),
    RecipientArrival(arrival=Arrival.DELIVERED): Counts(sent=1, delivered=1),
}


def counts_of(arrival: RecipientArrival) -> Counts:
    """Return the counts of one recipient."""
    return _ONE[arrival]


class Tally:
    """Adds up counts."""

    def __init__(self) -> None:
        self._total = _nothing()
        self._by: dict[Dimension, dict[str, list[int]]] = {dimension: {} for dimension in Dimension}

    def add(self, counts: Counts, names: Iterable[tuple[Dimension, str]]) -> None:
        """Add counts in total, and to each of these names."""
        values = [(at, value) for at, value in enumerate(msgspec.structs.astuple(counts)) if value]
        for row in (self._total, *(self._row(dimension, name) for dimension, name in names)):
            for at, value in values:
                row[at] += value

    def _row(self, dimension: Dimension, name: str) -> list[int]:
        named = self._by[dimension]
        return named.setdefault(name if name in named or len(named) < MAX_NAMES else OTHERS, _nothing())

    def merge(self, other: "Tally") -> None:
        """Add the counts of another tally."""
        self.add(Counts(*other._total), ())
        for dimension, named in other._by.items():
            for name, row in named.items():
                for at, value in enumerate(row):
                    self._row(dimension, name)[at] += value

    def hour(self, share: float) -> HourCounts:
        """Return the counts, scaled up from the share of the mail (above 0, up to 1) that was counted."""
        by = {
            dimension: kept({name: _scaled(row, share) for name, row in named.items()})
            for dimension, named in self._by.items()
        }
        return HourCounts(total=_scaled(self._total, share), by=by)


def _nothing() -> list[int]:
    return [0] * len(Counts.__struct_fields__)


def _scaled(row: Iterable[int], share: float) -> Counts:
    return Counts(*(round(value / share) for value in row))


def kept(named: Named) -> Named:
    """Keep the names with the most bounces and complaints, and those with the most mail; add up all others."""
    rest = [name for name in named if name != OTHERS]
    worst = sorted(
        rest, key=lambda name: (named[name].bounced + named[name].complained, named[name].sent), reverse=True
    )
    most = sorted(rest, key=lambda name: named[name].sent, reverse=True)
    chosen = [name for pair in zip(worst, most, strict=True) for name in pair]
    found: dict[str, Counts] = {}
    room = MAX_KEPT_BYTES
    for name in dict.fromkeys(chosen):
        size = len(msgspec.json.encode({name: named[name]}))
        if len(found) == MAX_KEPT_NAMES or size > room:
            break
        found[name] = named[name]
        room -= size
    others = sum((named[name] for name in named if name not in found), Counts())
    return {**found, OTHERS: others} if others != Counts() else found


def summed(hours: Iterable[HourCounts]) -> HourCounts:
    """Add up the counts of several hours."""
    total, by = Counts(), dict[Dimension, dict[str, Counts]]()
    for hour in hours:
        total += hour.total
        for dimension, named in hour.by.items():
            known = by.setdefault(dimension, {})
            for name, counts in named.items():
                known[name] = known.get(name, Counts()) + counts
    return HourCounts(total=total, by=by)


def worst_first(named: Named) -> Iterator[tuple[str, Counts]]:
    """Return names and counts, sorted by bounces and complaints, then by sent copies, the most first; `OTHERS` comes last."""
    return iter(sorted(named.items(), key=_badness))


def _badness(pair: tuple[str, Counts]) -> tuple[bool, int, int, str]:
    name, counts = pair
    return name == OTHERS, -counts.bounced - counts.complained, -counts.sent, name
