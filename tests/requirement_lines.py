"""Read a requirements file with hashes, as `uv pip compile` writes it."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement


def lines_of(path: Path) -> Iterator[tuple[Requirement, Sequence[str]]]:
    """Yield each requirement with its hashes."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text().replace("\\\n", ""), flags=re.MULTILINE)
    for line in text.splitlines():
        requirement, *hashes = re.split(r"\s+--hash=", line.strip())
        if requirement:
            yield Requirement(requirement), hashes
