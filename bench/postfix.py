"""Measure Postfix as a relay on a virtual machine: Debian's package with its defaults, a queue on disk, and a sink.

Runs a separate instance in a temporary folder; needs root, as Postfix does.
"""

import asyncio
import contextlib
import re
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from bench.meter import usage_of
from devhost.children import Child

_SETTINGS = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
mail_owner = postfix
setgid_group = postdrop
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
myhostname = relay.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{sink}
smtp_dns_support_level = disabled
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
smtpd_relay_restrictions = permit_mynetworks, reject
"""
_SERVICES = """\
{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
tlsmgr unix - - n 1000? 1 tlsmgr
verify unix - - n - 1 verify
"""
_BYTES = 1024
_SINK_COUNT = re.compile(rb"mesg=(\d+)\s")


async def relayed_per_second(
    messages: int, connections: int, content: Sequence[str] = ("-l", str(_BYTES))
) -> tuple[float, float]:
    """Relay messages. Return messages per second until the sink has all, and CPU seconds of Postfix per message.

    `content` is the option of `smtp-source` that sets the content of each message; by default 1 KiB.
    """
    async with sink() as (sink_port, count), _postfix(sink_port) as (port, master):
        await _submit(port, 100, connections, content)
        await count.reaches(100)
        before, begun = usage_of(master).cpu_seconds, time.monotonic()
        await _submit(port, messages, connections, content)
        await count.reaches(100 + messages)
        took = time.monotonic() - begun
        return messages / took, (usage_of(master).cpu_seconds - before) / messages


async def _submit(port: int, messages: int, connections: int, content: Sequence[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        "smtp-source",
        *("-s", str(connections), "-m", str(messages), *content),
        *("-f", "shop@example.com", "-t", "ada@example.net", f"127.0.0.1:{port}"),
    )
    if await process.wait() != 0:
        raise RuntimeError("smtp-source failed")


class Counter:
    """Counts the messages of the sink from its output (`smtp-sink -c`)."""

    def __init__(self) -> None:
        self._messages = 0
        self._changed = asyncio.Event()

    async def follow(self, output: asyncio.StreamReader) -> None:
        """Read the output to its end."""
        rest = b""
        while chunk := await output.read(65_536):
            found = _SINK_COUNT.findall(rest + chunk)
            rest = (rest + chunk)[-64:]
            if found:
                self._messages = max(self._messages, int(found[-1]))
                self._changed.set()

    async def reaches(self, messages: int) -> None:
        """Wait until the sink has received `messages`."""
        while self._messages < messages:
            self._changed.clear()
            await self._changed.wait()


@asynccontextmanager
async def sink() -> AsyncIterator[tuple[int, Counter]]:
    """Run a server that accepts and discards mail. Yields its port and the counter of its messages."""
    port, counter = _free_port(), Counter()
    process = await asyncio.create_subprocess_exec(
        *("smtp-sink", "-c", "-u", "nobody", f"127.0.0.1:{port}", "1024"), stdout=asyncio.subprocess.PIPE
    )
    if process.stdout is None:
        raise AssertionError("started without a pipe")
    following = asyncio.create_task(counter.follow(process.stdout))
    try:
        await _listening(port)
        yield port, counter
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        await following


@asynccontextmanager
async def _postfix(sink_port: int) -> AsyncIterator[tuple[int, int]]:
    with _folder() as folder:
        port = _free_port()
        (folder / "main.cf").write_text(_SETTINGS.format(folder=folder, sink=sink_port))
        (folder / "master.cf").write_text(_SERVICES.format(port=f"127.0.0.1:{port}"))
        child = await Child.start(
            name="Postfix", argv=("postfix", "-c", str(folder), "start-fg"), ready=re.compile("never"), env=None
        )
        try:
            await _listening(port)
            yield port, child.pid
        finally:
            stop = await asyncio.create_subprocess_exec(
                "postfix", "-c", str(folder), "stop", stderr=asyncio.subprocess.DEVNULL
            )
            await stop.wait()
            await child.stop(grace_seconds=10)


@contextmanager
def _folder() -> Iterator[Path]:
    """Create a folder on disk with the subfolders that Postfix needs."""
    folder = Path(tempfile.mkdtemp(prefix="relay-bench-postfix-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        for name in ("queue", "data"):
            (folder / name).mkdir()
        shutil.chown(folder / "data", "postfix")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _listening(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
