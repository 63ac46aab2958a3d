"""Sample mails that are changed at random are read, by every entrance and within a bounded number of instructions."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.depth import examples
from tests.mail_fuzzing import ENTRANCES, check, mutated


@pytest.mark.parametrize("entrance", ENTRANCES)
@given(seed=st.integers(min_value=0))
@settings(max_examples=examples(40))
def test_any_mail_is_read_in_bounded_work(entrance: str, seed: int) -> None:
    check(entrance, mutated(random.Random(seed)))
