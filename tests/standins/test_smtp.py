"""The SMTP stand-in: its extensions, its refusals, and its scripted faults."""

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage
from typing import Any

import aiohttp
import pytest

from standins.entra import TokenIssuer
from standins.rate_limit import Limit
from standins.smtp.auth import AUDIENCE
from standins.smtp.server import DEFAULT_PASSWORD, DEFAULT_USER, SmtpStandIn
from standins.tls import Authority
from tests.doubles import Clock
from tests.standins.smtp_client import Client, connected, encoded


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[SmtpStandIn]:
    async with SmtpStandIn(authority=authority) as standin:
        yield standin


@pytest.fixture
async def client(server: SmtpStandIn) -> AsyncIterator[Client]:
    async with connected(server) as opened:
        yield opened


def offered(reply: str) -> set[str]:
    """Return the extensions in a reply to EHLO."""
    return {line[4:] for line in reply.split("\n")[1:]}


async def test_auth_is_offered_only_after_starttls(server: SmtpStandIn) -> None:
    async with connected(server, ready=False) as client:
        assert (await client.reply()).startswith("220 relay.standin.test")
        clear = offered(await client.say("EHLO client.test"))
        assert {"STARTTLS", "8BITMIME", "SMTPUTF8", "SIZE 36700160"} <= clear
        assert not any(extension.startswith("AUTH") for extension in clear)
        assert (await client.say(f"MAIL FROM:<{DEFAULT_USER}>")).startswith("530 ")
        assert (await client.sign_in()).startswith("530 ")
        secure = offered(await client.secure(server.authority.client_context()))
        assert "STARTTLS" not in secure
        assert "AUTH LOGIN PLAIN XOAUTH2" in secure
        assert await client.say(f"MAIL FROM:<{DEFAULT_USER}>") == "530 5.7.57 Client not authenticated to send mail."
        assert (await client.sign_in()).startswith("235")
        assert (await client.send()).startswith("250 2.0.0 OK: queued as ")
    assert server.inbox.messages[0].envelope == ("ada@example.org",)


async def test_server_that_refuses_in_its_greeting_waits_for_quit(server: SmtpStandIn) -> None:
    server.script.respond(554, "5.7.1 no mail from you", operation="connect")
    async with connected(server, ready=False) as client:
        assert await client.reply() == "554 5.7.1 no mail from you"
        assert (await client.say("EHLO client.test")).startswith("503 ")
        assert (await client.say("QUIT")).startswith("221 ")
        assert await client.is_over()


async def test_implicit_tls_and_no_tls_accept_mail(authority: Authority) -> None:
    async with SmtpStandIn(tls="implicit", authority=authority) as server, connected(server) as client:
        assert server.url.startswith("smtps://localhost:")
        assert (await client.send()).startswith("250")
    async with SmtpStandIn(tls="none", users={}) as server, connected(server) as client:
        assert not [text for text in offered(await client.say("EHLO x")) if text.startswith(("AUTH", "STARTTLS"))]
        assert (await client.send()).startswith("250")


async def test_client_without_the_authority_refuses_the_certificate(server: SmtpStandIn) -> None:
    async with connected(server, ready=False) as client:
        await client.reply()
        await client.say("EHLO client.test")
        with pytest.raises(ssl.SSLCertVerificationError):
            await client.secure(ssl.create_default_context())


def plain(user: str, password: str) -> list[str]:
    return [f"AUTH PLAIN {encoded(f'\0{user}\0{password}')}"]


def login(user: str, password: str) -> list[str]:
    return ["AUTH LOGIN", encoded(user), encoded(password)]


def xoauth2(user: str, token: str) -> list[str]:
    return [f"AUTH XOAUTH2 {encoded(f'user={user}\x01auth=Bearer {token}\x01\x01')}"]


def xoauth2_in_two(user: str, token: str) -> list[str]:
    return ["AUTH XOAUTH2", xoauth2(user, token)[0].rpartition(" ")[2]]


async def sign_in(server: SmtpStandIn, lines: list[str]) -> str:
    """Send lines on a new connection with TLS. Return the last reply."""
    async with connected(server, ready=False) as client:
        await client.reply()
        await client.say("EHLO client.test")
        await client.secure(server.authority.client_context())
        for line in lines:
            reply = await client.say(line)
        return reply


@pytest.mark.parametrize("mechanism", [plain, login])
async def test_wrong_user_or_password_is_refused(
    server: SmtpStandIn, mechanism: Callable[[str, str], list[str]]
) -> None:
    assert (await sign_in(server, mechanism(DEFAULT_USER, DEFAULT_PASSWORD))).startswith("235 2.7.0")
    assert (await sign_in(server, mechanism(DEFAULT_USER, "wrong"))).startswith("535 5.7.8")
    assert (await sign_in(server, mechanism("nobody", DEFAULT_PASSWORD))).startswith("535 5.7.8")
    server.account = "basic_auth_retired"
    assert (await sign_in(server, mechanism(DEFAULT_USER, DEFAULT_PASSWORD))).startswith("550 5.7.30")


@pytest.mark.parametrize("mechanism", [xoauth2, xoauth2_in_two])
async def test_token_needs_the_right_user_and_audience(
    authority: Authority, mechanism: Callable[[str, str], list[str]]
) -> None:
    issuer = TokenIssuer()
    async with SmtpStandIn(authority=authority, issuer=issuer) as server:
        token = issuer.issue(AUDIENCE)
        assert (await sign_in(server, mechanism(DEFAULT_USER, token))).startswith("235")
        assert (await sign_in(server, mechanism("nobody@example.com", token))).startswith("535 5.7.3")
        other = issuer.issue("https://graph.microsoft.com")
        assert (await sign_in(server, mechanism(DEFAULT_USER, other))).startswith("535 5.7.3")
        server.account = "basic_auth_retired"
        assert (await sign_in(server, mechanism(DEFAULT_USER, token))).startswith("235")
        server.account = "smtp_auth_disabled"
        assert (await sign_in(server, mechanism(DEFAULT_USER, token))).startswith("535 5.7.139")


async def test_malformed_credentials_are_syntax_errors(server: SmtpStandIn) -> None:
    assert (await sign_in(server, ["AUTH XOAUTH2 !!"])).startswith("501")
    assert (await sign_in(server, ["AUTH CRAM-MD5"])).startswith("504")
    assert server.inbox.refused == {}


async def test_mail_is_stored_as_its_recipients_receive_it(server: SmtpStandIn, client: Client) -> None:
    content = (
        b"From: App <app@example.com>\r\nTo: Ada <ada@example.org>\r\nX-Relay-Id: m1\r\nSubject: Hi\r\n\r\n..dot\r\n"
    )
    await client.send(content, "ada@example.org", "eve@example.org", sender="bounces@example.com")
    (mail,) = server.inbox.messages
    assert (mail.envelope, mail.envelope_sender) == (("ada@example.org", "eve@example.org"), "bounces@example.com")
    assert (mail.sender.address, mail.to[0].name, mail.relay_id, mail.subject) == ("app@example.com", "Ada", "m1", "Hi")
    assert mail.raw == content.replace(b"..dot", b".dot")


@pytest.mark.parametrize(
    ("content", "options", "beginning"),
    [
        (b"Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n", "", "554 5.6.1"),
        (b"Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n", " BODY=8BITMIME", "250 "),
        (b"Subject: gr\xc3\xbc\xc3\x9fe\r\n\r\nx\r\n", " BODY=8BITMIME", "554 5.6.7"),
        (b"Subject: gr\xc3\xbc\xc3\x9fe\r\n\r\nx\r\n", " BODY=8BITMIME SMTPUTF8", "250 "),
        (b"Subject: x\r\n\r\n" + b"y" * 998 + b"\r\n", "", "250 "),
        (b"Subject: x\r\n\r\n" + b"y" * 999 + b"\r\n", "", "500 5.6.0"),
        (b"Subject: x\r\n\r\nbare\nfeed\r\n", "", "554 5.6.0"),
        (b"Subject: x\r\n\r\nbare\rreturn\r\n", "", "554 5.6.0"),
    ],
)
async def test_invalid_lines_are_refused(
    server: SmtpStandIn, client: Client, content: bytes, options: str, beginning: str
) -> None:
    assert (await client.send(content, options=options)).startswith(beginning)
    assert server.inbox.accepted == beginning.startswith("250")


async def test_disabled_extensions_are_refused(authority: Authority) -> None:
    async with SmtpStandIn(authority=authority, extensions=()) as server, connected(server) as client:
        assert not offered(await client.say("EHLO x")) & {"8BITMIME", "SMTPUTF8"}
        assert (await client.send(options=" BODY=8BITMIME")).startswith("555 5.5.4")
        assert (await client.send(options=" SMTPUTF8")).startswith("501")


async def test_oversized_mail_is_refused(authority: Authority) -> None:
    async with SmtpStandIn(authority=authority, max_message_bytes=100) as server, connected(server) as client:
        assert (await client.send(options=" SIZE=101")).startswith("552")
        assert (await client.send(b"Subject: x\r\n\r\n" + b"y\r\n" * 100)).startswith("552")
        assert (await client.send(options=" SIZE=100")).startswith("250")


async def test_single_recipients_can_be_refused(server: SmtpStandIn, client: Client) -> None:
    server.script.respond(550, "5.1.1 User unknown", operation="rcpt", recipient="gone@*", times=None)
    server.script.respond(450, operation="rcpt", recipient="grey@*")
    await client.say(f"MAIL FROM:<{DEFAULT_USER}>")
    replies = [await client.say(f"RCPT TO:<{name}@example.org>") for name in ("ada", "gone", "grey", "grey", "GONE")]
    assert [reply[:9] for reply in replies] == ["250 2.1.5", "550 5.1.1", "450 4.2.1", "250 2.1.5", "550 5.1.1"]
    await client.say("DATA")
    assert (await client.say("Subject: x\r\n\r\nhi\r\n.")).startswith("250")
    assert server.inbox.messages[0].envelope == ("ada@example.org", "grey@example.org")
    assert server.inbox.refused == {550: 2, 450: 1}


@pytest.mark.parametrize("operation", ["ehlo", "mail", "rcpt", "data", "send"])
async def test_scripted_reply_applies_to_one_command(server: SmtpStandIn, client: Client, operation: str) -> None:
    server.script.respond(451, "4.3.0 one\n4.3.0 two", operation=operation)
    reply = await client.say("EHLO x") if operation == "ehlo" else await client.send()
    assert reply == "451-4.3.0 one\n451 4.3.0 two"
    assert server.inbox.accepted == 0
    await client.say("RSET")
    assert (await client.send()).startswith("250")


@pytest.mark.parametrize(
    ("status", "beginning"),
    [(432, "432 4.3.2 Concurrent"), (554, "554 5.7.1"), (452, "452 4.3.1"), (599, "599 scripted")],
)
async def test_scripted_status_has_the_usual_text(
    server: SmtpStandIn, client: Client, status: int, beginning: str
) -> None:
    server.script.respond(status)
    assert (await client.send()).startswith(beginning)


async def test_connection_closes_after_421(server: SmtpStandIn, client: Client) -> None:
    server.script.respond(421, operation="mail")
    assert (await client.send()).startswith("421 4.3.2")
    assert await client.is_over()


async def test_scripted_greeting_refuses_the_connection(server: SmtpStandIn) -> None:
    server.script.respond(554, operation="connect")
    async with connected(server, ready=False) as client:
        assert (await client.reply()).startswith("554")


@pytest.mark.parametrize("operation", ["connect", "ehlo", "starttls"])
async def test_cut_before_tls_resets_the_connection(server: SmtpStandIn, operation: str) -> None:
    server.script.cut_before_body(operation=operation)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError, ssl.SSLError)):
        async with connected(server):
            raise AssertionError("the connection should have been cut")


@pytest.mark.parametrize("operation", ["mail", "rcpt", "data", "send"])
async def test_cut_before_the_content_accepts_nothing(server: SmtpStandIn, client: Client, operation: str) -> None:
    server.script.cut_before_body(operation=operation)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await client.send()
    assert server.inbox.accepted == 0


async def test_cut_after_the_final_dot_accepts_the_mail(server: SmtpStandIn, client: Client) -> None:
    server.script.cut_after_accept()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await client.send()
    assert server.inbox.accepted == 1


async def test_hang_after_acceptance_lasts_until_release(server: SmtpStandIn, client: Client) -> None:
    server.script.hang(after_accept=True)
    sending = asyncio.create_task(client.send())
    await server.inbox.wait_for(1)
    assert not sending.done()
    server.release()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await sending


async def test_hang_accepts_nothing_and_ends_with_the_stand_in(server: SmtpStandIn, client: Client) -> None:
    server.script.hang()
    sending = asyncio.create_task(client.send())
    await server.inbox.wait_for_requests(1)
    await server.stop()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await sending
    assert server.inbox.accepted == 0


async def test_accepted_mail_can_get_an_error_reply(server: SmtpStandIn, client: Client) -> None:
    server.script.accept_then(451, "4.4.2 Timeout")
    assert await client.send() == "451 4.4.2 Timeout"
    assert server.inbox.accepted == 1


async def test_slow_reply_arrives(server: SmtpStandIn, client: Client) -> None:
    server.script.slow(0.01)
    assert (await client.send()).startswith("250")


@pytest.mark.parametrize(
    ("state", "beginning"),
    [("send_as_denied", "554 5.2.252"), ("mailbox_full", "554 5.2.2"), ("blocked", "550 5.1.8")],
)
async def test_account_state_refuses_the_mail(server: SmtpStandIn, client: Client, state: str, beginning: str) -> None:
    server.account = state
    assert (await client.send()).startswith(beginning)


async def test_sender_of_another_user_is_refused(authority: Authority) -> None:
    senders = {DEFAULT_USER: ["Allowed@example.com"]}
    async with SmtpStandIn(authority=authority, senders=senders) as server, connected(server) as client:
        assert (await client.send(sender="allowed@example.com")).startswith("250")
        assert (await client.send(sender="other@example.com")).startswith("554 5.2.252")


async def test_message_above_the_rate_limit_gets_421(authority: Authority) -> None:
    clock = Clock()
    limits = [Limit(name="messages", count=1, seconds=60)]
    async with SmtpStandIn(authority=authority, limits=limits, clock=clock) as server, connected(server) as client:
        assert (await client.send()).startswith("250")
        assert (await client.send()).startswith("421 4.4.2 Message submission rate")
        assert await client.is_over()


async def test_connection_above_the_limit_cannot_send(authority: Authority) -> None:
    async with (
        SmtpStandIn(authority=authority, max_connections=1) as server,
        connected(server) as first,
        connected(server) as second,
    ):
        assert (await second.send()).startswith("432 4.3.2 Concurrent connections limit exceeded")
        assert (await first.send()).startswith("250")
        assert (await first.say("QUIT")).startswith("221")
        assert await first.is_over()
        assert (await second.send()).startswith("250")


async def test_control_routes_script_faults_and_read_the_inbox(server: SmtpStandIn, client: Client) -> None:
    async with aiohttp.ClientSession(server.control_url) as session:
        fault: dict[str, Any] = {"act": "respond", "operation": "rcpt", "status": 550}
        async with session.post("/__standin__/script", json=fault) as answer:
            assert answer.status == 204
        assert (await client.send()).startswith("550")
        await client.say("RSET")
        await client.send()
        async with session.get("/__standin__/inbox") as answer:
            shown = await answer.json()
    assert shown["counters"]["accepted"] == 1
    assert shown["messages"][0]["envelope"] == ["ada@example.org"]


def post(server: SmtpStandIn, context: ssl.SSLContext) -> dict[str, tuple[int, bytes]]:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = DEFAULT_USER, "ada@example.org, gone@example.org", "日本語"
    message.set_content("grüße", cte="base64")
    with smtplib.SMTP(server.host, server.port, timeout=20) as client:
        client.starttls(context=context)
        client.login(DEFAULT_USER, DEFAULT_PASSWORD)
        return client.send_message(message)


async def test_smtplib_sends_and_gets_the_refused_recipient(server: SmtpStandIn) -> None:
    server.script.respond(550, operation="rcpt", recipient="gone@*")
    refused = await asyncio.to_thread(post, server, server.authority.client_context())
    assert refused == {"gone@example.org": (550, b"5.1.1 User unknown")}
    (mail,) = server.inbox.messages
    assert (mail.subject, mail.text) == ("日本語", "grüße\n")
