"""Start, watch and stop the child processes of a local run."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

_LAST_LINES = 15


class ChildEndedError(Exception):
    """A child ended unexpectedly. The text has its name, exit code and last output lines."""


def discard(_line: str) -> None:
    """Drop a line of a child's output."""


class Child:
    """One child process, in its own process group: Ctrl-C in a terminal reaches only the parent."""

    def __init__(
        self, *, name: str, process: asyncio.subprocess.Process, ready: re.Pattern[str], times: int,
        echo: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.name = name
        self._process = process
        self._ready_pattern = ready
        self._times = times
        self._echo = echo
        self._last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._matches: list[re.Match[str]] = []
        self._ready = asyncio.get_running_loop().create_future()
        self._pump = asyncio.create_task(self._read_output())

    @classmethod
    async def start(
        cls,
        *,
        name: str,
        argv: Sequence[str | Path],
        ready: re.Pattern[str],
        times: int = 1,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        echo: Callable[[str], None] = discard,
    ) -> Self:
        """Start `argv`. The child is ready once `times` of its output lines match `ready`."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
        return cls(name=name, process=process, ready=ready, times=times, echo=echo)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def until_ready(self, *, timeout_seconds: float) -> list[re.Match[str]]:
        """Wait until the child is ready; return the matches of `ready`. Raises `ChildEndedError`, on a timeout too."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await asyncio.wait([self._ready, self._pump], return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise ChildEndedError(
                f"{self.name} was not ready after {timeout_seconds:g} seconds.{self._tail()}"
            ) from None
        if not self._ready.done():
            raise await self._ended()
        return self._matches

    async def until_ended(self) -> ChildEndedError:
        """Wait until the child ends, for whatever reason. Returns the error instead of raising it."""
        await asyncio.wait([self._pump])
        return await self._ended()

    async def stop(self, *, grace_seconds: float) -> None:
        """Send SIGTERM, so that the child can stop its own children; then SIGKILL to the whole group."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self._process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()
        await asyncio.wait([self._pump])

    async def _ended(self) -> ChildEndedError:
        code = await self._process.wait()
        return ChildEndedError(f"{self.name} ended unexpectedly (exit code {code}).{self._tail()}")

    def _tail(self) -> str:
        return "".join(f"\n  | {line}" for line in self._last_lines)

    async def _read_output(self) -> None:
        """Read all output, in chunks because a line has no limit. A child whose output is not read would block."""
        output = self._process.stdout
        if output is None:
            raise AssertionError("the child was started without a pipe")
        rest = b""
        while chunk := await output.read(65_536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._take(line)
        if rest:
            self._take(rest)

    def _take(self, raw: bytes) -> None:
        line = raw.decode(errors="replace").rstrip()
        self._last_lines.append(line)
        self._echo(line)
        if self._ready.done():
            return
        if match := self._ready_pattern.search(line):
            self._matches.append(match)
        if len(self._matches) == self._times:
            self._ready.set_result(None)


def say(line: str) -> None:
    """Print a line and flush it: stdout may be a pipe."""
    print(line, file=sys.stdout, flush=True)
