"""A webhook receiver on loopback that records requests and returns scripted responses."""

from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web
from standardwebhooks import Webhook

from tests.serving import serving


class Posted(msgspec.Struct, frozen=True):
    """One post: its headers and its body."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    def verified(self, secret: str) -> Any:
        """The body, if it is signed by this secret now; raises otherwise. By the library that receivers use."""
        return Webhook(secret).verify(self.body, dict(self.headers))


class Hook:
    """`url` is the address to post to. `responses` are statuses or whole responses, in turn; then 204."""

    def __init__(self) -> None:
        self.url = ""
        self.posts: list[Posted] = []
        self.paths: list[str] = []
        self.responses: deque[int | web.Response] = deque()

    async def handle(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        self.posts.append(Posted(dict(request.headers), await request.read()))
        response = self.responses.popleft() if self.responses else 204
        return web.Response(status=response) if isinstance(response, int) else response


@asynccontextmanager
async def hook() -> AsyncIterator[Hook]:
    """Start a receiver."""
    receiver = Hook()
    async with serving(receiver.handle) as url:
        receiver.url = f"{url}/hook"
        yield receiver
