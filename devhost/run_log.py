"""Write the log of a local run: everything to a file, and only problems to the terminal."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

_PROBLEM = re.compile(
    r"^\d{4}-\d\d-\d\d (?P<time>\d\d:\d\d:\d\d),\d{3} (?P<level>WARNING|ERROR|CRITICAL) +\[(?P<function>[^\]]*)\] (?P<text>.*)$"
)
_EVENT = re.compile(r"^(?P<name>\w+) (?P<fields>\{.*\})$")


class RunLog:
    """The log file of one run, which begins empty. Only its owner can read it."""

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")
        self._report = report

    def add(self, line: str) -> None:
        """Write a line of a child's output, and report it if it is a warning or an error."""
        self._file.write(f"{line}\n")
        self._file.flush()
        problem = _PROBLEM.match(line)
        if problem is not None:
            self._report(f"{problem['time']} {problem['level'].lower()}: {_readable(problem['text'])}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _readable(text: str) -> str:
    """Write an event's JSON as words: `route_held {"route":"main"}` is `route held (route: main)`."""
    event = _EVENT.match(text)
    if event is None:
        return text
    try:
        fields = msgspec.json.decode(event["fields"], type=dict[str, object])
    except msgspec.DecodeError:
        return text
    words = ", ".join(f"{name}: {value}" for name, value in fields.items())
    return f"{event['name'].replace('_', ' ')} ({words})"
