"""A TCP proxy in front of Azurite that loses responses: the write has happened, and its caller never learns it."""

import asyncio
import random
import re
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

_ENDPOINT = re.compile(r"http://127\.0\.0\.1:(\d+)/")
_CHUNK_BYTES = 65_536


class LossyProxy:
    """Proxies of all services of a connection string. Each response is lost with the probability `loss`, which may be changed."""

    def __init__(self, connection_string: str, chance: random.Random, *, loss: float) -> None:
        self.loss = loss
        self.lost = 0
        self.connection_string = connection_string
        self._chance = chance
        self._servers: list[asyncio.Server] = []

    async def __aenter__(self) -> Self:
        """Listen on a port for each service."""
        for target in _ENDPOINT.findall(self.connection_string):
            server = await asyncio.start_server(
                lambda *streams, port=target: self._serve(int(port), *streams), "127.0.0.1"
            )
            self._servers.append(server)
            own = server.sockets[0].getsockname()[1]
            self.connection_string = self.connection_string.replace(f"127.0.0.1:{target}/", f"127.0.0.1:{own}/")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        for server in self._servers:
            server.close()
            server.close_clients()

    async def _serve(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes both ways until one side closes, or a response is lost."""
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", port)
        ways = [
            asyncio.create_task(_carry(reader, target_writer)),
            asyncio.create_task(_carry(target_reader, writer, self._is_lost)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for each in (writer, target_writer):
                each.transport.abort()

    def _is_lost(self, chunk: bytes) -> bool:
        """Return whether these bytes begin a response that is lost: the operation is over by then."""
        is_lost = chunk.startswith(b"HTTP/") and self._chance.random() < self.loss
        self.lost += is_lost
        return is_lost


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends_at: Callable[[bytes], bool] = lambda _: False
) -> None:
    with suppress(ConnectionError):
        while (chunk := await reader.read(_CHUNK_BYTES)) and not ends_at(chunk):
            writer.write(chunk)
            await writer.drain()
