"""The mutants of the crash-point tests (`make mutants`) name texts of relay/: each must still be there to be replaced."""

import pytest

from tests.crash_points.mutants import MUTANTS, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: str(mutant.breaks))
def test_mutant_replaces_one_text_and_leaves_valid_code(mutant: Mutant) -> None:
    text = (ROOT / "relay" / mutant.module).read_text()
    assert text.count(mutant.old) == 1
    compile(text.replace(mutant.old, mutant.new), mutant.module, "exec")
