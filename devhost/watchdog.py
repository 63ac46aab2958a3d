"""functionTimeout: what becomes of an invocation that takes too long."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta

log = logging.getLogger("devhost")

GRACE_SECONDS = 2.0
EXIT_FUNCTION_TIMEOUT = 3


class Watchdog:
    """Ends the process when an invocation outlives functionTimeout, even one that blocks the event loop.

    The genuine host kills the whole worker process, and every other invocation in it; here that is this process.
    """

    def __init__(self, limit_seconds: float, expire: Callable[[str], None]) -> None:
        self._limit = limit_seconds
        self._expire = expire
        self._running: dict[str, tuple[float, str]] = {}
        self._stopped = threading.Event()

    def start(self) -> None:
        """Looks every second at most, in a thread of its own."""
        threading.Thread(target=self._watch, name="function-timeout", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()

    def enter(self, invocation_id: str, function: str, now: float) -> None:
        """Begins to time an invocation."""
        self._running[invocation_id] = (now, function)

    def leave(self, invocation_id: str) -> None:
        """Ends it."""
        self._running.pop(invocation_id, None)

    def overdue(self, now: float) -> str | None:
        """The name of a function that has run for longer than the limit and the grace."""
        limit = self._limit + GRACE_SECONDS
        return next((name for begun, name in list(self._running.values()) if now - begun > limit), None)

    def _watch(self) -> None:
        while not self._stopped.wait(min(1.0, self._limit / 4)):
            name = self.overdue(time.monotonic())
            if name is not None:
                self._expire(name)
                return


def start_watchdog(limit: timedelta | None) -> Watchdog | None:
    """A running watchdog that ends this process; none without a limit."""
    if limit is None:
        return None
    watchdog = Watchdog(limit.total_seconds(), _end_process)
    watchdog.start()
    return watchdog


def _end_process(function: str) -> None:
    log.critical("A function timeout has occurred in '%s'. The process ends, and every invocation in it.", function)
    flush_and_exit(EXIT_FUNCTION_TIMEOUT)


def flush_and_exit(code: int) -> None:
    """Ends the process as a kill does, but for its output: nothing is cancelled and nothing is settled."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
