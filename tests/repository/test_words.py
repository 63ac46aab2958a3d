"""Documents and infrastructure use the field's words, not private ones that readers cannot search for."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATHS = ("*.md", "*.http", "*.yml", "*.yaml", "*.toml", "*.bicep", "*.kql", "infra/*.json", "docs/*.json", "Makefile")
PRIVATE = re.compile(
    r"\b(told|anew|mends?|mended|whom|somebody|everybody|meanwhile|so many|not to be had|web hooks?|time-outs?|clean-up)\b",
    re.IGNORECASE,
)


def documents() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "--", *PATHS], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607 - git from the path
    return listed.stdout.split()


@pytest.mark.parametrize("path", documents())
def test_document_uses_the_fields_words(path: str) -> None:
    lines = enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1)
    assert [f"{number}: {line}" for number, line in lines if PRIVATE.search(line)] == []


def test_private_word_is_found() -> None:
    assert PRIVATE.search("Nobody is told anew.")
