"""The plots of docs/performance.md: drawn from the benchmark's figures, and all shown on the page."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.plots import PAGES, PLOTS, Plot, draw, line_of

PLACES = (1, 2, 16, 1000)


def figures_of(plot: Plot) -> dict[str, float]:
    """Return invented figures for every line of a plot."""
    return {
        name.format(place): 3.5 * place * number
        for number, name in enumerate(plot.lines.values(), 1)
        for place in PLACES
    }


def texts(path: Path) -> set[str]:
    return {element.text or "" for element in ElementTree.fromstring(path.read_bytes()).iter()}  # noqa: S314 - our own file


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.name)
def test_plot_has_title_axes_and_labels(plot: Plot, tmp_path: Path) -> None:
    assert draw(figures_of(plot), tmp_path) == [plot.name]
    drawn = texts(tmp_path / f"{plot.name}.svg")
    assert {plot.title, plot.x, plot.y} <= drawn
    assert len(plot.lines) == 1 or set(plot.lines) <= drawn


def test_plot_with_missing_figures_is_not_drawn(tmp_path: Path) -> None:
    [plot, *_] = [plot for plot in PLOTS if len(plot.lines) > 1]
    _, other = plot.lines.values()
    assert (
        draw({name: value for name, value in figures_of(plot).items() if not line_of(other, {name: value})}, tmp_path)
        == []
    )
    assert list(tmp_path.iterdir()) == []


def test_same_figures_give_the_same_file_without_scripts(tmp_path: Path) -> None:
    [plot, *_] = PLOTS
    files = []
    for _ in range(2):
        draw(figures_of(plot), tmp_path)
        files.append((tmp_path / f"{plot.name}.svg").read_bytes())
    assert files[0] == files[1]
    assert b"<script" not in files[0]


def test_line_has_the_figures_that_match_its_name() -> None:
    figures = {"by size/1000": 3.0, "by size/20": 2.0, "by size/20 host CPU": 9.0, "by batch/1": 9.0}
    assert list(line_of("by size/{}", figures).items()) == [(20.0, 2.0), (1000.0, 3.0)]


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.name)
def test_page_shows_every_plot(plot: Plot) -> None:
    assert (PAGES / f"{plot.name}.svg").is_file()
    assert f"](performance/{plot.name}.svg)" in PAGES.with_suffix(".md").read_text()
