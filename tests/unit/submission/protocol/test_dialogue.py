"""The SMTP dialogue over a socket: extensions, TLS, AUTH, and replies with status codes."""

import asyncio
import base64
import re
from pathlib import Path

import pytest

from tests.unit.submission.kit import BUSY, KEY, MAIL, StubRelay, place_with, plain

NEEDS_LOGIN = "530 5.7.0"


async def test_local_server_accepts_mail_without_sign_in() -> None:
    async with place_with() as place:
        client = await place.client()
        assert await client.mail(MAIL, "ada@example.org", "bob@example.org") == "250 2.0.0 Accepted as msg_1"
        assert await client.say("QUIT") == "221 2.0.0 Bye"
    [posted] = place.relay.posted
    assert posted.key == KEY
    assert posted.query == {"from": "a@example.com", "to": "ada@example.org,bob@example.org"}
    assert posted.headers["Content-Type"] == "message/rfc822"
    assert posted.content == MAIL
    assert place.reports == ["accepted msg_1 of app"]


async def test_extensions_are_listed_as_they_apply(tmp_path: Path) -> None:
    always = ["SIZE 31457280", "8BITMIME", "SMTPUTF8", "PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES"]
    async with place_with(folder=tmp_path) as place:
        client = await place.client(greets=False)
        await client.reply()
        client.writer.write(b"EHLO tests\r\n")
        assert [line[4:] for line in await client.lines()][1:] == [*always, "STARTTLS"]
        await client.start_tls(place.authority)
        client.writer.write(b"EHLO tests\r\n")
        assert [line[4:] for line in await client.lines()][1:] == [*always, "AUTH LOGIN PLAIN"]


@pytest.mark.parametrize("has_tls", [False, True])
async def test_client_signs_in_after_tls_and_sends_with_its_own_key(tmp_path: Path, has_tls: bool) -> None:
    async with place_with(folder=tmp_path) as place:
        client = await (place.tls_client() if has_tls else place.client())
        if not has_tls:
            assert (await client.sign_in()).startswith("538 5.7.11")
            await client.start_tls(place.authority)
        assert (await client.say("MAIL FROM:<a@example.com>")).startswith(NEEDS_LOGIN)
        assert (await client.sign_in()).startswith("235 2.7.0")
        assert (await client.mail()).startswith("250 ")
    assert [posted.key for posted in place.relay.posted] == [KEY]


async def test_login_mechanism_in_any_case_works(tmp_path: Path) -> None:
    async with place_with(folder=tmp_path) as place:
        client = await place.tls_client()
        assert base64.b64decode((await client.say("AUTH login"))[4:]) == b"Username:"
        assert base64.b64decode((await client.say(base64.b64encode(b"app")))[4:]) == b"Password:"
        assert (await client.say(base64.b64encode(KEY.encode()))).startswith("235 ")


@pytest.mark.parametrize(
    ("name", "key"), [("app", "relay_00000000_wrong"), ("other", KEY), ("app", ""), ("", KEY), ("app", "a\r\nX-Y: z")]
)
async def test_wrong_name_or_key_is_refused(tmp_path: Path, name: str, key: str) -> None:
    async with place_with(folder=tmp_path) as place:
        client = await place.tls_client()
        assert (await client.sign_in(name, key)).startswith("535 5.7.8")
        assert (await client.say("MAIL FROM:<a@example.com>")).startswith(NEEDS_LOGIN)
        assert (await client.sign_in()).startswith("235 ")


async def test_sign_in_is_temporarily_impossible_while_the_relay_is_down(tmp_path: Path) -> None:
    async with place_with(folder=tmp_path) as place:
        place.relay.down = True
        client = await place.tls_client()
        assert (await client.sign_in()).startswith("454 4.7.0")
        place.relay.down = False
        assert (await client.sign_in()).startswith("235 ")


async def test_commands_before_tls_are_not_read_after_it(tmp_path: Path) -> None:
    """RFC 3207 section 6; CVE-2011-0411."""
    async with place_with(folder=tmp_path) as place:
        client = await place.client()
        client.writer.write(b"STARTTLS\r\nRSET\r\nNOOP injected\r\n")
        assert (await client.reply()).startswith("220 ")
        await client.writer.start_tls(place.authority.client_context(), server_hostname="localhost")
        assert re.match(r"250 (?!2\.)", await client.say("HELO tests"))
        assert await client.say("NOOP") == "250 2.0.0 OK"


async def test_tls_ends_what_came_before(tmp_path: Path) -> None:
    async with place_with(folder=tmp_path, allows_plain_auth=True) as place:
        client = await place.client()
        assert (await client.sign_in()).startswith("235 ")
        await client.start_tls(place.authority)
        assert (await client.say("MAIL FROM:<a@example.com>")).startswith(NEEDS_LOGIN)


async def test_client_that_leaves_during_the_handshake_frees_its_connection(tmp_path: Path) -> None:
    async with place_with(folder=tmp_path) as place:
        for number, begin in ((0, b"EHLO x\r\nSTARTTLS\r\n"), (1, b"\x16\x03\x01"), (1, b"GET / HTTP/1.1\r\n\r\n")):
            host, port = place.server.addresses[number]
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(begin)
            if number == 0:
                await reader.readuntil(b"220 2.0.0 Ready")
            writer.write_eof()
            await reader.read()
            writer.close()
        assert (await (await place.tls_client()).sign_in()).startswith("235 ")
        assert place.server.open_connections == 1


async def test_every_reply_has_a_status_code() -> None:
    """RFC 2034; not the greeting, and not the replies to EHLO and HELO."""
    commands = [
        "NOOP", "RSET", "VRFY a", "VRFY", "EXPN x", "HELP", "BOGUS", "RCPT TO:<a@example.org>", "DATA", "MAIL", "MAIL FROM:a b",
        "MAIL FROM:<a@example.com> BODY=BINARYMIME", "MAIL FROM:<a@example.com> X=Y", "MAIL FROM:<a@example.com> SIZE=99999999",
        "MAIL FROM:<a@example.com> AUTH=<> SIZE=10 BODY=8BITMIME SMTPUTF8", "MAIL FROM:<a@example.com>",
        "RCPT TO:<ada@example.org>", "DATA x", "STARTTLS", "AUTH PLAIN", "BDAT 0", "DATA", "BDAT x",
    ]  # fmt: skip
    async with place_with() as place:
        client = await place.client()
        replies = [await client.say(command) for command in commands]
    bare = [reply for reply in replies if not re.match(r"([245])\d\d \1\.\d{1,3}\.\d{1,3} ", reply)]
    assert bare == []
    assert [reply[:3] for reply in replies[14:17]] == ["250", "503", "250"]


async def test_pipelined_commands_are_answered_in_order() -> None:
    commands = (
        b'EHLO\r\nMAIL FROM:<>\r\nRCPT TO:<"xxx.yyy."@docomo.ne.jp>\r\n'
        b"RCPT TO:<aaa..bb@docomo.ne.jp>\r\nRCPT TO:<a b@x>\r\n"
    )
    async with place_with() as place:
        client = await place.client(greets=False)
        client.writer.write(commands + b"DATA\r\n" + MAIL + b".\r\nQUIT\r\n")
        replies = (await client.reader.read()).decode().splitlines()
    assert [reply[:3] for reply in replies if reply[3:4] == " "] == [
        *("220", "250", "250", "250", "250", "553", "354", "250", "221"),
    ]
    assert place.relay.posted[0].query == {"from": "<>", "to": '"xxx.yyy."@docomo.ne.jp,aaa..bb@docomo.ne.jp'}


async def test_long_key_is_read_in_one_command() -> None:
    async with place_with(allows_plain_auth=True) as place:
        client = await place.client()
        assert (await client.say(f"AUTH PLAIN {plain('app', 'x' * 1_500)}")).startswith("535 ")
        assert (await client.say("NOOP " + "x" * 5_000)).startswith("500 5.5.2")


# ── chunks (RFC 3030) ──


async def test_message_in_chunks_is_posted_as_it_is() -> None:
    async with place_with() as place:
        client = await place.client()
        await client.begin()
        assert await client.say(b"BDAT 7\r\nFrom: a") == "250 2.0.0 7 bytes received"
    [] = place.relay.posted


async def send_chunks(place_relay: StubRelay, *wire: bytes) -> list[str]:
    """Begin a message, and send these bytes. Returns the replies up to the one to QUIT."""
    async with place_with(place_relay) as place:
        client = await place.client()
        await client.begin()
        client.writer.write(b"".join(wire) + b"QUIT\r\n")
        return (await client.reader.read()).decode().splitlines()


async def test_chunks_keep_dots_and_bare_line_ends() -> None:
    relay = StubRelay()
    content = b"From: a@example.com\r\n\r\n.\r\n..\n.\n"
    replies = await send_chunks(
        relay, b"BDAT 10\r\n", content[:10], b"BDAT %d LAST\r\n" % len(content[10:]), content[10:]
    )
    assert [reply[:9] for reply in replies] == ["250 2.0.0", "250 2.0.0", "221 2.0.0"]
    assert relay.posted[0].content == content


async def test_empty_last_chunk_ends_the_message() -> None:
    relay = StubRelay()
    await send_chunks(relay, b"BDAT %d\r\n" % len(MAIL), MAIL, b"BDAT 0 LAST\r\n")
    assert relay.posted[0].content == MAIL


async def test_chunk_without_recipients_is_skipped() -> None:
    relay = StubRelay()
    replies = await send_chunks(relay, b"RSET\r\n", b"BDAT 6 LAST\r\n", b"RSET\r\n")
    assert [reply[:9] for reply in replies] == ["250 2.0.0", "503 5.5.1", "221 2.0.0"]
    assert relay.posted == []


async def test_data_and_recipients_are_refused_within_a_chunked_message() -> None:
    relay = StubRelay()
    replies = await send_chunks(
        relay, b"BDAT 1\r\nF", b"RCPT TO:<bob@example.org>\r\n", b"DATA\r\n", b"MAIL FROM:<b@example.com>\r\n",
        b"BDAT %d LAST\r\n" % len(MAIL[1:]), MAIL[1:],
    )  # fmt: skip
    assert [reply[:3] for reply in replies] == ["250", "503", "503", "503", "250", "221"]
    assert [posted.content for posted in relay.posted] == [MAIL]


async def test_invalid_chunk_ends_the_connection() -> None:
    """What follows it could be a chunk or commands."""
    replies = await send_chunks(StubRelay(), b"BDAT -1\r\nMAIL FROM:<evil@example.com>\r\n")
    assert [reply[:3] for reply in replies] == ["501"]


async def test_chunks_need_a_sign_in(tmp_path: Path) -> None:
    async with place_with(folder=tmp_path) as place:
        client = await place.tls_client()
        client.writer.write(b"BDAT 5 LAST\r\nhelloQUIT\r\n")
        assert (await client.reply()).startswith(NEEDS_LOGIN)
        assert await client.reply() == ""


# ── the relay's part ──


async def test_server_that_stops_finishes_messages_that_are_being_posted() -> None:
    relay = StubRelay()
    relay.gate.clear()
    async with place_with(relay) as place:
        client, idle = await place.client(), await place.client()
        await client.begin()
        sending = asyncio.create_task(client.data())
        await relay.has_posted.wait()
        asyncio.get_running_loop().call_soon(relay.gate.set)
    assert (await sending).startswith("250 ")
    assert (await client.reply()).startswith("421 4.3.2")
    assert (await idle.reply()).startswith("421 4.3.2")


async def test_busy_relay_is_asked_again_with_the_same_key() -> None:
    relay = StubRelay(BUSY, (202, {"id": "msg_2"}))
    async with place_with(relay) as place:
        assert await (await place.client()).mail() == "250 2.0.0 Accepted as msg_2"
    assert len(relay.posted) == 2
    assert len(relay.keys) == 1
