"""Run the local host with the sample app as a process, and receive the notes that its functions send to the test."""

import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from devhost.children import Child

ROOT = Path(__file__).parent.parent.parent
SAMPLE = Path(__file__).parent / "sample_app"
_READY = re.compile(r"Host is ready on (?P<url>http://\S+)|Host has errors")
# No step takes long; these limits end a test that hangs.
_READY_SECONDS = 60
_NOTE_SECONDS = 60


class Note:
    """A note from a function, which waits for `answer`."""

    def __init__(self, content: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.content = content
        self._writer = writer

    def answer(self, text: str = "") -> dict[str, Any]:
        """Answer the note, so that the function continues."""
        self._writer.write(f"{text}\n".encode())
        self._writer.close()
        return self.content


class Notes:
    """The notes of the functions, in order, by kind."""

    def __init__(self) -> None:
        self._queues: dict[str, asyncio.Queue[Note]] = {}
        self._taking: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def next(self, kind: str) -> Note:
        """Wait for the next note of that kind."""
        async with asyncio.timeout(_NOTE_SECONDS):
            return await self._of(kind).get()

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a function."""
        task = asyncio.create_task(self._take(reader, writer))
        self._taking[task] = writer
        task.add_done_callback(self._taking.pop)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if not line:
            writer.close()
            return
        content = json.loads(line)
        await self._of(content["kind"]).put(Note(content, writer))
        # The function's process may end without reading the answer.
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def end(self) -> None:
        """Close the open connections and wait until they are closed."""
        taking = dict(self._taking)
        for writer in taking.values():
            writer.close()
        await asyncio.gather(*taking)

    def _of(self, kind: str) -> asyncio.Queue[Note]:
        return self._queues.setdefault(kind, asyncio.Queue())


class RunningHost(msgspec.Struct, frozen=True, kw_only=True):
    """A host that is ready. `lines` is its output so far; the sample app listens to `queue`."""

    url: str
    child: Child
    lines: list[str]
    notes: Notes
    queue: str


@asynccontextmanager
async def running_host(
    storage: str, queue: str, *options: str, app: Path = SAMPLE, settings: Mapping[str, str] | None = None
) -> AsyncIterator[RunningHost]:
    """Start the host on a free port; stop it at the end, if the test has not."""
    notes, lines = Notes(), list[str]()
    server = await asyncio.start_server(notes.take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    environment = {"AzureWebJobsStorage": storage, "SAMPLE_QUEUE": queue, "SAMPLE_NOTES": f"127.0.0.1:{port}"}
    child = await Child.start(
        name="the local host",
        argv=(sys.executable, "-m", "devhost", "--port", "0", "--app-root", app, *options),
        ready=_READY,
        env={**os.environ, **environment, **(settings or {}), "PYTHONUNBUFFERED": "1"},
        cwd=ROOT,
        echo=lines.append,
    )
    try:
        [line] = await child.until_ready(timeout_seconds=_READY_SECONDS)
        yield RunningHost(url=line["url"] or "", child=child, lines=lines, notes=notes, queue=queue)
    finally:
        await child.stop(grace_seconds=15)
        server.close()
        await notes.end()
        await server.wait_closed()
