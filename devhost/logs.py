"""Write log lines to stderr: time, level, function name, message."""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import TextIO

# The function that the current task runs, for its log lines. A ContextVar is local to a task.
current_function: ContextVar[str] = ContextVar("devhost_current_function", default="host")

LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}


# The worker library writes a line per invocation and the SDKs one per request; both would hide the app's own lines.
QUIET = ("azure", "asyncio")


class LineFormatter(logging.Formatter):
    """Formats a record as one line; further lines of its message follow indented."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage().rstrip().replace("\n", "\n    ")
        function = current_function.get()
        line = f"{self.formatTime(record)} {record.levelname:<8} [{function}] {message}"
        if record.exc_info:
            line += "\n    " + self.formatException(record.exc_info).replace("\n", "\n    ")
        return line


def set_up_logging(level: str, stream: TextIO = sys.stderr) -> None:
    """Attach the only handler. `level` is a host.json log level such as Information."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS.get(level.lower(), logging.INFO))
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
