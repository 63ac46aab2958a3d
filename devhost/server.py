"""Listen for HTTP connections until stopped."""

from __future__ import annotations

import asyncio
import socket

from devhost.connection import Connection, Connections, Respond

BACKLOG = 2048


class Server:
    """Serves the connections to a socket until `stop`, then at most `stop_seconds` longer."""

    def __init__(self, respond: Respond, *, stop_seconds: float) -> None:
        self._connections = Connections(respond)
        self._stop_seconds = stop_seconds
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Make `serve` return once the received requests have their responses."""
        self._stop.set()

    async def serve(self, sock: socket.socket) -> None:
        """Serve the connections to a listening socket, and close it. Late requests are cancelled."""
        connections = self._connections
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(lambda: Connection(connections), sock=sock, backlog=BACKLOG)
        await self._stop.wait()
        listening.close()
        sock.close()
        connections.stop()
        try:
            async with asyncio.timeout(self._stop_seconds):
                await connections.closed.wait()
        except TimeoutError:
            for task in connections.tasks:
                task.cancel()
