"""The crash-point mutants still apply: each text that they replace stands exactly once in its module."""

import pytest

from tests.crash_points.mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.breaks)
def test_mutated_text_stands_once_in_its_module(mutant: Mutant) -> None:
    assert (ROOT / "relay" / mutant.module).read_text().count(mutant.old) == 1
    assert mutant.new != mutant.old
