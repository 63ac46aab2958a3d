"""Enforce functionTimeout."""

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
    """Ends the process if an invocation exceeds functionTimeout, even one that blocks the event loop.

    The genuine host kills the whole worker process with every other invocation; here that is this process.
    """

    def __init__(self, limit_seconds: float, expire: Callable[[str], None]) -> None:
        self._limit = limit_seconds
        self._expire = expire
        self._running: dict[str, tuple[float, str]] = {}
        self._stopped = threading.Event()

    def start(self) -> None:
        """Start a thread that checks at least once a second."""
        threading.Thread(target=self._watch, name="function-timeout", daemon=True).start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopped.set()

    def enter(self, invocation_id: str, function: str, now: float) -> None:
        """Start timing an invocation."""
        self._running[invocation_id] = (now, function)

    def leave(self, invocation_id: str) -> None:
        """Stop timing an invocation."""
        self._running.pop(invocation_id, None)

    def overdue(self, now: float) -> str | None:
        """Return the name of a function that has run longer than the limit plus the grace period."""
        limit = self._limit + GRACE_SECONDS
        return next((name for begun, name in list(self._running.values()) if now - begun > limit), None)

    def _watch(self) -> None:
        while not self._stopped.wait(min(1.0, self._limit / 4)):
            name = self.overdue(time.monotonic())
            if name is not None:
                self._expire(name)
                return


def start_watchdog(limit: timedelta | None) -> Watchdog | None:
    """Start a watchdog that ends this process; return None without a limit."""
    if limit is None:
        return None
    watchdog = Watchdog(limit.total_seconds(), _end_process)
    watchdog.start()
    return watchdog


def _end_process(function: str) -> None:
    log.critical("A function timeout has occurred in '%s'. The process ends with all its invocations.", function)
    flush_and_exit(EXIT_FUNCTION_TIMEOUT)


def flush_and_exit(code: int) -> None:
    """End the process as a kill does, except that output is flushed: nothing is cancelled or settled."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
