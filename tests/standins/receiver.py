"""A web hook on loopback that keeps what it is posted."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


class Receiver:
    """`url` to post to; `posts` are (headers, JSON body), in order. `answer` makes the reply."""

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
    app = web.Application()
    app.add_routes([web.route("*", "/", receiver.handle)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield receiver
    finally:
        await runner.cleanup()
