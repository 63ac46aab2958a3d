"""The health port."""

import asyncio
import contextlib

import pytest

from relay.submission.settings import Endpoint
from tests.unit.submission.kit import place_with

HEALTH = Endpoint(host="127.0.0.1", port=0)


async def replied(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    writer.write_eof()
    reply = await reader.read()
    writer.close()
    return reply


async def test_probe_gets_200_also_while_the_relay_is_away() -> None:
    async with place_with(health=HEALTH) as place:
        place.relay.down = True
        assert (await replied(place.server.health_port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(
            b"HTTP/1.1 200 OK"
        )


@pytest.mark.parametrize("request_", [b"", b"GET", b"x" * 100_000])
async def test_what_is_no_request_gets_no_reply(request_: bytes) -> None:
    async with place_with(health=HEALTH) as place:
        with contextlib.suppress(ConnectionError):
            assert await replied(place.server.health_port, request_) == b""
        assert (await replied(place.server.health_port, b"GET / HTTP/1.0\r\n\r\n")).endswith(b"ok\n")
