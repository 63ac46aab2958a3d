"""Measure work without a clock: the instructions that Python runs, and the memory it takes."""

import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

_COUNTER = 4
"""One of the two ids that `sys.monitoring` leaves unassigned."""


class Work:
    """A count of executed instructions, in all threads."""

    def __init__(self) -> None:
        self.instructions = 0

    def count(self, *_: object) -> None:
        """Another one."""
        self.instructions += 1


class Memory:
    """The most bytes that were allocated at once, beyond those before."""

    def __init__(self) -> None:
        self.peak = 0


@contextmanager
def counted() -> Iterator[Work]:
    """Count the instructions that run within."""
    work, monitoring = Work(), sys.monitoring
    monitoring.use_tool_id(_COUNTER, "work")
    try:
        monitoring.register_callback(_COUNTER, monitoring.events.INSTRUCTION, work.count)
        monitoring.set_events(_COUNTER, monitoring.events.INSTRUCTION)
        yield work
    finally:
        monitoring.set_events(_COUNTER, monitoring.events.NO_EVENTS)
        monitoring.free_tool_id(_COUNTER)


@contextmanager
def allocated() -> Iterator[Memory]:
    """Measure the memory that is taken within."""
    memory = Memory()
    tracemalloc.start(1)
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield memory
        memory.peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
