"""Run uvicorn without its signal handlers, and send each response as one segment."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

_HEADERS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\x00-\x08\x0a-\x1f\x7f]*\r\n)*")
"""RFC 9110 sections 5.1 and 5.5."""


class Server(uvicorn.Server):
    """Serves an ASGI application until `should_exit`, then at most `stop_seconds` longer."""

    def __init__(self, application: Any, *, stop_seconds: float) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                interface="asgi3",
                http=OneWriteProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=int(stop_seconds) + 1,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers: the host has its own."""
        yield


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which sends each response by `OneWrite`."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.send = OneWrite(cycle).send  # type: ignore[method-assign] # uvicorn has no setting for it
        super()._start_asgi_task(cycle, app)


class OneWrite:
    """Sends the response of one request: head and body in one write, and no other messages.

    uvicorn writes them separately, which costs one more system call here and one more wake-up in the caller, and checks each
    header for what these responses cannot have: together a fifth of a small request.
    """

    __slots__ = ("_cycle", "_start")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._start: Mapping[str, Any] = {}

    async def send(self, message: Mapping[str, Any]) -> None:
        """Take the ASGI message of the head, then write it with that of the body. Raises ValueError for a wrong header."""
        cycle = self._cycle
        if message["type"] == "http.response.start":
            cycle.response_started, cycle.waiting_for_100_continue = True, False
            self._start = message
            return
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        body = b"" if cycle.scope["method"] == "HEAD" else message["body"]
        cycle.transport.write(b"%s%s\r\n%s" % (STATUS_LINE[self._start["status"]], self._headers(), body))
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()

    def _headers(self) -> bytes:
        headers = [*self._cycle.default_headers, *self._start["headers"]]
        if not self._cycle.keep_alive:
            headers.append((b"connection", b"close"))
        lines = b"".join([b"%s: %s\r\n" % header for header in headers])
        # A value with a line break would be two headers, both right.
        if _HEADERS.fullmatch(lines) is None or lines.count(b"\n") != len(headers):
            raise ValueError("A header has a character that HTTP does not allow.")
        return lines
