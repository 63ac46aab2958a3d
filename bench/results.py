"""Measured figures with median and spread, and the targets of the design."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Literal

import msgspec

OUT = Path(__file__).parent / "out"
"""The folder of `results.json`."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one measurement. `name` is a path such as `accepted/relay/32`."""

    name: str
    unit: str
    runs: Sequence[float]

    @property
    def median(self) -> float:
        """Return the median of the runs."""
        return median(self.runs)

    @property
    def spread(self) -> str:
        """Return minimum and maximum as text; empty for a single run."""
        return f"{min(self.runs):,.4g} to {max(self.runs):,.4g}" if len(self.runs) > 1 else ""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The bound for a figure, or for its ratio to another figure of the same run."""

    what: str
    figure: str
    to: str | None = None
    bound: Literal["at least", "at most"]
    value: float


TARGETS = (
    Target(
        what="accepted/s at 32 connections, to the tutorial",
        figure="accepted/relay/32", to="accepted/tutorial/32", bound="at least", value=5,
    ),
    Target(
        what="CPU of the tutorial's host per message accepted, to Relay's",
        figure="accepted/tutorial/32 host CPU", to="accepted/relay/32 host CPU", bound="at least", value=5,
    ),
    Target(
        what="p99 of acceptance at 200/s, to the tutorial",
        figure="latency/relay/p99", to="latency/tutorial/p99", bound="at most", value=0.25,
    ),
    Target(what="end to end, to Postfix", figure="end to end/relay", to="end to end/postfix", bound="at least", value=2.2),
    Target(what="end to end, to the tutorial", figure="end to end/relay", to="end to end/tutorial", bound="at least", value=15),
    Target(
        what="raw MIME of 20 KB end to end, to Postfix",
        figure="raw 20 KB/relay", to="raw 20 KB/postfix", bound="at least", value=1.5,
    ),
    Target(
        what="one message to an idle relay, p50 (s)",
        figure="one message/p50 to the provider", bound="at most", value=0.6,
    ),
    Target(
        what="one message to an idle relay, p99 (s)",
        figure="one message/p99 to the provider", bound="at most", value=1.3,
    ),
    Target(what="storage transactions per message, 32 senders", figure="transactions/32", bound="at most", value=0.5),
    Target(what="storage transactions per message, one sender", figure="transactions/1", bound="at most", value=4.2),
    Target(what="import of function_app (ms)", figure="import/relay", bound="at most", value=250),
    Target(
        what="import of function_app, to the tutorial",
        figure="import/relay", to="import/tutorial", bound="at most", value=0.5,
    ),
    Target(
        what="process start to the first 202, to the tutorial",
        figure="first 202/relay", to="first 202/tutorial", bound="at most", value=0.65,
    ),
    Target(what="peak resident memory of the worker (MiB)", figure="memory/peak", bound="at most", value=70),
    Target(
        what="memory after 100,000 messages, to after 10,000",
        figure="memory/end", to="memory/tenth", bound="at most", value=1.1,
    ),
    Target(what="storage operations per message, batch of 1000", figure="batch/operations", bound="at most", value=0.1),
    Target(what="delivery events accepted per second", figure="events/taken", bound="at least", value=2_000),
    Target(what="delivery events applied per second", figure="events/applied", bound="at least", value=5_000),
)  # fmt: skip
"""The targets. Ratios are between figures of the same run."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A target and its value; None if not measured."""

    target: Target
    value: float | None

    @property
    def is_met(self) -> bool | None:
        """Return whether the target is met; None if not measured."""
        if self.value is None:
            return None
        return self.value >= self.target.value if self.target.bound == "at least" else self.value <= self.target.value


def verdicts(figures: Sequence[Figure]) -> list[Verdict]:
    """Return every target with its value."""
    known = {figure.name: figure.median for figure in figures}
    return [Verdict(target=target, value=_value(target, known)) for target in TARGETS]


def _value(target: Target, known: dict[str, float]) -> float | None:
    value = known.get(target.figure)
    if value is None or target.to is None:
        return value
    other = known.get(target.to)
    return None if not other else value / other
