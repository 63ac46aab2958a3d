"""Measure a new process: the import of the app, and the time from start to the first accepted message."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Mapping

import aiohttp
import msgspec

from bench.results import Figure
from bench.systems import MESSAGE, ROOT, TUTORIAL, running, start_host

IMPORT = "import time; begun = time.perf_counter(); import function_app; print(time.perf_counter() - begun)"
_EMULATOR = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}
BODY = msgspec.json.encode(MESSAGE)


async def imports(runs: int) -> AsyncIterator[Figure]:
    """Measure milliseconds to import `function_app`, with its bytecode cached."""
    for system, folder in (("relay", ROOT), ("tutorial", TUTORIAL)):
        times = []
        for _ in range(2 * runs + 1):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", IMPORT), cwd=folder, env=_EMULATOR, stdout=asyncio.subprocess.PIPE
            )
            output, _ = await process.communicate()
            times.append(1000 * float(output))
        yield Figure(name=f"import/{system}", unit="ms", runs=times[1:])


async def first_202(runs: int) -> AsyncIterator[Figure]:
    """Measure milliseconds from the start of the host process to the first 202, with prepared storage."""
    for system in ("relay", "tutorial"):
        times = []
        async with running(system, delivers=False) as target:
            for _ in range(2 * runs):
                begun = time.monotonic()
                host = await start_host(system, target.environment)
                [ready] = await host.until_ready(timeout_seconds=60)
                await _accepted(target.session, ready["url"], target.headers)
                times.append(1000 * (time.monotonic() - begun))
                await host.stop(grace_seconds=12)
        yield Figure(name=f"first 202/{system}", unit="ms", runs=times)


async def _accepted(session: aiohttp.ClientSession, url: str, headers: Mapping[str, str]) -> None:
    headers = {**headers, "Content-Type": "application/json"}
    while True:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.post(f"{url}/v1/messages", data=BODY, headers=headers) as response:
                if response.status == 202:
                    return
