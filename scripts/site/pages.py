"""The pages and the navigation of the site: those of docs/README.md, in its order and with its titles.

Documents outside of `docs` that a page links to become pages too. Links to other files of the repository become their text.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INDEX = DOCS / "README.md"
RECORDS = DOCS / "decisions/README.md"
OUTSIDE = "project"
"""The folder of the site for documents outside of `docs`."""

_SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")
_CODE = re.compile(r"(^ *```.*?^ *```|`[^`\n]+`)", re.MULTILINE | re.DOTALL)

type Nav = list[dict[str, Any]]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row of an index: the text of its first link and its second column, and the pages that it links to."""

    link: str
    text: str
    pages: Sequence[Path]


def navigation() -> Nav:
    """Return a section for each heading of the index, with the decision records below theirs, and one for the translations."""
    sections: Nav = [{"Documentation": site_path(INDEX)}]
    translations: Nav = []
    for heading, text in _SECTION.findall(INDEX.read_text()):
        entries: Nav = []
        for row in _rows(INDEX, text):
            page, *others = row.pages
            entries.append({row.link: _records() if page == RECORDS else site_path(page)})
            translations += [{_title(other): site_path(other)} for other in others]
        sections.append({heading: entries})
    return [*sections, {"日本語": translations}]


def outside() -> Sequence[Path]:
    """Return the documents outside of `docs` that a page of the site links to, directly or through another of them."""
    found: set[Path] = set()
    waiting = list(DOCS.rglob("*.md"))
    while waiting:
        new = {target for target in _targets(waiting.pop()) if target.suffix == ".md" and target.is_file()}
        new = {target for target in new if not target.is_relative_to(DOCS)} - found
        found |= new
        waiting += new
    return sorted(found)


def for_site(page: Path, pages: Sequence[Path]) -> str:
    """Return the text of a document, with its links changed to places of the site. `pages` are those outside of `docs`."""
    folder = PurePosixPath(site_path(page)).parent

    def changed(link: re.Match[str]) -> str:
        target = _target(page, link)
        if not target.is_relative_to(DOCS) and target.exists() and target not in pages:
            return link[1]
        return f"[{link[1]}]({os.path.relpath(site_path(target), folder)}{link[3] or ''})"

    # The odd parts are code.
    parts = enumerate(_CODE.split(page.read_text()))
    return "".join(_code(part) if number % 2 else _LINK.sub(changed, part) for number, part in parts)


def site_path(page: Path) -> str:
    """Return the place of a document in the site."""
    if page.is_relative_to(DOCS):
        return page.relative_to(DOCS).as_posix()
    return f"{OUTSIDE}/{page.relative_to(ROOT).as_posix()}"


def _code(part: str) -> str:
    """Return code for Python-Markdown: in a cell of a table it shows the backslash that GitHub needs before a bar."""
    return part if "\n" in part else part.replace("\\|", "|")


def _records() -> list[Any]:
    records = _rows(RECORDS, RECORDS.read_text())
    return [site_path(RECORDS), *({row.text: site_path(row.pages[0])} for row in records)]


def _rows(index: Path, text: str) -> Iterator[Row]:
    for line in text.splitlines():
        if line.startswith("| ["):
            links = list(_LINK.finditer(line))
            _, _, column = line.rstrip(" |").partition(" | ")
            yield Row(link=links[0][1], text=column, pages=[_target(index, link) for link in links])


def _targets(page: Path) -> Iterator[Path]:
    for part in _CODE.split(page.read_text())[::2]:
        yield from (_target(page, link) for link in _LINK.finditer(part))


def _target(page: Path, link: re.Match[str]) -> Path:
    target = (page.parent / link[2]).resolve()
    return target / "README.md" if target.is_dir() else target


def _title(page: Path) -> str:
    return page.read_text().partition("\n")[0].removeprefix("# ")
