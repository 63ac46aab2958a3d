"""Packing items into groups by weight."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from relay.platform.packing import packed


@given(st.lists(st.integers(1, 12)), st.integers(1, 30), st.integers(1, 5))
def test_group_ends_only_before_an_item_that_would_exceed_it(items: list[int], room: int, limit: int) -> None:
    groups = list(packed(items, lambda item: item, room=room, limit=limit))
    assert [item for group in groups for item in group] == items
    assert all(len(group) == 1 or (sum(group) <= room and len(group) <= limit) for group in groups)
    assert all(sum(group) + following[0] > room or len(group) == limit for group, following in pairwise(groups))
