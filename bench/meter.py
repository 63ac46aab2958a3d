"""What processes use: CPU seconds and resident memory, read from /proc. A process counts with all that it started."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds used since the start, and resident bytes now."""

    cpu_seconds: float
    resident_bytes: int


def usage_of(pid: int) -> Usage:
    """The usage of a process and its living descendants together, and of their children that ended."""
    ticks = pages = 0
    for fields in _family(pid):
        ticks += sum(int(field) for field in fields[11:15])
        pages += int(fields[21])
    return Usage(cpu_seconds=ticks / _TICKS, resident_bytes=pages * _PAGE)


def _family(pid: int) -> Iterator[list[str]]:
    """proc(5): the fields of /proc/<pid>/stat from the state (field 3) on, of the process and its descendants."""
    known = dict(_everybody())
    family = {pid}
    while True:
        more = {one for one, fields in known.items() if int(fields[1]) in family} - family
        if not more:
            break
        family |= more
    return (known[one] for one in family if one in known)


def _everybody() -> Iterator[tuple[int, list[str]]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        yield int(path.parent.name), fields
