"""A relay that returns scripted responses, a submission server in front of it, and a client that speaks line by line."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from relay.submission.server import SubmissionServer
from relay.submission.settings import LOOPBACK, Endpoint, Settings
from standins.tls import Authority
from tests.doubles import Clock
from tests.serving import serving

ACCEPTED = (202, {"id": "msg_1", "state": "queued"})
BUSY = (503, {"error": {"code": "busy", "message": "Busy.", "details": []}})
KEY = "relay_00000000_right"
MAIL = b"From: a@example.com\r\n\r\nHi\r\n"


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """A message that the relay got."""

    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes

    @property
    def once(self) -> str:
        return self.headers.get("Idempotency-Key", "")


class StubRelay:
    """Knows client `app` with `KEY`. `responses` are for messages, the last one repeatedly; `gate` holds them back."""

    def __init__(self, *responses: tuple[int, object]) -> None:
        self.responses = list(responses or [ACCEPTED])
        self.me: dict[str, Any] = {"name": "app", "operations": ["SendMessage"], "policy": {"senders": ["*"]}}
        self.down = False
        self.asked = 0
        self.posted: list[Posted] = []
        self.has_posted = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.url = ""
        self.retry_after = "0"

    async def handle(self, request: web.Request) -> web.Response:
        key = request.headers["Authorization"].removeprefix("Bearer ")
        if self.down:
            return self._response(BUSY)
        if request.path == "/v1/me":
            self.asked += 1
            wrong = (401, {"error": {"code": "unauthenticated", "message": "Unknown key."}})
            return self._response((200, self.me) if key == KEY else wrong)
        body = await request.read()
        self.posted.append(Posted(key=key, query=dict(request.query), headers=dict(request.headers), content=body))
        self.has_posted.set()
        await self.gate.wait()
        return self._response(self.responses.pop(0) if len(self.responses) > 1 else self.responses[0])

    def _response(self, scripted: tuple[int, object]) -> web.Response:
        status, body = scripted
        headers = {"Retry-After": self.retry_after} if status in (429, 503) else {}
        return web.Response(
            status=status, body=msgspec.json.encode(body), headers=headers, content_type="application/json"
        )

    @property
    def keys(self) -> list[str]:
        """The idempotency keys, each once."""
        return list(dict.fromkeys(each.once for each in self.posted))


class Place:
    """A submission server in front of a stub of a relay."""

    def __init__(
        self, relay: StubRelay, server: SubmissionServer, authority: Authority, reports: list[str], clock: Clock
    ) -> None:
        self.relay = relay
        self.server = server
        self.authority = authority
        self.reports = reports
        self.clock = clock
        self.clients: list[Client] = []

    async def client(self, number: int = 0, *, greets: bool = True) -> "Client":
        """Connect to one of the addresses, and read the greeting."""
        host, port = self.server.addresses[number]
        client = Client(*await asyncio.open_connection(host, port))
        self.clients.append(client)
        if greets:
            assert (await client.reply()).startswith("220 ")
            await client.say("EHLO tests")
        return client

    async def tls_client(self, number: int = 1) -> "Client":
        """Connect with TLS from the first byte."""
        host, port = self.server.addresses[number]
        context: ssl.SSLContext = self.authority.client_context()
        client = Client(*await asyncio.open_connection(host, port, ssl=context, server_hostname="localhost"))
        self.clients.append(client)
        assert (await client.reply()).startswith("220 ")
        await client.say("EHLO tests")
        return client


class Client:
    """Sends commands and returns the last line of each reply."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, *commands: str | bytes) -> str:
        """Send commands together. Returns the reply to the last one."""
        for command in commands:
            self.writer.write((command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        return [await self.reply() for _ in commands][-1]

    async def reply(self) -> str:
        """Return the last line of a reply; empty when the server has closed the connection."""
        return (await self.lines() or [""])[-1]

    async def lines(self) -> list[str]:
        """Return all lines of a reply."""
        found: list[str] = []
        while line := (await self.reader.readline()).decode().removesuffix("\r\n"):
            found.append(line)
            if line[3:4] == " ":
                break
        return found

    async def begin(self, *recipients: str) -> None:
        """Begin a message that is accepted so far."""
        assert (await self.say("MAIL FROM:<a@example.com>")).startswith("250 ")
        for recipient in recipients or ("ada@example.org",):
            assert (await self.say(f"RCPT TO:<{recipient}>")).startswith("250 ")

    async def data(self, content: bytes = MAIL) -> str:
        """Send a message after MAIL and RCPT, as it is. Returns the reply."""
        assert (await self.say("DATA")).startswith("354 ")
        self.writer.write(content + b".\r\n")
        return await self.reply()

    async def mail(self, content: bytes = MAIL, *recipients: str) -> str:
        """Send a whole message. Returns the reply to its content."""
        await self.begin(*recipients)
        return await self.data(content)

    async def start_tls(self, authority: Authority) -> None:
        """Begin TLS, and greet again."""
        assert await self.say("STARTTLS") == "220 2.0.0 Ready to start TLS"
        await self.writer.start_tls(authority.client_context(), server_hostname="localhost")
        await self.say("EHLO tests")

    async def sign_in(self, name: str = "app", key: str = KEY) -> str:
        """AUTH PLAIN."""
        return await self.say(f"AUTH PLAIN {plain(name, key)}")


def plain(name: str, key: str) -> str:
    return base64.b64encode(f"\0{name}\0{key}".encode()).decode()


@asynccontextmanager
async def place_with(
    relay: StubRelay | None = None, *, folder: Path | None = None, **changes: Any
) -> AsyncIterator[Place]:
    """Run a server on loopback: STARTTLS at address 0 and TLS at address 1 with a `folder` for its certificate, and AUTH.

    Without a folder it is a local server: no TLS, no AUTH.
    """
    relay = relay or StubRelay()
    authority = Authority()
    plain_endpoint = Endpoint(host="127.0.0.1", port=0)
    chosen: dict[str, Any] = {"key": KEY, "networks": LOOPBACK, "listen": (plain_endpoint,)}
    if folder is not None:
        path = folder / "server.pem"
        path.write_bytes(authority.server_pem())
        listen = (plain_endpoint, Endpoint(host="127.0.0.1", port=0, has_tls=True))
        chosen = {"listen": listen, "certificate": str(path)}
    reports: list[str] = []
    clock = Clock(datetime(2026, 3, 1, tzinfo=UTC))
    async with serving(relay.handle) as relay.url:
        settings = Settings(**{"url": relay.url, **chosen, **changes})
        server = SubmissionServer(settings, report=reports.append, clock=clock, sleep=clock.sleep)
        place = Place(relay, server, authority, reports, clock)
        try:
            async with server:
                yield place
        finally:
            for client in place.clients:
                client.writer.close()
