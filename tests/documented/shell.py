"""Runs the commands of the documentation by a shell whose programs report to the test.

The shell does what a reader's shell does with quotes, pipes, variables and here-documents. Every program on its path is a shim:
it sends its arguments and its input to the test, which does the work or checks the arguments, and returns the output.
A program that has no shim is not found, and the page fails.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from tests.documented.pages import Block

_SHIM = f"""#!{sys.executable} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(os.environ["DOCUMENTED_SOCKET"])
    call = {{"argv": sys.argv, "input": sys.stdin.read(), "folder": os.getcwd(), "environment": dict(os.environ)}}
    connection.sendall(json.dumps(call).encode() + b"\\n")
    result = json.loads(connection.makefile("rb").read())
sys.stdout.write(result["output"])
sys.stderr.write(result["errors"])
sys.exit(result["code"])
"""
_GUID = "8f3c1e52-7a0d-4f0e-9b55-000000000001"


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """A program that a command started."""

    argv: Sequence[str]
    input: str
    folder: str
    environment: Mapping[str, str]

    @property
    def program(self) -> str:
        """Return the program's name without its folder."""
        return Path(self.argv[0]).name


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a program did."""

    code: int = 0
    output: str = ""
    errors: str = ""


def script(found: Sequence[Block], values: Mapping[str, str]) -> str:
    """Return the blocks of a page as one script, so that variables stay. What the reader fills in is filled in."""
    parts = []
    for block in found:
        text = block.text
        for written, value in values.items():
            text = text.replace(written, value)
        text = re.sub(r"(?<!<)<[a-z][A-Za-z' ]*>", _GUID, text)
        text = text.replace('"…"', f'"{_GUID}"').replace("…", "0")
        parts.append(f"echo '{block.page}:{block.line}' >&2\n{text}")
    return "set -eu\n" + "\n".join(parts)


def write_shims(folder: Path, programs: Sequence[str]) -> None:
    """Write a program for each name into a new folder."""
    folder.mkdir()
    for program in programs:
        (folder / program).write_text(_SHIM)
        (folder / program).chmod(0o755)


@asynccontextmanager
async def shims_working(folder: Path, work: Callable[[Called], Awaitable[Result]]) -> AsyncIterator[Mapping[str, str]]:
    """Do the work that the shims in a folder ask for. Yields the environment of the shell."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called = msgspec.json.decode(await reader.readline(), type=Called)
        try:
            result = await work(called)
        except AssertionError as error:
            result = Result(code=99, errors=f"{called.program}: {error}\n")
        writer.write(msgspec.json.encode(result))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    socket = folder / "socket"
    server = await asyncio.start_unix_server(serve, socket, limit=2**24)
    async with server:
        yield {"PATH": str(folder), "DOCUMENTED_SOCKET": str(socket)}


async def run_shell(text: str, *, folder: Path, environment: Mapping[str, str]) -> Result:
    """Run a script to its end, with an empty input."""
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        text,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return Result(code=process.returncode or 0, output=output.decode(), errors=errors.decode())
