"""The faults of an operation, and a process of Relay in which each operation can have one.

A dead process does nothing more: its tasks, `finally` blocks included, have no effect.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from enum import StrEnum
from typing import Any

import msgspec

from relay.core.errors import StorageError, Unavailable


class Fault(StrEnum):
    """A fault of an operation."""

    DEATH_BEFORE = "death_before"
    """The process dies before the operation."""
    DEATH_AFTER = "death_after"
    """The process dies after the operation took effect, before it gets the response."""
    LOST = "lost"
    """The operation takes effect and its response is lost."""
    REFUSED = "refused"
    """503 immediately, without effect."""
    TIMED_OUT = "timed_out"
    """No response for a while, without effect."""
    LATE = "late"
    """No response for a while; the operation takes effect after its caller has given up."""
    CHANGED = "changed"
    """Another writer changed the row first: 412 if an ETag is given."""
    STALLED = "stalled"
    """The process stands still before the operation for longer than every lease, and then goes on."""


TIMED_OUT_SECONDS = 15.0
LATE_SECONDS = 20.0
STALLED_SECONDS = 700.0
LATENCY_SECONDS = 0.004
"""Duration of an operation, so that concurrent work overlaps."""


invocation: ContextVar[int] = ContextVar("invocation", default=0)
"""The number of the host's invocation that the current task belongs to; 0 outside of one."""


class ProcessDiedError(BaseException):
    """Raised in the tasks of a process that died. Not an `Exception`: nothing in Relay may catch it."""


class Operation(msgspec.Struct, kw_only=True):
    """One operation on storage or on a provider. `touch` changes the row that a conditional write names.

    `invocation` is known once it has happened: the host's invocation that did it.
    """

    name: str
    is_write: bool = True
    is_storage: bool = True
    invocation: int = 0
    touch: Callable[[], Awaitable[None]] | None = None


type Decide = Callable[["Process", Operation], Awaitable[Fault | None]]
"""Called before every operation. Returns its fault."""


class Process:
    """One process: it lives until an operation kills it, or `die` is called."""

    def __init__(self, number: int, decide: Decide, stir: Callable[[], None]) -> None:
        """`stir` is called when a write takes effect that its caller has given up."""
        self.number = number
        self.death: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._decide = decide
        self._stir = stir
        self._late: list[asyncio.Task[None]] = []
        self._wakes_at = 0.0
        self.has_stalled = False
        self.is_dead = False

    @property
    def is_stalled(self) -> bool:
        """Whether the process stands still now."""
        return self.has_stalled and asyncio.get_running_loop().time() < self._wakes_at

    @property
    def has_writes_under_way(self) -> bool:
        """Whether a write that its caller has given up may still take effect."""
        return not all(task.done() for task in self._late)

    def die(self) -> None:
        """Kill the process."""
        if not self.is_dead:
            self.is_dead = True
            self.death.set_result(None)

    async def begin(self, operation: Operation) -> Fault | None:
        """Return the fault of this operation. Raises `ProcessDiedError` in a dead process, and if the fault is to die first."""
        self.raise_if_dead()
        fault = await self._decide(self, operation)
        if fault is Fault.STALLED:
            self._wakes_at = asyncio.get_running_loop().time() + STALLED_SECONDS
            self.has_stalled = True
        if self.is_stalled:
            await asyncio.sleep(self._wakes_at - asyncio.get_running_loop().time())
        self.raise_if_dead()
        if fault is Fault.DEATH_BEFORE:
            self.die()
            raise ProcessDiedError
        return fault

    async def operate[T](self, operation: Operation, effect: Callable[[], Awaitable[T]]) -> T:
        """Run a storage operation with its fault."""
        fault = await self.begin(operation)
        match fault:
            case Fault.DEATH_AFTER:
                await effect()
                self.die()
                raise ProcessDiedError
            case Fault.LOST:
                await effect()
                raise Unavailable(f"{operation.name}: the response was lost")
            case Fault.REFUSED:
                raise Unavailable(f"{operation.name}: 503")
            case Fault.TIMED_OUT:
                await asyncio.sleep(TIMED_OUT_SECONDS)
                raise Unavailable(f"{operation.name}: no response in time")
            case Fault.LATE:
                self._late.append(asyncio.create_task(self._later(effect)))
                await asyncio.sleep(TIMED_OUT_SECONDS)
                raise Unavailable(f"{operation.name}: no response in time")
            case Fault.CHANGED if operation.touch is not None:
                await operation.touch()
        return await effect()

    def raise_if_dead(self) -> None:
        """Raise `ProcessDiedError` in a dead process."""
        if self.is_dead:
            raise ProcessDiedError

    async def run[T](self, work: Awaitable[T]) -> T:
        """Await some work of this process. Raises `ProcessDiedError` as soon as the process dies, which ends the work."""
        task = asyncio.ensure_future(work)
        ends: set[asyncio.Future[Any]] = {task, self.death}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            self.raise_if_dead()
            return await task
        finally:
            task.cancel()

    async def _later[T](self, effect: Callable[[], Awaitable[T]]) -> None:
        """Run a write whose caller has given up, and drop its response."""
        await asyncio.sleep(LATE_SECONDS)
        with suppress(StorageError):
            await effect()
        self._stir()
