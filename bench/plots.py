"""`python -m bench.plots`: draw the plots of docs/performance.md from the last benchmark (bench/out/results.json).

A plot whose figures were not measured is not changed. Text and lines have medium brightness on a transparent
background, so that they are readable on light and dark pages.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

import msgspec

from bench.results import OUT

PAGES = Path(__file__).parent.parent / "docs" / "performance"
_GREY = "#777777"
_COLORS = ("#2f81f7", "#cc6a1f", "#2da44e")
_DASHES = ("", "10,5", "3,4")
"""In addition to the colors, for readers with color blindness."""


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """A plot: file name, title, axis titles with units, and lines.

    `lines` maps labels to names of figures, with `{}` for the x value. `is_even` places the x values at equal
    distances, for values that double or multiply by ten; otherwise the axis is to scale. `is_logarithmic` is about
    the y axis.
    """

    name: str
    title: str
    x: str
    y: str
    lines: Mapping[str, str]
    is_even: bool = True
    is_logarithmic: bool = False


PLOTS = (
    Plot(
        name="connections", title="Accepted, by connections", x="connections", y="messages a second",
        lines={"Relay": "by connections/relay/{}", "tutorial": "by connections/tutorial/{}"},
    ),
    Plot(
        name="connections-cpu", title="CPU of acceptance, by connections", x="connections", y="ms of CPU a message",
        lines={"Relay": "by connections/relay/{} host CPU", "tutorial": "by connections/tutorial/{} host CPU"},
    ),
    Plot(
        name="backlog", title="Accepted while messages wait", x="messages waiting", y="a second",
        lines={"Relay, messages": "by backlog/{}", "bare puts, one by one": "by backlog/{} bare puts"},
    ),
    Plot(
        name="backlog-cpu", title="CPU of acceptance while messages wait", x="messages waiting", y="ms of CPU a message",
        lines={"host": "by backlog/{} host CPU", "Azurite": "by backlog/{} azurite CPU"},
    ),
    Plot(
        name="size", title="End to end, by the size of an attachment", x="bytes", y="messages a second",
        lines={"Relay": "by size/{}"}, is_logarithmic=True,
    ),
    Plot(
        name="size-cpu", title="CPU end to end, by the size of an attachment", x="bytes", y="ms of CPU a message",
        lines={"Relay": "by size/{} host CPU"}, is_logarithmic=True,
    ),
    Plot(
        name="batch", title="Accepted by POST /v1/messages/batch", x="messages a request", y="messages a second",
        lines={"Relay": "by batch/{}"},
    ),
    Plot(
        name="batch-cpu", title="CPU of POST /v1/messages/batch", x="messages a request", y="ms of CPU a message",
        lines={"Relay": "by batch/{} host CPU"},
    ),
    Plot(
        name="journal", title="Operations, by the size of the journal", x="rows in the journal", y="storage operations",
        lines={"a status read": "by journal/{} status", "the purge, for each batch deleted": "by journal/{} purge"},
    ),
    Plot(
        name="processes", title="End to end, by host processes on two cores", x="processes", y="messages a second",
        lines={"Relay": "by processes/{}"},
    ),
    Plot(
        name="shards", title="A lane of several queues", x="queues of the lane", y="messages a second",
        lines={"accepted": "by shards/{} accepted", "end to end": "by shards/{} end to end"},
    ),
    Plot(
        name="memory", title="Resident memory of the worker", x="messages delivered", y="MiB",
        lines={"Relay": "memory/after {}"}, is_even=False,
    ),
)  # fmt: skip

type Line = Mapping[float, float]
"""Values by x value, in order."""


def main() -> int:
    """Draw the plots. Return the exit code: 2 without results."""
    path = OUT / "results.json"
    if not path.exists():
        print(f"{path} is missing: run `make bench` first.", file=sys.stderr)
        return 2
    results = msgspec.json.decode(path.read_bytes())
    drawn = draw({figure["name"]: figure["median"] for figure in results["figures"]}, PAGES)
    print(f"Drawn: {', '.join(drawn) or 'none'}; unchanged: {', '.join(_others(drawn)) or 'none'}")
    return 0


def draw(figures: Mapping[str, float], folder: Path) -> list[str]:
    """Write a file for each plot that has all its figures. Return the names of those plots."""
    folder.mkdir(exist_ok=True)
    drawn = []
    for plot in PLOTS:
        lines = {label: line_of(name, figures) for label, name in plot.lines.items()}
        if all(lines.values()):
            (folder / f"{plot.name}.svg").write_bytes(_svg(plot, lines))
            drawn.append(plot.name)
    return drawn


def line_of(name: str, figures: Mapping[str, float]) -> Line:
    """Return the figures of a line by the number in place of `{}` in their names."""
    wanted = re.compile(re.escape(name).replace(r"\{\}", r"(\d+)"))
    found = {float(match[1]): value for known, value in figures.items() if (match := wanted.fullmatch(known))}
    return dict(sorted(found.items()))


def _svg(plot: Plot, lines: Mapping[str, Line]) -> bytes:
    import pygal
    from pygal.style import Style

    chart = (pygal.Line if plot.is_even else pygal.XY)(
        title=plot.title, x_title=plot.x, y_title=plot.y,
        style=Style(**_STYLE), width=720, height=380, margin=12, margin_right=40,
        explicit_size=True, no_prefix=True, js=(), show_legend=len(lines) > 1, legend_at_bottom=True,
        truncate_legend=-1, truncate_label=-1, dots_size=4, show_dots=plot.is_even,
        value_formatter=_number, x_value_formatter=_number,
    )  # fmt: skip
    places = sorted({place for line in lines.values() for place in line})
    values = [value for line in lines.values() for value in line.values()]
    if plot.is_even:
        chart.x_labels = [_number(place) for place in places]
    if plot.is_logarithmic:
        chart.logarithmic = True
        chart.y_labels = [10.0**power for power in range(floor(log10(min(values))), ceil(log10(max(values))) + 1)]
        # A label at the very end of the axis is not drawn.
        chart.range = (chart.y_labels[0], 1.1 * chart.y_labels[-1])
    else:
        # Start at zero, so that only a flat line looks flat.
        chart.range = (0, 1.1 * max(values))
    for (label, line), dash in zip(lines.items(), _DASHES, strict=False):
        points: Sequence[Any] = [line.get(place) for place in places] if plot.is_even else list(line.items())
        chart.add(label, points, stroke_style={"dasharray": dash} if dash else None)
    chart.add_xml_filter(_still)
    return bytes(chart.render())


_STYLE: Mapping[str, Any] = {
    "background": "transparent",
    "plot_background": "transparent",
    "foreground": _GREY,
    "foreground_strong": _GREY,
    "foreground_subtle": _GREY,
    "guide_stroke_color": "#7777774d",
    "major_guide_stroke_color": "#7777774d",
    "colors": _COLORS,
    "font_family": "system-ui, sans-serif",
    "title_font_size": 17,
    "label_font_size": 13,
    "major_label_font_size": 13,
    "legend_font_size": 14,
    "stroke_width": "2.5",
    "stroke_opacity": "1",
    "opacity": "1",
}


def _number(value: float) -> str:
    return f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def _still(root: Any) -> Any:
    """Remove scripts, which images do not run, and comments with the time of drawing."""
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.endswith("script"):
                parent.remove(child)
    return root


def _others(drawn: Sequence[str]) -> Iterator[str]:
    return (plot.name for plot in PLOTS if plot.name not in drawn)


if __name__ == "__main__":
    sys.exit(main())
