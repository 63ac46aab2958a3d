"""The crash-point mutants still apply: their texts stand once in their modules, and their copy has all that the tests import."""

import ast
from pathlib import Path

import pytest

from tests.crash_points.mutants import MUTANTS, NEEDED, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.breaks)
def test_mutated_text_stands_once_in_its_module(mutant: Mutant) -> None:
    assert (ROOT / "relay" / mutant.module).read_text().count(mutant.old) == 1
    assert mutant.new != mutant.old


def test_copy_has_every_test_module_that_the_crash_points_import() -> None:
    needed = {name.removesuffix(".py").replace("/", ".") for name in NEEDED}
    imported = {
        ".".join(name.split(".")[:2])
        for path in (ROOT / "tests" / "crash_points").glob("*.py")
        for name in _imported(path)
        if name.startswith("tests.")
    }
    assert imported <= needed


def _imported(path: Path) -> set[str]:
    """Return the full names that a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names
