"""Print the benchmark's result: the cost of a message for each process, and each target with its value."""

from collections.abc import Iterator, Sequence

from bench.results import Figure, Verdict

_PROCESSES = ("host", "azurite", "sink")
_SYSTEMS = (
    ("accepted: Relay", "accepted/relay/32"),
    ("accepted: the tutorial", "accepted/tutorial/32"),
    ("accepted: bare puts", "accepted/bare"),
    ("end to end: Relay", "end to end/relay"),
    ("the same, two processes", "end to end/relay in two processes"),
    ("end to end: the tutorial", "end to end/tutorial"),
    ("end to end: Postfix", "end to end/postfix"),
    ("end to end: bare loop", "end to end/bare"),
    ("the sink alone", "sink alone"),
)
"""Label and figure of the rate of each system; `host` means the system's own processes, together."""


def table(figures: Sequence[Figure], judged: Sequence[Verdict]) -> str:
    """Format both tables. The first omits systems that were not measured; the second marks targets as not measured."""
    return "\n".join(["", *_processes(figures), "", *_targets(judged)])


def _processes(figures: Sequence[Figure]) -> Iterator[str]:
    known = {figure.name: figure.median for figure in figures}
    columns = "".join(f"{name:>12}" for name in ("own", *_PROCESSES[1:]))
    yield f"{'':28}{'messages':>12}   CPU, ms per message"
    yield f"{'':28}{'per second':>12}{columns}"
    for system, rate in _SYSTEMS:
        if rate in known:
            costs = (known.get(f"{rate} {process} CPU") for process in _PROCESSES)
            cells = "".join(f"{'' if cost is None else f'{cost:.3f}':>12}" for cost in costs)
            yield f"{system:28}{known[rate]:>12,.0f}{cells}"


def _targets(judged: Sequence[Verdict]) -> Iterator[str]:
    words = {True: "met", False: "MISSED", None: "not measured"}
    yield f"{'figure':56}{'value':>10}  {'target':18}"
    for verdict in judged:
        value = "" if verdict.value is None else f"{verdict.value:,.3g}"
        target = f"{verdict.target.bound} {verdict.target.value:g}"
        yield f"{verdict.target.what:56}{value:>10}  {target:18}{words[verdict.is_met]}"
