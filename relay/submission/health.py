"""The health port: replies 200 to any HTTP request while the event loop runs and the server listens.

Container platforms probe by HTTP or TCP. A TCP probe of an SMTP port would count as a connection, would lack a PROXY header
where one is needed, and would succeed while the event loop hangs, because the kernel accepts connections.
"""

import asyncio
from contextlib import suppress

SECONDS = 5.0
_MAX_REQUEST = 8_192
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


async def listen(host: str, port: int) -> asyncio.Server:
    """Listen for probes. Raises `OSError`."""
    return await asyncio.start_server(_reply, host, port, limit=_MAX_REQUEST)


async def _reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(SECONDS):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(_OK)
                await writer.drain()
    finally:
        writer.close()
