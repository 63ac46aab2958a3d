"""Every link between the project's documents leads to a file, and to a heading in it."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "devhost/README.md", ROOT / "connector/README.md"]
)


ON_GITHUB = {"../../codespaces/new"}
"""Pages of GitHub, relative to the README as GitHub shows it."""


def test_links_lead_somewhere() -> None:
    assert [
        f"{page}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
        if target not in ON_GITHUB and not (page.parent / target).exists()
    ] == []


def test_anchors_name_a_heading() -> None:
    links = [
        (page, page.parent / path if path else page, anchor)
        for page in PAGES
        for path, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page.read_text())
    ]
    anchors = {target: _anchors(target) for _, target, _ in links if target.suffix == ".md"}
    assert [
        f"{page}: #{anchor}" for page, target, anchor in links if target in anchors and anchor not in anchors[target]
    ] == []


def _anchors(page: Path) -> set[str]:
    """The anchor of each heading, as GitHub makes it: lower case, no punctuation, hyphens for spaces."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text) for text in re.findall(r"^#+ (.+)$", prose, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-") for text in headings}


NOT_IN_GIT = {"bench/out/results.json", "relay/ca/corp.pem"}
"""Paths that the documents name and that exist only after a run, or on a reader's machine."""


def test_paths_in_the_text_exist() -> None:
    folders = "relay|tests|infra|scripts|docs|standins|devhost|hooks|bench"
    assert [
        f"{page}: {path}"
        for page in PAGES
        for path in re.findall(rf"`((?:{folders})/[\w./-]+)`", page.read_text())
        if path not in NOT_IN_GIT and not (ROOT / path).exists()
    ] == []
