"""The project uses the field's words, not private ones that readers cannot search for."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "*.md", "*.http", "*.yml", "*.yaml", "*.toml", "*.bicep", "*.kql", "infra/*.json", "docs/*.json", "Makefile",
)  # fmt: skip
VENDORED = (":!relay/web/docs_ui", ":!LICENSE")
THIS_CHECK = ":!tests/repository/test_words.py"
PRIVATE = re.compile(
    r"\b(told|anew|mends?|mended|whom|so many|not to be had|parcels?|aftermath|vitals|sightings?|strays?|purses?"
    r"|passed over|answers? lost|lost answers?|which way|looks after)\b",
    re.IGNORECASE,
)
TWO_WORDS = re.compile(r"\bweb[ _-]hooks?\b", re.IGNORECASE)
PRIVATE_IN_PROSE = re.compile(
    r"\b(somebody|everybody|meanwhile|tells?|fates?|for ever|time-outs?|clean-up)\b", re.IGNORECASE
)


def files(*patterns: str) -> Sequence[str]:
    listed = subprocess.run(["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, capture_output=True, check=True)  # noqa: S607 - git from the path
    return listed.stdout.decode().strip("\0").split("\0")


def text_of(path: str) -> str | None:
    content = (ROOT / path).read_bytes()
    return None if b"\0" in content else content.decode(errors="replace")


def has_private_word(line: str) -> bool:
    """Return whether a line has one in its prose, or as a part of an identifier."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", line.replace("_", " "))
    return bool(PRIVATE.search(words) or TWO_WORDS.search(line.replace("_", " ")))


def test_every_file_uses_the_fields_words() -> None:
    found = [
        f"{path}:{number}: {line.strip()[:160]}"
        for path in files(".", *VENDORED, THIS_CHECK)
        for number, line in enumerate((text_of(path) or "").splitlines(), 1)
        if has_private_word(line)
    ]
    assert found == []


def test_documents_use_the_fields_words() -> None:
    assert [
        f"{path}:{number}: {line}"
        for path in files(*DOCUMENTS)
        for number, line in enumerate((text_of(path) or "").splitlines(), 1)
        if PRIVATE_IN_PROSE.search(line)
    ] == []


@pytest.mark.parametrize(
    "line",
    [
        "Nobody is told anew.",
        "_MAX_TOLD = 200",
        "def test_a_fault_is_told() -> None:",
        "class ToldLater:",
        "const wasTold = 1;",
        "at most so_many messages",
        "what mends it",
        "to whom",
        "web_hooks, Web hook",
        "It is not to be had.",
        "def takes_all(parcel: SendRequest) -> Sent:",
        "answer_lost, passed_over",
        "[sighting] = read_report(raw)",
        "list(strays(body, schema))",
    ],
)
def test_private_word_is_found(line: str) -> None:
    assert has_private_word(line)


@pytest.mark.parametrize(
    "line", ["recommended amendments", "the WebHook-Request-Origin of webhooks", "WebHooks, web_hooked"]
)
def test_other_word_is_allowed(line: str) -> None:
    assert not has_private_word(line)
