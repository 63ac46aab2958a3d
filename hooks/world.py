"""What the steps need of the world: calls to the app, time, the doctor, a file with a key."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from relay.bootstrap import Relay, start

ROOT = Path(__file__).parent.parent
_TIMEOUT_SECONDS = 60


class StepError(Exception):
    """A step cannot succeed; the text is what to tell the operator."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a call to the deployed app got: status 0 when it could not be reached. `body` is decoded JSON, or None."""

    status: int
    body: Any = None


type Ask = Callable[[str, str, str, Any], Awaitable[Answer]]
"""Calls a method and URL with a client's key (empty: none) and a JSON body (None: none)."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Everything outside. `examine` runs the doctor on the app at a URL with a key, and tells whether all is well.

    By default a step is tried for ten minutes.
    """

    ask: Ask
    start: Callable[[Mapping[str, str]], Relay]
    examine: Callable[[str, str], Awaitable[bool]]
    sleep: Callable[[float], Awaitable[None]]
    tell: Callable[[str], None]
    folder: Path = ROOT
    tries: int = 40
    pause_seconds: float = 15.0


@asynccontextmanager
async def real_world(environ: Mapping[str, str]) -> AsyncIterator[World]:
    """The real one."""
    async with calling() as ask:

        async def examine(url: str, key: str) -> bool:
            return await run_doctor(environ, url, key)

        yield World(ask=ask, start=start, examine=examine, sleep=asyncio.sleep, tell=print)


@asynccontextmanager
async def calling() -> AsyncIterator[Ask]:
    """A way to call the app over HTTP."""
    import aiohttp

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)) as session:

        async def ask(method: str, url: str, key: str, body: Any) -> Answer:
            headers = {"x-api-key": key} if key else {}
            try:
                async with session.request(method, url, json=body, headers=headers) as response:
                    is_json = response.content_type == "application/json"
                    return Answer(status=response.status, body=await response.json() if is_json else None)
            except (aiohttp.ClientError, TimeoutError):
                return Answer(status=0)

        yield ask


async def run_doctor(environ: Mapping[str, str], url: str, key: str) -> bool:
    """Run `relay doctor` on the deployed app, in this terminal; whether all is well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay.cli", "doctor"),
        cwd=ROOT,
        env={**environ, "RELAY_URL": url, "RELAY_KEY": key},
        stdin=asyncio.subprocess.DEVNULL,
    )
    return await process.wait() == 0


def write_key(path: Path, key: str) -> None:
    """Write a key down for its owner alone, in place of what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{key}\n")


def read_key(path: Path) -> str:
    """The key written down before; empty when there is none."""
    return path.read_text().strip() if path.exists() else ""
