"""Generate load with programs that are faster than Python: `hey` (Debian's package) for HTTP, `smtp-source` for SMTP."""

import asyncio
import csv
import io
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from statistics import quantiles

import msgspec

NEEDED = ("hey", "postfix", "smtp-source", "smtp-sink")


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a load: responses with the expected status, other responses, total seconds, latencies in ms."""

    good: int
    bad: int
    seconds: float
    latencies: Sequence[float]

    @property
    def rate(self) -> float:
        """Expected responses per second."""
        return self.good / self.seconds

    def percentile(self, percent: int) -> float:
        """Return a percentile of the latency in milliseconds."""
        return quantiles(self.latencies, n=100, method="inclusive")[percent - 1]


def missing() -> list[str]:
    """Return the required programs that are not installed."""
    return [name for name in NEEDED if shutil.which(name) is None]


async def post(
    url: str,
    body: bytes,
    *,
    headers: Mapping[str, str],
    connections: int,
    requests: int | None = None,
    seconds: float | None = None,
    per_second: float | None = None,
    good: int = 202,
    content_type: str = "application/json",
) -> Load:
    """POST the body over several connections: a number of requests or for some seconds, at full speed or `per_second`."""
    with tempfile.NamedTemporaryFile(suffix=".body") as file:
        file.write(body)
        file.flush()
        argv = ["hey", "-m", "POST", "-T", content_type, "-o", "csv", "-t", "60", "-c", str(connections)]
        argv += ["-D", file.name]
        argv += ["-n", str(requests)] if requests is not None else ["-z", f"{seconds}s"]
        argv += ["-q", f"{per_second / connections:g}"] if per_second is not None else []
        argv += [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        begun = time.monotonic()
        process = await asyncio.create_subprocess_exec(*argv, url, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        took = time.monotonic() - begun
    return _load(output.decode(), took, good)


def _load(output: str, seconds: float, good: int) -> Load:
    rows = list(csv.DictReader(io.StringIO(output)))
    wanted = [row for row in rows if row["status-code"] == str(good)]
    last = max((float(row["offset"]) + float(row["response-time"]) for row in wanted), default=seconds)
    latencies = [1000 * float(row["response-time"]) for row in wanted]
    return Load(good=len(wanted), bad=len(rows) - len(wanted), seconds=last or seconds, latencies=latencies)
