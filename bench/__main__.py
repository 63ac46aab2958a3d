"""Run all benchmarks, or the named parts. Prints a table at the end and writes bench/out/results.json."""

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime

import msgspec

from bench import (
    acceptance,
    contention,
    end_to_end,
    events,
    idle,
    large,
    latency,
    limits,
    load,
    memory,
    raw,
    report,
    scale,
    smtp,
    start,
    transactions,
)
from bench.over_grpc import measure
from bench.results import OUT, Figure, Verdict, verdicts

PARTS: Mapping[str, Callable[[int], AsyncIterator[Figure]]] = {
    "accepted": acceptance.accepted,
    "latency": acceptance.latency,
    "one-message": latency.idle_to_provider,
    "end-to-end": end_to_end.rates,
    "raw-mime": raw.raw_mime,
    "two-megabytes": large.two_megabytes,
    "limits": limits.limits,
    "transactions": lambda _: transactions.per_message(),
    "batch": lambda _: transactions.batch_of_1000(),
    "events": events.flood,
    "import": start.imports,
    "start": start.first_202,
    "memory": lambda _: memory.resident(),
    "contention": contention.contention,
    "idle": idle.idle,
    "grpc": measure.over_grpc,
    "scale": scale.scale,
    "smtp": smtp.smtp,
}

IN_MEMORY = frozenset(("contention", "idle"))
"""Parts that need no load generator."""


def main() -> int:
    """Run the benchmark. Return the exit code: 0 if all measured targets are met, 1 if one is missed, 2 if it cannot run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"parts to run, from {', '.join(PARTS)}; default: all")
    parser.add_argument("--runs", type=int, default=3, help="number of runs of each measurement (default: 3)")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    if set(options.parts or PARTS) - IN_MEMORY and (absent := load.missing()):
        print(f"Not found: {', '.join(absent)}. On Debian: apt-get install hey postfix", file=sys.stderr)
        return 2
    figures = asyncio.run(_measure(options.parts or list(PARTS), options.runs))
    judged = verdicts(figures)
    _write(figures, judged)
    print(report.table(figures, judged))
    return 1 if any(verdict.is_met is False for verdict in judged) else 0


async def _measure(parts: list[str], runs: int) -> list[Figure]:
    figures: list[Figure] = []
    for part in parts:
        async for figure in PARTS[part](runs):
            figures.append(figure)
            print(f"{figure.name:44}{figure.median:>12,.4g} {figure.unit:14}{figure.spread}", flush=True)
    return figures


def _write(figures: list[Figure], judged: list[Verdict]) -> None:
    OUT.mkdir(exist_ok=True)
    content = {
        "at": datetime.now(UTC),
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "figures": [{"name": f.name, "unit": f.unit, "median": f.median, "runs": f.runs} for f in figures],
        "targets": [{"what": v.target.what, "bound": v.target.bound, "target": v.target.value, "value": v.value, "met": v.is_met}
                    for v in judged],
    }  # fmt: skip
    (OUT / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2))


if __name__ == "__main__":
    sys.exit(main())
