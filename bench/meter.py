"""Read CPU seconds and resident memory of processes from /proc, including their descendants."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds since the start, and current resident bytes."""

    cpu_seconds: float
    resident_bytes: int


def usage_of(*pids: int) -> Usage:
    """Return the usage of these processes and their descendants together, including their ended children."""
    ticks = pages = 0
    for fields in _family(pids):
        ticks += sum(int(field) for field in fields[11:15])
        pages += int(fields[21])
    return Usage(cpu_seconds=ticks / _TICKS, resident_bytes=pages * _PAGE)


def _family(pids: Sequence[int]) -> Iterator[list[str]]:
    """Return the fields of /proc/<pid>/stat (proc(5)), from field 3 (state), of processes and their descendants."""
    known = dict(_all_processes())
    family = set(pids)
    while True:
        more = {one for one, fields in known.items() if int(fields[1]) in family} - family
        if not more:
            break
        family |= more
    return (known[one] for one in family if one in known)


def _all_processes() -> Iterator[tuple[int, list[str]]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        yield int(path.parent.name), fields
