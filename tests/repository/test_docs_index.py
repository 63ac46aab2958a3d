"""The index of the documentation lists every page once, with a sentence for each; the glossary is in order."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs/README.md"
RECORDS = ROOT / "docs/decisions/README.md"


def rows(page: Path) -> list[str]:
    return [line for line in page.read_text().splitlines() if line.startswith("| [")]


def listed(index: Path) -> Counter[str]:
    """Return how often the rows of an index link to each page of `docs`."""
    targets = [target for row in rows(index) for target in re.findall(r"\]\(([^)#\s]+)\)", row)]
    paths = [str((index.parent / target).resolve().relative_to(ROOT)) for target in targets]
    return Counter(path for path in paths if path.startswith("docs/"))


def pages() -> set[Path]:
    return set(ROOT.glob("docs/**/*.md")) - {INDEX}


def records() -> set[Path]:
    return {page for page in pages() if page.parent == RECORDS.parent} - {RECORDS}


def once(found: set[Path]) -> Counter[str]:
    return Counter(str(page.relative_to(ROOT)) for page in found)


def test_index_lists_every_page_once() -> None:
    assert listed(INDEX) == once(pages() - records())


def test_decision_records_are_listed_once() -> None:
    assert listed(RECORDS) == once(records())


def test_each_page_of_the_index_has_a_sentence() -> None:
    sentences = [row.split(" | ")[-1].removesuffix(" |") for row in rows(INDEX)]
    assert [sentence for sentence in sentences if not re.fullmatch(r"[A-Z].{15,}\.", sentence)] == []


def test_glossary_is_in_order_and_explains_each_term_once() -> None:
    terms = re.findall(r"^\| \*\*(.+?)\*\*", (ROOT / "docs/glossary.md").read_text(), flags=re.MULTILINE)
    assert len(terms) > 30
    assert terms == sorted(set(terms), key=str.lower)


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 120
