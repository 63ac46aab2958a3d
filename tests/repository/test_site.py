"""The site has every page of the documentation, in the order of its index, and no link that leads out of it."""

import re
from collections.abc import Iterator
from typing import Any

from scripts.site.pages import DOCS, INDEX, ROOT, for_site, navigation, outside, site_path

PAGES = sorted(DOCS.rglob("*.md"))


def pages(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from [value] if isinstance(value, str) else pages(value)


def test_navigation_has_every_page_once_and_the_order_of_the_index() -> None:
    listed = list(pages(navigation()))
    assert sorted(listed) == sorted(site_path(page) for page in [*PAGES, *outside()])
    rows = [line for line in INDEX.read_text().splitlines() if line.startswith("| [")]
    first = [re.findall(r"\]\((\S+?)\)", row)[0] for row in rows]
    order = [site_path((INDEX.parent / target).resolve()) for target in first]
    assert [page for page in listed if page in order] == order


def test_navigation_has_a_section_for_the_translations() -> None:
    [translations] = navigation()[-1].values()
    titles = {site_path(page): page.read_text().partition("\n")[0].removeprefix("# ") for page in DOCS.rglob("*.ja.md")}
    assert {page: title for entry in translations for title, page in entry.items()} == titles
    assert {"最初の 1 時間": "tutorial.ja.md"} in translations


def test_links_lead_to_pages_of_the_site_or_become_text() -> None:
    others = outside()
    assert "](../project/connector/README.md)" in for_site(DOCS / "how-to/logic-apps.md", others)
    assert "](../providers/README.md)" in for_site(DOCS / "reference/settings.md", others)
    for page in [*PAGES, *others]:
        folder = DOCS / site_path(page)
        targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", for_site(page, others))
        places = {(folder.parent / target).resolve() for target in targets}
        assert {place for place in places if not place.exists()} <= {DOCS / site_path(other) for other in others}


def test_bar_in_a_cell_loses_its_backslash() -> None:
    assert "`deadletters list|show|redrive|discard`" in for_site(DOCS / "command-line.md", ())


def test_blocks_in_lists_are_indented_by_four() -> None:
    """GitHub nests what is indented by three, Python-Markdown does not."""
    assert [f"{page}: {block}" for page in PAGES for block in re.findall(r"\n\n {1,3}\S.*", page.read_text())] == []


def test_search_knows_the_languages_of_the_pages() -> None:
    assert "lang: [en, ja]" in (ROOT / "scripts/site/mkdocs.yml").read_text()
