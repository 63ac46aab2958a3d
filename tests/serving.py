"""Servers on loopback, for tests of what speaks to one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

_MAX_BODY, _MAX_FIELD = 100_000_000, 32_768


@asynccontextmanager
async def serving(handle: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """The address, without a slash at its end, of a server that answers every request so."""
    app = web.Application(client_max_size=_MAX_BODY)
    app.router.add_route("*", "/{path:.*}", handle)
    server = TestServer(app)
    await server.start_server(max_line_size=_MAX_FIELD, max_field_size=_MAX_FIELD)
    try:
        yield str(server.make_url("/")).rstrip("/")
    finally:
        await server.close()
