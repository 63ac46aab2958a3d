"""The vocabulary of outcomes: every cause that the code names has a meaning, and replies are cut."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import relay
from relay.core.outcomes import CAUSES, MAX_REPLY, reply_text

OUTCOMES = {"Deferred", "Rejected", "RouteFault", "Unknown"}
CODE = sorted(Path(relay.__path__[0]).rglob("*.py"))


def causes_in(path: Path) -> Iterator[str]:
    """The literal causes of outcomes, of rows of the HTTP providers' tables, and of ends and waits of parts."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        literals = [keyword.value for keyword in node.keywords if keyword.arg == "code"] if name in OUTCOMES else []
        if name == "Row" and any(keyword.arg == "first" for keyword in node.keywords):
            literals = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        if name in ("end", "postpone", "interrupt"):
            literals = [argument for argument in node.args[2:3] if isinstance(argument, ast.Constant)]
        yield from (str(value.value) for value in literals if isinstance(value, ast.Constant) and value.value)


def test_every_cause_has_a_meaning() -> None:
    # A dead letter of another cause would be in a partition that nobody lists.
    found = {(path.name, code) for path in CODE for code in causes_in(path)}
    assert len(found) > 40
    assert {(name, code) for name, code in found if code not in CAUSES} == set()


def test_every_cause_is_a_valid_partition_key() -> None:
    assert all(code.isascii() and code.replace("_", "").isalpha() and code.islower() for code in CAUSES)
    assert all(meaning.endswith(".") for meaning in CAUSES.values())


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("250 ok", "250 ok"),
        ("x" * 2000, "x" * MAX_REPLY),
        ("half \ud83d pair", "half ? pair"),
        ("é" * 999 + "\ud800x", "é" * 999 + "?"),
    ],
)
def test_reply_is_truncated_and_storable(text: str, kept: str) -> None:
    assert reply_text(text) == kept
