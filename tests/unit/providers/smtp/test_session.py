"""What a server may send, and when commands are written, over a socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.core.outcomes import Deferred, Rejected, RouteFault, Sent
from relay.providers.smtp.connection import Server, SmtpConnection, SmtpTimeouts
from relay.providers.smtp.envelope import SmtpEnvelope
from relay.providers.smtp.session import MAX_REPLY_BYTES, InvalidReply, Session, connect
from standins.tls import Authority
from tests.unit.providers.smtp.smtp_route import Place, code_of, opened, send_request

SOON = 5.0
ONE = SmtpEnvelope(return_path="app@example.com", recipients=((0, "ada@example.org"),), is_utf8=False)


@asynccontextmanager
async def server(replies: Callable[[bytes], bytes | None]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Run a server that replies to each segment as it arrives, the first with b"". Yields its port and what it received.

    No reply ends the connection.
    """
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said: bytes | None = b""
        while said is not None and (answer := replies(said)) is not None:
            writer.write(answer)
            said = await reader.read(1_000_000) or None
            received.extend([said] if said else [])
        writer.transport.abort()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1], received


def scripted(*answers: bytes | None) -> Callable[[bytes], bytes | None]:
    rest = iter(answers)
    return lambda _: next(rest)


@asynccontextmanager
async def session(*answers: bytes | None) -> AsyncIterator[Session]:
    async with server(scripted(*answers)) as (port, _):
        opened = await connect("127.0.0.1", port, None)
        try:
            yield opened
        finally:
            opened.close()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"220 hello\r\n", (220, "hello")),
        (b"220\r\n", (220, "")),
        (b"220 \n", (220, "")),
        (b"220-one\r\n220-\r\n220 three \r\n", (220, "one\n\nthree")),
        (b"550 5.7.1 gr\xfc\xdfe\r\n", (550, "5.7.1 gr\udcfc\udcdfe")),
    ],
)
async def test_reply_is_read(sent: bytes, expected: tuple[int, str]) -> None:
    async with session(sent) as opened:
        assert await opened.reply(SOON) == expected


async def test_reply_in_pieces_and_replies_in_one_piece_are_read() -> None:
    async with session(b"", b"") as opened:
        opened.write(b"x", replies=2)
        for piece in (b"22", b"0-a\r", b"\n220 b\r\n250 c\r\n250 d\r\n"):
            opened.data_received(piece)
        assert [await opened.reply(SOON) for _ in range(3)] == [(220, "a\nb"), (250, "c"), (250, "d")]


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n",
        b"22 two digits\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"220 " + b"x" * MAX_REPLY_BYTES,
        b"220-x\r\n" * (MAX_REPLY_BYTES + 1),
    ],
)
async def test_other_text_and_endless_replies_end_the_session(sent: bytes) -> None:
    async with session(sent) as opened:
        with pytest.raises(InvalidReply):
            await opened.reply(SOON)
        assert not opened.is_open


@pytest.mark.parametrize("more", [b"250 more\r\n", b"2", b"250-"])
async def test_reply_to_nothing_ends_the_session_after_the_reply_before_it(more: bytes) -> None:
    async with session(b"220 hello\r\n" + more) as opened:
        assert await opened.reply(SOON) == (220, "hello")
        assert not opened.is_open
        with pytest.raises(InvalidReply):
            opened.command(["NOOP"])


async def test_lost_connection_is_an_error_after_the_replies_that_came() -> None:
    async with session(b"220 hello\r\n", b"421 bye\r\n", None) as opened:
        await opened.reply(SOON)
        opened.command(["NOOP", "NOOP"])
        assert await opened.reply(SOON) == (421, "bye")
        opened.write(b"x")
        with pytest.raises(ConnectionResetError):
            await opened.reply(SOON)
        with pytest.raises(ConnectionResetError):
            opened.command(["NOOP"])


@pytest.mark.parametrize("line", ["RCPT TO:<a@b.example>\r\nRSET", "NOOP\n", "NOOP \0", "NOOP \x7f"])
async def test_command_with_a_control_character_is_not_written(line: str) -> None:
    async with session(b"220 hello\r\n") as opened:
        with pytest.raises(ValueError, match="control character"):
            opened.command(["NOOP", line])


async def test_text_before_tls_is_not_taken_for_a_reply_in_it() -> None:
    async with session(b"220 hello\r\n", b"220 go\r\n250-injected\r\n250 AUTH PLAIN\r\n") as opened:
        await opened.reply(SOON)
        opened.command(["STARTTLS"])
        assert (await opened.reply(SOON))[0] == 220
        with pytest.raises(InvalidReply):
            await opened.start_tls(Authority().server_context(), "localhost", SOON)


# ── a transaction ──


@asynccontextmanager
async def connection(
    replies: Callable[[bytes], bytes | None], auth: str = "none"
) -> AsyncIterator[tuple[SmtpConnection, list[bytes]]]:
    async with server(replies) as (port, received):
        place = Server(host="127.0.0.1", port=port, tls="none", auth=auth, username="u", ehlo_name="relay.test")
        opened = SmtpConnection(place, None, SmtpTimeouts(step_seconds=SOON, content_seconds=SOON))
        assert await opened.open("") is None
        try:
            yield opened, received
        finally:
            opened.close()


HELLO = (b"220 hello\r\n", b"250-relay\r\n250-PIPELINING\r\n250 HELP\r\n")


async def test_pipelined_transaction_has_two_writes() -> None:
    answers = scripted(*HELLO, b"250 sender\r\n250 recipient\r\n354 go\r\n", b"250 queued as A1\r\n")
    async with connection(answers) as (opened, received):
        assert await opened.transfer(ONE, b"Subject: x\r\n\r\n.x\r\n") == [
            (0, Sent(provider_id="A1", reply="250 queued as A1"))
        ]
        assert received[1:] == [
            b"MAIL FROM:<app@example.com>\r\nRCPT TO:<ada@example.org>\r\nDATA\r\n",
            b"Subject: x\r\n\r\n..x\r\n.\r\n",
        ]


async def test_server_without_pipelining_gets_one_command_at_once() -> None:
    answers = scripted(HELLO[0], b"250 relay\r\n", b"250 s\r\n", b"250 r\r\n", b"354 go\r\n", b"250 ok\r\n")
    async with connection(answers) as (opened, received):
        assert await opened.transfer(ONE, b"x\r\n") == [(0, Sent(reply="250 ok"))]
        assert received[1:] == [
            b"MAIL FROM:<app@example.com>\r\n", b"RCPT TO:<ada@example.org>\r\n", b"DATA\r\n", b"x\r\n.\r\n"
        ]  # fmt: skip


async def test_replies_after_a_refusal_are_read_before_the_connection_is_reused() -> None:
    answers = scripted(*HELLO, b"550 5.7.60 SendAsDenied\r\n503 no\r\n503 no\r\n", b"250 reset\r\n")
    async with connection(answers) as (opened, _):
        [(_, outcome)] = await opened.transfer(ONE, b"x\r\n")
        assert code_of(outcome) == ("RouteFault", "sender_not_verified")
        assert await opened.reset()


async def test_refusal_counts_if_the_connection_ends_before_the_other_replies() -> None:
    answers = scripted(*HELLO, b"550 5.7.60 SendAsDenied\r\n", None)
    async with connection(answers) as (opened, _):
        [(_, outcome)] = await opened.transfer(ONE, b"x\r\n")
        assert isinstance(outcome, RouteFault)


@pytest.mark.parametrize(("offered", "limit"), [(b"SIZE 1000", 1000), (b"size 1000", 1000), (b"SIZE", 0), (b"HELP", 0)])
async def test_size_limit_of_the_server_is_read(offered: bytes, limit: int) -> None:
    async with connection(scripted(HELLO[0], b"250-relay\r\n250 " + offered + b"\r\n")) as (opened, _):
        assert opened.max_bytes == limit


@pytest.mark.parametrize("offered", [b"250 AUTH=LOGIN", b"250-AUTH=LOGIN\r\n250 AUTH XOAUTH2", b"250 auth login"])
async def test_mechanisms_that_old_servers_offer_are_used(offered: bytes) -> None:
    answers = scripted(HELLO[0], b"250-relay\r\n" + offered + b"\r\n", b"334 user\r\n", b"334 word\r\n", b"235 ok\r\n")
    async with connection(answers, auth="") as (_, received):
        assert received[1] == b"AUTH LOGIN\r\n"


async def test_connection_that_asks_for_content_without_recipients_is_closed(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        route = place.route()
        place.script.respond(550, "5.1.1 no", operation="rcpt")
        place.script.respond(354, "go ahead", operation="data")
        assert await route.send(send_request()) == Rejected(code="invalid_recipient", reply="550 5.1.1 no")
        assert isinstance(await route.send(send_request()), Sent)
        assert (place.standin.connections, place.inbox.accepted) == (2, 1)


async def test_server_that_does_not_speak_smtp_is_unreachable(tmp_path: Path) -> None:
    async with (
        server(scripted(b"SSH-2.0-OpenSSH_9.6\r\n")) as (port, _),
        opened(tmp_path, tls="none", users={}) as place,
    ):
        other: Place = place
        other.settings["port"] = port
        assert await other.send() == Deferred(code="unreachable", reply="InvalidReply")
