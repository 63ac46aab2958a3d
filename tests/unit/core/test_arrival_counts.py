"""Counts of arrivals: what is added up, and what bounds it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.arrival.arrivals import Arrival, RecipientArrival
from relay.core.arrival.counts import (
    MAX_KEPT_BYTES,
    MAX_KEPT_NAMES,
    MAX_NAMES,
    OTHERS,
    Counts,
    Dimension,
    HourCounts,
    Tally,
    counts_of,
    kept,
    summed,
    worst_first,
)
from relay.core.arrival.recipient_states import BounceType

counts = st.builds(Counts, *[st.integers(0, 9)] * 6)
names = st.dictionaries(st.text(max_size=3), counts, max_size=12)


def test_every_arrival_counts() -> None:
    bounces = [RecipientArrival(arrival=Arrival.BOUNCED, bounce_type=kind) for kind in BounceType]
    others = [RecipientArrival(arrival=arrival) for arrival in Arrival if arrival is not Arrival.BOUNCED]
    total = sum((counts_of(each) for each in [*bounces, *others]), Counts())
    assert total == Counts(sent=6, delivered=2, hard_bounced=1, soft_bounced=1, complained=1, suppressed=1)
    assert (total.bounced, total.bounce_rate, total.complaint_rate) == (2, 2 / 6, 1 / 6)


def test_rates_of_nothing_are_zero() -> None:
    assert (Counts().bounce_rate, Counts().complaint_rate) == (0.0, 0.0)


@settings(max_examples=30)
@given(names)
def test_what_is_kept_adds_up_to_everything(named: dict[str, Counts]) -> None:
    assert sum(kept(named).values(), Counts()) == sum(named.values(), Counts())


def test_names_with_bounces_are_kept_before_small_ones() -> None:
    many = {f"quiet-{number}": Counts(sent=10) for number in range(1000)}
    named = {**many, "large": Counts(sent=9000), "bad": Counts(sent=1, hard_bounced=1)}
    found = kept(named)
    assert len(found) == MAX_KEPT_NAMES + 1
    assert (found["large"], found["bad"]) == (named["large"], named["bad"])
    assert found[OTHERS].sent == 10 * (1000 - MAX_KEPT_NAMES + 2)


def test_long_names_are_kept_as_far_as_a_row_has_room() -> None:
    named = {f"{number:03}" + "請" * 250: Counts(sent=number) for number in range(190)}
    found = kept(named)
    assert sum(len(name.encode()) for name in found) <= MAX_KEPT_BYTES
    assert 50 < len(found) < 190
    assert sum(found.values(), Counts()).sent == sum(range(190))


def test_names_beyond_the_maximum_are_counted_as_others() -> None:
    tally = Tally()
    for number in range(MAX_NAMES + 5):
        tally.add(Counts(sent=1), [(Dimension.DOMAIN, f"d{number}.example")])
    hour = tally.hour(1.0)
    assert hour.total.sent == MAX_NAMES + 5
    assert sum(each.sent for each in hour.by[Dimension.DOMAIN].values()) == MAX_NAMES + 5
    assert len(hour.by[Dimension.DOMAIN]) == MAX_KEPT_NAMES + 1


@settings(max_examples=30)
@given(st.lists(names, max_size=4))
def test_merged_tallies_count_what_one_would(parts: list[dict[str, Counts]]) -> None:
    one, merged = Tally(), Tally()
    for part in parts:
        each = Tally()
        for name, value in part.items():
            one.add(value, [(Dimension.TAG, name)])
            each.add(value, [(Dimension.TAG, name)])
        merged.merge(each)
    assert merged.hour(1.0) == one.hour(1.0)
    by_hour = [HourCounts(total=sum(part.values(), Counts()), by={Dimension.TAG: part}) for part in parts]
    assert summed(by_hour).total == one.hour(1.0).total


def test_share_is_scaled_up_to_the_whole() -> None:
    tally = Tally()
    tally.add(Counts(sent=10, delivered=5), [(Dimension.ROUTE, "main")])
    hour = tally.hour(0.25)
    assert hour.total == hour.by[Dimension.ROUTE]["main"] == Counts(sent=40, delivered=20)


def test_worst_names_come_first_and_others_last() -> None:
    named = {OTHERS: Counts(sent=99, hard_bounced=99), "b": Counts(sent=5), "a": Counts(sent=2, complained=1)}
    assert [name for name, _ in worst_first(named)] == ["a", "b", OTHERS]
