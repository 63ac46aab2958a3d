"""Limits of the submission server, and smuggled messages."""

import asyncio
from pathlib import Path

import pytest

from relay.submission.connections import Connections
from relay.submission.protocol.content import CHUNK, TOO_MUCH_AT_ONCE
from relay.submission.protocol.dialogue import Dialogue
from relay.submission.settings import Limits, address_in
from tests.unit.submission.kit import MAIL, Client, StubRelay, place_with


@pytest.mark.parametrize(
    ("limits", "words"), [({"connections": 2}, ""), ({"connections_per_address": 2}, "from this address")]
)
async def test_connections_beyond_the_limit_are_refused_and_freed(limits: dict[str, int], words: str) -> None:
    async with place_with(limits=Limits(**limits)) as place:
        first, _ = await place.client(), await place.client()
        refused = await place.client(greets=False)
        assert await refused.reply() == f"421 4.7.0 Too many connections {words}".strip()
        assert await refused.reply() == ""
        assert (await first.say("QUIT")).startswith("221 ")
        assert await first.reply() == ""
        assert (await (await place.client()).mail()).startswith("250 ")


@pytest.mark.parametrize(
    ("address", "is_counted"),
    [("2001:db8::9:1", True), ("2001:db8:0:1::1", False), ("10.0.0.1", False), ("", False)],
)
def test_ipv6_addresses_of_one_host_are_counted_together(address: str, is_counted: bool) -> None:
    connections = Connections(Limits(connections_per_address=1))
    with connections.opened(address_in("2001:db8::1")), connections.opened(address_in(address)) as refusal:
        assert bool(refusal) is is_counted


async def test_connection_with_tls_beyond_the_limit_is_closed(tmp_path: Path) -> None:
    async with place_with(folder=tmp_path, limits=Limits(connections=1)) as place:
        await place.tls_client()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await place.tls_client()


async def test_silent_client_is_disconnected() -> None:
    async with place_with(limits=Limits(idle_seconds=0.05)) as place:
        client = await place.client()
        assert await client.reply() == ""


async def ask_forever(client: Client) -> None:
    while True:
        client.writer.write(b"HELP\r\n" * 1_000)
        await client.writer.drain()


async def test_client_that_reads_no_replies_is_disconnected() -> None:
    """The replies fill every buffer, so that the server waits for the client: to close politely would take forever."""
    async with place_with(limits=Limits(idle_seconds=0.2)) as place:
        client = await place.client()
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        with pytest.raises(ConnectionError):
            await ask_forever(client)
        assert place.server.open_connections == 0


async def test_session_that_ended_does_not_wait_for_a_client_that_reads_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.submission.protocol.connection.LINGER_SECONDS", 0.05)
    async with place_with(limits=Limits(errors=1)) as place:
        client = await place.client()
        [dialogue] = place.server._connections
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        transport = dialogue.transport
        while not transport.get_write_buffer_size():
            transport.write(b"x" * 65_536)
            await asyncio.sleep(0)
        client.writer.write(b"BOGUS\r\n")
        await dialogue._closed  # type: ignore[attr-defined]
        assert place.server.open_connections == 0


async def test_session_with_only_errors_ends() -> None:
    async with place_with(limits=Limits(errors=3)) as place:
        client = await place.client()
        for _ in range(2):
            assert (await client.say("RCPT TO:<x>")).startswith("503 ")
        await client.mail()
        for _ in range(3):
            assert (await client.say("RCPT TO:<x>")).startswith("503 ")
        assert (await client.reply()).startswith("421 4.7.0")
        assert await client.reply() == ""


async def test_commands_after_the_last_error_have_no_effect() -> None:
    async with place_with(limits=Limits(errors=1)) as place:
        client = await place.client()
        client.writer.write(
            b"BOGUS\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n" + MAIL + b".\r\n"
        )
        assert [line[:3] for line in (await client.reader.read()).decode().splitlines()] == ["500", "421"]
    assert (place.relay.asked, place.relay.posted) == (0, [])


async def test_commands_after_quit_have_no_effect() -> None:
    async with place_with() as place:
        client = await place.client()
        client.writer.write(b"QUIT\r\nMAIL FROM:<a@example.com>\r\nNOOP\r\n")
        assert (await client.reader.read()).startswith(b"221 ")
    assert place.relay.asked == 0


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_too_large_message_is_refused_and_the_session_goes_on(is_chunked: bool) -> None:
    async with place_with(limits=Limits(message_bytes=1_000)) as place:
        client = await place.client()
        await client.begin()
        large = b"x" * 100_000 + b"\r\n"
        if is_chunked:
            reply = await client.say(b"BDAT %d LAST\r\n" % len(large) + large.removesuffix(b"\r\n"))
        else:
            reply = await client.data(large)
        assert reply == "552 5.3.4 Message too large (limit 1000 bytes)"
        assert (await client.mail()).startswith("250 ")


async def test_client_that_sends_on_after_the_refusal_is_disconnected() -> None:
    async with place_with(limits=Limits(message_bytes=1_000, excess_bytes=CHUNK + 1)) as place:
        client = await place.client()
        await client.begin()
        client.writer.write(b"BDAT 1000000000\r\n" + b"x" * CHUNK * 3)
        assert await client.reply() == "552 5.3.4 Message too large (limit 1000 bytes)"
        assert await client.reply() == ""
        assert place.server.open_connections == 0


async def test_data_that_goes_on_after_the_refusal_is_not_read_to_its_end() -> None:
    async with place_with(limits=Limits(message_bytes=1_000, excess_bytes=CHUNK)) as place:
        client = await place.client()
        await client.begin()
        assert (await client.say("DATA")).startswith("354 ")
        [dialogue] = place.server._connections
        assert isinstance(dialogue, Dialogue)
        # Exactly what the server reads, so that the connection is not reset while bytes are under way.
        client.writer.write(b"x" * (CHUNK + 3))
        while not (dialogue._content and dialogue._content.problem):  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0)
        client.writer.write(b"x" * (CHUNK + 1))
        assert await client.reply() == "552 5.3.4 Message too large (limit 1000 bytes)"
        assert await client.reply() == ""
    assert place.relay.posted == []


async def test_memory_of_all_messages_is_limited() -> None:
    relay = StubRelay()
    relay.gate.clear()
    async with place_with(relay, limits=Limits(message_bytes=1_000, held_bytes=1_000)) as place:
        first, second = await place.client(), await place.client()
        await first.begin()
        sending = asyncio.create_task(first.data(MAIL + b"x" * 900 + b"\r\n"))
        await relay.has_posted.wait()
        assert await second.mail(MAIL + b"x" * 900 + b"\r\n") == TOO_MUCH_AT_ONCE
        relay.gate.set()
        assert (await sending).startswith("250 ")
        assert (await second.mail(MAIL + b"x" * 900 + b"\r\n")).startswith("250 ")


async def test_client_that_leaves_gives_its_memory_back() -> None:
    async with place_with(limits=Limits(message_bytes=1_000, held_bytes=1_000)) as place:
        for end in (b"DATA\r\n" + b"x" * 800 + b"\r\n", b"BDAT 900\r\n" + b"x" * 800):
            client = await place.client()
            await client.begin()
            client.writer.write(end)
            client.writer.write_eof()
            await client.reader.read()
        assert (await (await place.client()).mail(MAIL + b"x" * 900 + b"\r\n")).startswith("250 ")


async def test_limit_of_recipients_is_the_configured_one() -> None:
    async with place_with(limits=Limits(recipients=1)) as place:
        client = await place.client()
        await client.begin()
        assert (await client.say("RCPT TO:<bob@example.org>")).startswith("452 4.5.3")


SECOND = b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nFrom: evil@example.com\r\n\r\nHi\r\n"


@pytest.mark.parametrize(
    "end",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\r\n.\r\r\n",
        b"\r\n\x00.\r\n",
        b"\r\n.\x00\r\n",
    ],
)
async def test_smuggled_message_is_never_a_second_one(end: bytes) -> None:
    async with place_with() as place:
        client = await place.client()
        reply = await client.mail(MAIL.removesuffix(b"\r\n") + end + SECOND)
        assert await client.say("NOOP") == "250 2.0.0 OK"
    if b"\x00" in end:
        assert [posted.query["from"] for posted in place.relay.posted] == ["a@example.com"]
    else:
        assert reply.startswith("550 5.6.0")
        assert place.relay.posted == []


async def test_bare_line_ends_elsewhere_are_left_to_the_relay() -> None:
    async with place_with() as place:
        assert (await (await place.client()).mail(b"From: a@example.com\n\nold\nprinter\r\n")).startswith("250 ")
