"""Sessions that hold a connection without sending mail, by a clock of their own."""

import asyncio
from pathlib import Path

import pytest

from relay.submission.settings import Limits
from tests.unit.submission.kit import MAIL, Client, place_with

TOO_MANY = "421 4.7.0 Too many commands without a message (limit 10)"
NO_LOGIN = "421 4.7.0 No sign-in within 180 seconds"
TOO_SLOW = "421 4.7.0 Message too slow: send at least 500 bytes a second"
PIECE = b"x" * 1_000


class LoopTime:
    """The event loop's time, which tests move forward: timers that are due then fire."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        real = loop.time
        self.ahead = 0.0
        monkeypatch.setattr(loop, "time", lambda: real() + self.ahead)


@pytest.fixture
async def loop_time(monkeypatch: pytest.MonkeyPatch) -> LoopTime:
    return LoopTime(monkeypatch)


async def send_chunk(client: Client, content: bytes = PIECE) -> str:
    """Send a chunk that ends with a line end."""
    return await client.say(b"BDAT %d\r\n" % (len(content) + 2) + content)


async def test_client_that_does_not_sign_in_is_disconnected(tmp_path: Path, loop_time: LoopTime) -> None:
    async with place_with(folder=tmp_path) as place:
        client = await place.client()
        for _ in range(3):
            loop_time.ahead += 59
            assert await client.say("NOOP") == "250 2.0.0 OK"
        loop_time.ahead += 59
        assert await client.reply() == NO_LOGIN
        assert await client.reply() == ""
        assert place.server.open_connections == 0


async def test_sign_in_ends_the_time_to_sign_in(tmp_path: Path, loop_time: LoopTime) -> None:
    async with place_with(folder=tmp_path) as place:
        client = await place.tls_client()
        assert (await client.sign_in()).startswith("235 ")
        loop_time.ahead += 200
        assert (await client.mail()).startswith("250 ")


async def test_network_without_auth_has_no_time_to_sign_in(loop_time: LoopTime) -> None:
    async with place_with() as place:
        client = await place.client()
        loop_time.ahead += 200
        assert (await client.mail()).startswith("250 ")


@pytest.mark.parametrize(
    "command", ["NOOP", "RSET", "EHLO tests", "HELO tests", "VRFY <a@example.com>", "HELP", "BDAT 0"]
)
async def test_commands_without_a_message_end_the_session(command: str) -> None:
    async with place_with(limits=Limits(commands=10)) as place:
        client = await place.client()
        await client.begin()
        replies = [await client.say(command) for _ in range(8)]
        assert replies[-1].startswith("25")
        assert await client.reply() == TOO_MANY
        assert await client.reply() == ""


async def test_recipients_far_beyond_the_limit_are_counted() -> None:
    async with place_with(limits=Limits(commands=10, recipients=1, overshoot=5)) as place:
        client = await place.client()
        await client.begin()
        assert (await client.say(*["RCPT TO:<b@example.org>"] * 13)).startswith("452 ")
        assert await client.reply() == TOO_MANY


async def test_recipients_and_chunks_of_a_message_are_not_counted() -> None:
    async with place_with(limits=Limits(commands=10)) as place:
        client = await place.client()
        await client.begin(*(f"u{number}@example.org" for number in range(20)))
        for _ in range(20):
            assert (await send_chunk(client)).startswith("250 ")
        assert (await client.say("BDAT 2 LAST\r\n")).startswith("250 2.0.0 Accepted")


async def test_accepted_message_begins_the_count_of_commands_again() -> None:
    async with place_with(limits=Limits(commands=10)) as place:
        client = await place.client()
        for _ in range(5):
            assert await client.say(*["NOOP"] * 5) == "250 2.0.0 OK"
            assert (await client.mail()).startswith("250 ")


async def test_message_that_trickles_in_ends_the_session_and_frees_its_memory(loop_time: LoopTime) -> None:
    """300 seconds, and 2 for each chunk of 1,000 bytes; a command between the chunks gives none."""
    async with place_with(limits=Limits(message_bytes=5_000, held_bytes=5_000)) as place:
        client = await place.client()
        await client.begin()
        for _ in range(4):
            assert (await send_chunk(client)).startswith("250 ")
            loop_time.ahead += 77
        assert await client.reply() == TOO_SLOW
        assert await client.reply() == ""
        assert (await (await place.client()).mail(MAIL + b"y" * 4_900 + b"\r\n")).startswith("250 ")


async def test_data_that_trickles_in_ends_the_session(loop_time: LoopTime) -> None:
    async with place_with() as place:
        client = await place.client()
        await client.begin()
        assert (await client.say("DATA")).startswith("354 ")
        client.writer.write(MAIL)
        loop_time.ahead += 301
        assert await client.reply() == TOO_SLOW
        assert await client.reply() == ""
    assert place.relay.posted == []


async def test_refused_message_gets_no_more_time_for_what_arrives(loop_time: LoopTime) -> None:
    too_large = "552 5.3.4 Message too large (limit 1000 bytes)"
    async with place_with(limits=Limits(message_bytes=1_000)) as place:
        client = await place.client()
        await client.begin()
        for _ in range(4):
            assert await send_chunk(client, b"x" * 50_000) == too_large
            loop_time.ahead += 77
        assert await client.reply() == too_large
        assert await client.reply() == ""


async def test_message_at_the_minimum_rate_may_take_long(loop_time: LoopTime) -> None:
    async with place_with() as place:
        client = await place.client()
        await client.begin()
        for _ in range(10):
            assert (await send_chunk(client, b"x" * 50_000)).startswith("250 ")
            loop_time.ahead += 100
        assert (await client.say("BDAT 2 LAST\r\n")).startswith("250 2.0.0 Accepted")


async def test_time_of_a_message_ends_with_it(loop_time: LoopTime) -> None:
    async with place_with() as place:
        client = await place.client()
        for is_dropped in (False, True):
            await client.begin()
            assert (await send_chunk(client)).startswith("250 ")
            assert (await client.say("RSET" if is_dropped else "BDAT 2 LAST\r\n")).startswith("250 ")
            loop_time.ahead += 299
            assert await client.say("NOOP") == "250 2.0.0 OK"
            loop_time.ahead += 299
            assert await client.say("NOOP") == "250 2.0.0 OK"
