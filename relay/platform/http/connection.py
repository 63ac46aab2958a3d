"""Send requests over one HTTP/1.1 connection, and know of each whether a part of it is still here.

A body is handed to the transport in steps, and the next step waits while the transport is full. If the connection is lost before
the last step, the server cannot have the whole request, whatever the transport, TLS or the system still had in a buffer. Once
all is handed over, nothing is certain without a response.
"""

import asyncio
import math
import re
import select
from collections.abc import Mapping
from typing import cast

import msgspec

from relay.platform.http.errors import NotSent, ResponseLost
from relay.platform.http.response import InvalidResponse, RawResponse, ResponseReader

STEP_BYTES = 65_536
"""Larger bodies are written in steps, which also lets other tasks run."""
IDLE_SECONDS = 60.0
"""How long an unused connection is kept, unless the server's `Keep-Alive` says less. Azure's balancers forget after four
minutes (learn.microsoft.com/azure/load-balancer/load-balancer-tcp-reset)."""
_CLOSES_EARLIER = 1.0
"""Seconds subtracted from the server's `Keep-Alive`, so that no request is sent while the server closes the connection."""
_SECONDS = re.compile(r"[0-9]{1,9}")
_DISCONNECTED = "ServerDisconnected"

type Result = RawResponse | NotSent | ResponseLost


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of the response's body to keep, the deadline of the request (in the loop's time), and seconds without progress."""

    max_body_bytes: int
    deadline: float = math.inf
    stalled_seconds: float = math.inf


class Connection(asyncio.Protocol):
    """A connection with at most one request. After anything unexpected it takes no other."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = ResponseReader()
        self._result: asyncio.Future[Result] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None
        self._handed_over = 0
        self._is_writing = self._holds_rest = False
        self._is_open = self._was_used = False
        self._expires = 0.0
        self.is_reusable = False
        """Whether the last request ended so that the connection can serve another."""

    async def send(self, head: bytes, body: bytes, limits: Limits, *, is_head: bool = False) -> RawResponse:
        """Send a request and return its response. Raises `NotSent` or `ResponseLost`. If cancelled, the caller must `close`."""
        if not self._is_open or self._transport.is_closing():
            raise NotSent(_DISCONNECTED)
        self.is_reusable = False
        self._reader.expect(max_body_bytes=limits.max_body_bytes, is_head=is_head)
        self._result = result = self._loop.create_future()
        self._watch(limits)
        try:
            await self._write(head, body, result)
            ended = await result
        finally:
            self._result, self._was_used = None, True
            if self._timer is not None:
                self._timer.cancel()
        if isinstance(ended, RawResponse):
            return ended
        raise ended

    def is_usable(self, now: float) -> bool:
        """Return whether a request may be sent: the last one ended well, and nothing came since, such as the server's end."""
        return self.is_reusable and now < self._expires and not self._incoming.poll(0)

    def close(self) -> None:
        """Close immediately. What is in a buffer is dropped."""
        self._is_open = self.is_reusable = False
        self._transport.abort()

    # ── writing ──

    async def _write(self, head: bytes, body: bytes, result: asyncio.Future[Result]) -> None:
        """Hand over the request in steps, and stop when it has ended: the server refused it, or the connection is lost."""
        self._is_writing = True
        self._handed_over = min(len(body), STEP_BYTES)
        self._holds_rest = self._handed_over < len(body)
        self._transport.write(head + body[:STEP_BYTES])
        rest = memoryview(body)
        while self._holds_rest or self._drained is not None:
            # Let other tasks run even while the transport takes every step.
            await (self._drained or asyncio.sleep(0))
            if result.done():
                return
            step = rest[self._handed_over : self._handed_over + STEP_BYTES]
            self._handed_over += len(step)
            self._holds_rest = self._handed_over < len(body)
            self._transport.write(step)
        self._is_writing = False
        if self._reader.is_complete:
            self._end_with_response()

    def pause_writing(self) -> None:
        """Called by the transport: it is full."""
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """Called by the transport: it is empty."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # ── reading ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        # Pause at the first byte that the socket does not take. With 0, asyncio's TLS would pause with an empty buffer.
        self._transport.set_write_buffer_limits(high=1, low=0)
        self._incoming = select.poll()
        self._incoming.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._is_open = True

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if self._result is None or self._result.done():
            # The next request would take this for its response.
            self.close()
            return
        try:
            self._reader.feed(data)
        except InvalidResponse:
            self._lose("InvalidResponse")
            return
        if self._reader.is_complete:
            self._end_with_response()

    def eof_received(self) -> None:
        """Called by the loop: the server sends no more."""
        self._lose(_DISCONNECTED, is_at_end=True)

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop."""
        self._lose(_DISCONNECTED if error is None else type(error).__name__, is_at_end=True)

    # ── the end of a request ──

    def _end_with_response(self) -> None:
        response = self._reader.response()
        if response is not None and self._may_count(response):
            self.is_reusable = self._reader.is_reusable and not self._is_writing
            self._expires = self._loop.time() + _idle_seconds(response.headers)
            self._end(response)

    def _lose(self, reason: str, *, is_at_end: bool = False) -> None:
        """End the request with the response so far, or with the error that says what was sent, and close the connection."""
        if self._result is not None and not self._result.done():
            response = self._reader.response(is_at_end=is_at_end)
            if response is not None and self._may_count(response):
                self._end(response)
            elif response is None and self._holds_rest and is_at_end:
                self._end(NotSent(reason))
            else:
                is_stale = is_at_end and self._was_used and not self._reader.received
                self._end(ResponseLost(reason, is_stale=is_stale))
        self.close()

    def _may_count(self, response: RawResponse) -> bool:
        """Return whether the response counts: a server may refuse a request that it has in part, but cannot have accepted it."""
        return response.status >= 300 or not self._is_writing

    def _end(self, ended: Result) -> None:
        if self._result is not None:
            self._result.set_result(ended)
        # Wakes the writer, which writes no more.
        self.resume_writing()

    # ── timeouts ──

    def _watch(self, limits: Limits) -> None:
        """End the request at its deadline, or when nothing has moved for too long."""
        at = min(limits.deadline, self._loop.time() + limits.stalled_seconds)
        self._timer = self._loop.call_at(at, self._check, limits, self._moved()) if at < math.inf else None

    def _check(self, limits: Limits, before: tuple[int, int, int]) -> None:
        if self._loop.time() >= limits.deadline or self._moved() == before:
            self._lose("TimeoutError")
        else:
            self._watch(limits)

    def _moved(self) -> tuple[int, int, int]:
        """Return how much was handed over, how much of it is not in the socket yet, and how much was received."""
        return self._handed_over, self._transport.get_write_buffer_size(), self._reader.received


def _idle_seconds(headers: Mapping[str, str]) -> float:
    """Return how long a connection may stay idle after such a response (RFC 2068 19.7.1.1: `Keep-Alive: timeout=5`)."""
    if "keep-alive" not in headers:
        return IDLE_SECONDS
    for parameter in headers["keep-alive"].split(","):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "timeout" and _SECONDS.fullmatch(value):
            return min(IDLE_SECONDS, max(0.0, int(value) - _CLOSES_EARLIER))
    return IDLE_SECONDS
