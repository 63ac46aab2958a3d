"""The arithmetic of a budget for 24 hours: no window exceeds the limit, and the last fifth lasts until the window has rolled."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.settings import RecipientBudget
from relay.routes.recipient_budget.window import COUNTED_SECONDS, DAY, GRACE, HOUR, Hours, added, fits, opens_at, used
from tests.depth import examples

NOON = 500_000 * HOUR
"""The start of an hour."""


def at(**hours: int) -> Hours:
    """Counts by hours before noon: `h3=7` are 7 recipients in the hour three hours before."""
    return {NOON // HOUR - int(name[1:]): count for name, count in hours.items()}


def test_hour_counts_until_its_last_moment_is_a_day_old() -> None:
    hours = at(h25=5, h24=7, h0=1)
    assert used(hours, NOON) == 13
    assert used(hours, NOON + GRACE - 1) == 13
    assert used(hours, NOON + GRACE) == 8
    assert used(hours, NOON + HOUR + GRACE) == 1


def test_first_four_fifths_may_go_at_once() -> None:
    assert fits(1_000, {}, NOON, 800)
    assert fits(1_000, at(h0=799), NOON, 1)
    assert not fits(1_000, at(h0=808), NOON, 1)


def test_each_hour_has_a_24th_of_the_last_fifth() -> None:
    hours: dict[int, int] = dict(at(h1=800))
    for hour in range(24):
        now = NOON + hour * HOUR
        while fits(1_000, hours, now, 1):
            hours = dict(added(hours, now, 1))
        assert hours[now // HOUR] == 8
    assert used(hours, NOON + 23 * HOUR) == 992


def test_large_message_is_not_cut_by_the_slow_part() -> None:
    assert fits(1_000, at(h1=800), NOON, 150)
    assert not fits(1_000, at(h1=900), NOON, 101)
    assert not fits(1_000, {}, NOON, 1_001)


def test_budget_opens_at_the_next_hour_or_when_an_old_one_leaves() -> None:
    assert opens_at(1_000, at(h0=808), NOON + 60, 1) == NOON + HOUR
    assert opens_at(1_000, at(h20=1_000), NOON, 1) == NOON - 20 * HOUR + COUNTED_SECONDS
    assert opens_at(1_000, at(h20=10, h1=990), NOON, 300) == NOON - HOUR + COUNTED_SECONDS
    assert opens_at(100, {}, NOON, 101) == NOON + DAY


@settings(max_examples=examples(150))
@given(
    st.integers(1, 300),
    st.lists(st.tuples(st.integers(0, 6 * HOUR), st.integers(1, 60), st.integers(0, GRACE - 1)), max_size=60),
)
def test_no_window_of_a_day_exceeds_the_limit(limit: int, wishes: list[tuple[int, int, int]]) -> None:
    """Also if an attempt sends some minutes after it was counted."""
    hours: Hours = {}
    now, sent = NOON, list[tuple[int, int]]()
    for pause, wanted, late in wishes:
        now += pause
        if fits(limit, hours, now, wanted):
            hours = added(hours, now, wanted)
            sent.append((now + late, wanted))
        else:
            later = opens_at(limit, hours, now, wanted)
            assert later > now
            assert wanted > limit or fits(limit, hours, later, wanted)
    for begin, _ in sent:
        assert sum(count for moment, count in sent if begin <= moment < begin + DAY) <= limit
    assert len(hours) <= COUNTED_SECONDS // HOUR + 2


@pytest.mark.parametrize(
    ("domain", "is_external"),
    [
        ("contoso.com", False),
        ("Contoso.COM", False),
        ("eu.contoso.com", True),
        ("fabrikam.com", True),
        ("a.fabrikam.com", False),
        ("xfabrikam.com", True),
    ],
)
def test_internal_domains_are_exact_unless_a_pattern(domain: str, is_external: bool) -> None:
    budget = RecipientBudget(tenant="t", internal_domains=("contoso.com", "*.fabrikam.com"))
    assert budget.is_external(domain) is is_external
