"""Serve the requests of an HTTP/1.1 connection: httptools parses, a task for each request responds, one write sends it."""

from __future__ import annotations

import asyncio
import http
import logging
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import lru_cache

import httptools

from devhost.replies import Reply
from devhost.requests import Request

log = logging.getLogger("devhost.http")

IDLE_SECONDS = 5.0
"""How long a connection without a request stays open."""
_HEADERS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\x00-\x08\x0a-\x1f\x7f]*\r\n)*")
"""RFC 9110 sections 5.1 and 5.5."""

type Respond = Callable[[Request], Awaitable[Reply | None]]
"""Returns the response to a request, or None if its caller disconnected. Does not raise."""


class Connections:
    """The open connections of a server, and the tasks that respond to their requests."""

    def __init__(self, respond: Respond, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self.respond = respond
        self.idle_seconds = idle_seconds
        self.open: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.is_stopping = False
        self.closed = asyncio.Event()
        """Set once the server stops and no connection is open."""

    def stop(self) -> None:
        """Close each connection as soon as its requests have their responses."""
        self.is_stopping = True
        for connection in list(self.open):
            connection.close_if_idle()
        self._note_closed()

    def remove(self, connection: Connection) -> None:
        """Forget a closed connection."""
        self.open.discard(connection)
        self._note_closed()

    def _note_closed(self) -> None:
        if self.is_stopping and not self.open:
            self.closed.set()


class Connection(asyncio.Protocol):
    """Responds to the requests of one connection in their order. The names of its `on_` methods are httptools'."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        # Without this, a request after one with `Connection: close` would end the connection before that one's response.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._transport: asyncio.Transport
        self._url = b""
        self._headers: dict[str, str] = {}
        self._requests: deque[Request] = deque()
        """The requests without a response: the first is being served."""
        self._receiving: Request
        self._writable: asyncio.Future[None] | None = None
        """Done when the caller has read enough for another response; None if it has."""
        self._idle_since = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # of a TCP connection
        self._transport = transport
        self._connections.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._connections.remove(self)
        self.resume_writing()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        for request in self._requests:
            request.disconnect()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The request has its response in HTTP/1.1. What follows it is not.
            self._receiving.keeps_alive = False
        except httptools.HttpParserError:
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self._transport.close()

    def on_message_begin(self) -> None:
        self._url, self._headers = b"", {}

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header by its lower-case name; repeated values are joined by commas."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers = self._headers
        headers[key] = f"{headers[key]},{text}" if key in headers else text

    def on_headers_complete(self) -> None:
        url, parser = httptools.parse_url(self._url), self._parser
        self._receiving = request = Request(
            method=parser.get_method().decode("ascii"),
            path=url.path.decode("latin-1"),
            query=url.query.decode("latin-1") if url.query else "",
            headers=self._headers,
            send_continue=self._send_continue,
        )
        request.keeps_alive = parser.should_keep_alive() and parser.get_http_version() != "1.0"
        self._requests.append(request)
        if len(self._requests) == 1:
            self._serve_first()
        else:
            self._transport.pause_reading()

    def on_body(self, body: bytes) -> None:
        self._receiving.add(body)

    def on_message_complete(self) -> None:
        self._receiving.complete()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def close_if_idle(self) -> None:
        """Close the connection unless it has a request."""
        if not self._requests:
            self._transport.close()

    def _send_continue(self) -> None:
        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _serve_first(self) -> None:
        task = self._loop.create_task(self._serve(self._requests[0]))
        # The loop keeps only weak references to tasks.
        self._connections.tasks.add(task)
        task.add_done_callback(self._connections.tasks.discard)

    async def _serve(self, request: Request) -> None:
        reply = await self._connections.respond(request)
        if self._writable is not None:
            await self._writable
        if reply is None or self._transport.is_closing():
            return
        self._requests.popleft()
        request.drop_body()
        closes = not request.keeps_alive or (self._connections.is_stopping and not self._requests)
        try:
            self._transport.write(encoded(reply, has_body=request.method != "HEAD", closes=closes))
        except ValueError:
            log.exception("A response cannot be sent")
            closes = True
        if closes:
            self._transport.close()
        else:
            self._serve_next()

    def _serve_next(self) -> None:
        self._transport.resume_reading()
        if self._requests:
            self._serve_first()
            return
        self._idle_since = self._loop.time()
        if self._idle_timer is None:
            self._idle_timer = self._loop.call_later(self._connections.idle_seconds, self._close_after_idling)

    def _close_after_idling(self) -> None:
        """Close the connection if it has been idle for long enough. One timer serves many requests."""
        self._idle_timer = None
        remaining = self._idle_since + self._connections.idle_seconds - self._loop.time()
        if self._requests:
            return
        if remaining > 0:
            self._idle_timer = self._loop.call_later(remaining, self._close_after_idling)
        else:
            self._transport.close()


def encoded(reply: Reply, *, has_body: bool, closes: bool) -> bytes:
    """Return a response as sent. Raises ValueError for a header with a character that HTTP does not allow."""
    lines = b"".join([b"%s: %s\r\n" % header for header in reply.headers])
    # A value with a line break would become two valid headers.
    if _HEADERS.fullmatch(lines) is None or lines.count(b"\n") != len(reply.headers):
        raise ValueError("A header has a character that HTTP does not allow.")
    return b"".join(
        (
            _status_line(reply.status),
            _date_line(int(time.time())),
            lines,
            b"connection: close\r\n\r\n" if closes else b"\r\n",
            reply.body if has_body else b"",
        )
    )


@lru_cache(maxsize=64)
def _status_line(status: int) -> bytes:
    phrase = http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


@lru_cache(maxsize=1)
def _date_line(second: int) -> bytes:
    return f"date: {formatdate(second, usegmt=True)}\r\n".encode()
