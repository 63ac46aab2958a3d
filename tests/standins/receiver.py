"""A webhook receiver on loopback that records posts."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from tests.serving import serving


class Receiver:
    """`url` to post to; `posts` are (headers, JSON body), in order. `answer` creates the response."""

    def __init__(self, answer: Callable[[web.Request, Any], web.Response]) -> None:
        self.url = ""
        self.posts: list[tuple[Any, Any]] = []
        self._answer = answer

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.posts.append((request.headers, body))
        return self._answer(request, body)


@asynccontextmanager
async def receiving(answer: Callable[[web.Request, Any], web.Response]) -> AsyncIterator[Receiver]:
    receiver = Receiver(answer)
    async with serving(receiver.handle) as url:
        receiver.url = f"{url}/"
        yield receiver
