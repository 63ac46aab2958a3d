"""Kill an SMTP server while clients are at every step of the dialogue. What it has accepted is in the relay, once."""

import asyncio
import multiprocessing
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection

import aiohttp
import msgspec
from aiohttp import web

from relay.submission.server import SubmissionServer
from relay.submission.settings import Endpoint, Settings
from tests.unit.submission.kit import Client

PARKED = ("connect", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "half", "BDAT", "asked", "stored", "accepted")
"""Where a client is when the server dies: after these commands, in the middle of the content, when the server has called the
relay, when the relay has stored the message, and when the client has the reply."""
_STEP = re.compile(rb"X-Step: (\w+)")
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["relay.submission.server", "aiohttp"])


def serve(url: str, started: Connection) -> None:
    """Run a server in its own process, and report its port."""

    async def run() -> None:
        settings = Settings(url=url, listen=(Endpoint(host="127.0.0.1", port=0),), allows_plain_auth=True)
        async with SubmissionServer(settings, report=lambda _: None) as server:
            started.send(server.addresses[0][1])
            await asyncio.Event().wait()

    asyncio.run(run())


class Process:
    """A server process."""

    def __init__(self, url: str) -> None:
        ours, theirs = _FORKING.Pipe()
        self._process = _FORKING.Process(target=serve, args=(url, theirs), daemon=True)
        self._process.start()
        self._started = ours

    async def port(self) -> int:
        return int(await asyncio.to_thread(self._started.recv))

    async def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()
        await asyncio.to_thread(self._process.join)
        self._process.close()
        self._started.close()


class Between:
    """A proxy in front of the relay. It holds calls of clients that wait there, and records the id of every 202."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.ids: dict[str, set[str]] = {step: set() for step in PARKED}
        self.arrived = {step: asyncio.Event() for step in ("asked", "stored")}
        self.is_over = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        found = _STEP.search(body)
        step = found[1].decode() if found else ""
        await self._hold(step, "asked")
        headers = {name: value for name, value in request.headers.items() if name != "Host"}
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, f"{self._url}{request.path_qs}", data=body, headers=headers) as response,
        ):
            content = await response.read()
            if step and response.status == 202:
                self.ids[step].add(str(msgspec.json.decode(content)["id"]))
            await self._hold(step, "stored")
            kept = {
                name: response.headers[name] for name in ("Content-Type", "Retry-After") if name in response.headers
            }
            return web.Response(status=response.status, body=content, headers=kept)

    async def _hold(self, step: str, place: str) -> None:
        if step == place and not self.is_over.is_set():
            self.arrived[place].set()
            await self.is_over.wait()


def mail_at(step: str) -> bytes:
    """Return the mail of the client that waits at a step."""
    head = f"From: a@example.com\r\nMessage-ID: <{step}@example.com>\r\nX-Step: {step}\r\nSubject: {step}\r\n"
    return f"{head}\r\nHello.\r\n".encode()


async def connect(port: int) -> Client:
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    assert (await client.reply()).startswith("220 ")
    return client


async def speak(client: Client, step: str, login: str, until: str = "") -> str:
    """Send the mail of a step, up to a step if one is given. Returns the last reply."""
    content = mail_at(step)
    commands = {
        "EHLO": "EHLO tests",
        "AUTH": f"AUTH PLAIN {login}",
        "MAIL": "MAIL FROM:<a@example.com>",
        "RCPT": "RCPT TO:<delivered@relay.test>",
    }
    if until == "connect":
        return ""
    for name, command in commands.items():
        if (reply := await client.say(command))[0] != "2" or name == until:
            return reply
    if until == "BDAT":
        return await client.say(b"BDAT 10\r\n" + content[:8])
    if (reply := await client.say("DATA"))[0] != "3" or until == "DATA":
        return reply
    client.writer.write(content[:40] if until == "half" else content + b".\r\n")
    return "" if until in ("half", "asked", "stored") else await client.reply()


async def repeat(port: int, step: str, login: str) -> str:
    """Send a mail as a client with a queue does: again, until a server accepts it. Returns the reply."""
    for _ in range(50):
        client = await connect(port)
        try:
            reply = await speak(client, step, login)
        finally:
            client.writer.close()
        if reply.startswith("250 2.0.0"):
            return reply
    raise AssertionError(f"{step} was never accepted: {reply}")


@asynccontextmanager
async def balanced(ports: Sequence[int]) -> AsyncIterator[int]:
    """Spread connections over ports in turn; one that refuses is left out."""
    turn = 0

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        turn += 1
        for port in (*ports[turn % len(ports) :], *ports[: turn % len(ports)]):
            try:
                back = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                continue
            await asyncio.gather(_carry(reader, back[1]), _carry(back[0], writer))
            return
        writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])
        server.close_clients()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
