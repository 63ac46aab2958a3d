"""One connection over a transport that a test fills and empties: what is certain when it is lost at any moment."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from relay.platform.http.connection import STEP_BYTES, Connection, Limits
from relay.platform.http.errors import NotSent, ResponseLost

HEAD = b"POST / HTTP/1.1\r\n\r\n"


class Transport(asyncio.Transport):
    """Takes all that is written. It is full after the writes in `full_after`, until `empty` is called."""

    def __init__(self, opened: socket.socket, connection: Connection, *full_after: int) -> None:
        super().__init__({"socket": opened})
        self.written = 0
        self._writes = 0
        self._full_after = full_after
        self._connection = connection
        self._is_closing = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert (high, low) == (1, 0)

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: Any) -> None:
        if not data:
            return
        self.written += len(data)
        self._writes += 1
        if self._writes in self._full_after:
            self._connection.pause_writing()

    def is_closing(self) -> bool:
        return self._is_closing

    def abort(self) -> None:
        self._is_closing = True


@pytest.fixture
def opened() -> Iterator[socket.socket]:
    with socket.socket() as made:
        yield made


LIMITS = Limits(max_body_bytes=1000)
SIZES = (0, 1, STEP_BYTES, STEP_BYTES + 1, 2 * STEP_BYTES, 3 * STEP_BYTES + 7)


@pytest.mark.parametrize("end", ["end", "lost", "reset"])
@pytest.mark.parametrize("full_after", [(), (1,), (2,), (4,), (1, 2, 3, 4)])
@pytest.mark.parametrize("size", SIZES)
async def test_loss_at_any_moment_is_certain_only_if_a_part_was_never_handed_over(
    opened: socket.socket, size: int, full_after: tuple[int, ...], end: str
) -> None:
    for turns in range(1, 12):
        connection = Connection()
        transport = Transport(opened, connection, *full_after)
        connection.connection_made(transport)
        sending = asyncio.create_task(connection.send(HEAD, bytes(size), LIMITS))
        for turn in range(turns):
            await asyncio.sleep(0)
            if turn % 3 == 2:
                connection.resume_writing()
        match end:
            case "end":
                connection.eof_received()
            case "lost":
                connection.connection_lost(None)
            case _:
                connection.connection_lost(ConnectionResetError())
        with pytest.raises((NotSent, ResponseLost)) as lost:
            await sending
        is_certain = transport.written < len(HEAD) + size
        assert isinstance(lost.value, NotSent if is_certain else ResponseLost)
        assert lost.value.reason == ("ConnectionResetError" if end == "reset" else "ServerDisconnected")
        assert transport.is_closing()


async def test_nothing_is_written_after_the_end(opened: socket.socket) -> None:
    connection = Connection()
    transport = Transport(opened, connection, 2)
    connection.connection_made(transport)
    sending = asyncio.create_task(connection.send(HEAD, bytes(10 * STEP_BYTES), LIMITS))
    for _ in range(3):
        await asyncio.sleep(0)
    connection.eof_received()
    with pytest.raises(NotSent):
        await sending
    assert transport.written == len(HEAD) + 2 * STEP_BYTES


async def test_connection_that_ended_before_the_request_sends_nothing(opened: socket.socket) -> None:
    for end in (
        Connection.eof_received,
        lambda made: made.connection_lost(None),
        lambda made: made.data_received(b"220 "),
    ):
        connection = Connection()
        transport = Transport(opened, connection)
        connection.connection_made(transport)
        end(connection)
        with pytest.raises(NotSent):
            await connection.send(HEAD, b"body", LIMITS)
        assert transport.written == 0


async def test_success_counts_when_the_transport_is_empty(opened: socket.socket) -> None:
    connection = Connection()
    connection.connection_made(Transport(opened, connection, 1, 2))
    sending = asyncio.create_task(connection.send(HEAD, bytes(2 * STEP_BYTES), LIMITS))
    await asyncio.sleep(0)
    connection.data_received(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
    connection.resume_writing()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not sending.done(), "the last step is not in the socket yet"
    connection.resume_writing()
    assert (await sending).status == 202
    assert connection.is_reusable
