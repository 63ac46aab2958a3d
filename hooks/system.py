"""The parts outside the steps, replaceable in tests: calls to the app, time, the doctor, the key file."""

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
_BEARER = "Bearer "
AZURE = "https://management.azure.com"


class StepError(Exception):
    """A step failed; the text says why and what the operator can do."""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A response of the deployed app, with status 0 if it could not be reached. `body` is decoded JSON, or None."""

    status: int
    body: Any = None


type Call = Callable[[str, str, str, Any], Awaitable[Response]]
"""Sends a request: method, URL, a client's key (empty: none), a JSON body (None: none)."""
type Manage = Callable[[str, str, Any], Awaitable[Response]]
"""Sends a request to Azure Resource Manager as the signed-in person: method, path with query, a JSON body."""


class System(msgspec.Struct, frozen=True, kw_only=True):
    """Everything outside the steps. `passes_doctor` runs the doctor on the app at a URL with a client's key.

    By default a step is repeated for ten minutes.
    """

    call: Call
    manage: Manage
    start: Callable[[Mapping[str, str]], Relay]
    passes_doctor: Callable[[str, str], Awaitable[bool]]
    sleep: Callable[[float], Awaitable[None]]
    report: Callable[[str], None]
    folder: Path = ROOT
    attempts: int = 40
    pause_seconds: float = 15.0


def main(run: Callable[[Mapping[str, str], System], Awaitable[None]]) -> None:
    """Run a hook as a program. A `StepError` ends it with the error's text."""

    async def run_real() -> None:
        async with real_system(os.environ) as system:
            await run(os.environ, system)

    try:
        asyncio.run(run_real())
    except StepError as error:
        sys.exit(str(error))


@asynccontextmanager
async def real_system(environ: Mapping[str, str]) -> AsyncIterator[System]:
    """Yield the system with real HTTP calls, time and output."""
    async with http_calls() as call:

        async def passes_doctor(url: str, key: str) -> bool:
            return await run_doctor(environ, url, key)

        async def manage(method: str, path: str, body: Any) -> Response:
            return await manage_azure(call, method, path, body)

        yield System(
            call=call, manage=manage, start=start, passes_doctor=passes_doctor, sleep=asyncio.sleep, report=print
        )


@asynccontextmanager
async def http_calls() -> AsyncIterator[Call]:
    """Yield a function that calls the app over one HTTP session."""
    import aiohttp

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)) as session:

        async def call(method: str, url: str, key: str, body: Any) -> Response:
            is_token = key.startswith(_BEARER)
            headers = {"Authorization": key} if is_token else {"x-api-key": key} if key else {}
            try:
                async with session.request(method, url, json=body, headers=headers) as response:
                    is_json = response.content_type == "application/json"
                    return Response(status=response.status, body=await response.json() if is_json else None)
            except (aiohttp.ClientError, TimeoutError):
                return Response(status=0)

        yield call


async def manage_azure(call: Call, method: str, path: str, body: Any) -> Response:
    """Call Azure Resource Manager with the identity that is signed in to azd, or else to the Azure CLI.

    Raises `StepError` if nobody is signed in.
    """
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity.aio import AzureCliCredential, AzureDeveloperCliCredential, ChainedTokenCredential

    async with ChainedTokenCredential(AzureDeveloperCliCredential(), AzureCliCredential()) as credential:
        try:
            token = await credential.get_token(f"{AZURE}/.default")
        except ClientAuthenticationError as error:
            raise StepError("Azure gave no token. Run `azd auth login`, then the same azd command again.") from error
    return await call(method, f"{AZURE}{path}", f"{_BEARER}{token.token}", body)


async def run_doctor(environ: Mapping[str, str], url: str, key: str) -> bool:
    """Run `relay doctor` on the deployed app, with its output in this terminal. Return whether it found no problem."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay.cli", "doctor"),
        cwd=ROOT,
        env={**environ, "RELAY_URL": url, "RELAY_KEY": key},
        stdin=asyncio.subprocess.DEVNULL,
    )
    return await process.wait() == 0


def write_key(path: Path, key: str) -> None:
    """Write a key to a file that only its owner can read, replacing an older one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{key}\n")


def read_key(path: Path) -> str:
    """Return the key in the file; empty if there is no file."""
    return path.read_text().strip() if path.exists() else ""
