"""Every link between the project's documents leads to a file, and to a heading in it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "devhost/README.md", ROOT / "connector/README.md"]
)


ON_GITHUB = {"../../codespaces/new"}
"""Pages of GitHub, relative to the README as GitHub shows it."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
    assert [target for target in targets if target not in ON_GITHUB and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_anchors_name_a_heading(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page.read_text())
    targets = [(page.parent / path if path else page, anchor) for path, anchor in links]
    assert [anchor for target, anchor in targets if target.suffix == ".md" and anchor not in _anchors(target)] == []


def _anchors(page: Path) -> set[str]:
    """The anchor of each heading, as GitHub makes it: lower case, no punctuation, hyphens for spaces."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text) for text in re.findall(r"^#+ (.+)$", prose, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-") for text in headings}


NOT_IN_GIT = {"bench/out/results.json", "relay/ca/corp.pem"}
"""Paths that the documents name and that exist only after a run, or on a reader's machine."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_in_the_text_exist(page: Path) -> None:
    folders = "relay|tests|infra|scripts|docs|standins|devhost|hooks|bench"
    paths = re.findall(rf"`((?:{folders})/[\w./-]+)`", page.read_text())
    assert [path for path in paths if path not in NOT_IN_GIT and not (ROOT / path).exists()] == []
