"""The SMTP route against its stand-in: TLS, AUTH, encodings, and outcomes of recipients."""

from collections.abc import AsyncIterator
from email import policy
from email.parser import BytesParser
from pathlib import Path

import pytest

from relay.core.model import Address, Attachment
from relay.core.outcomes import Deferred, PerRecipient, Rejected, RouteFault, Sent, Unknown
from relay.providers.smtp import provider
from standins.entra import TokenIssuer
from standins.smtp.auth import AUDIENCE
from standins.smtp.server import DEFAULT_USER
from tests.send_requests import Secret
from tests.unit.providers.smtp.smtp_route import Place, Tokens, code_of, mail, opened, send_request


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with opened(tmp_path) as here:
        yield here


async def test_sent_message_has_the_servers_id_and_reply(place: Place) -> None:
    outcome = await place.send()
    (kept,) = place.inbox.messages
    assert outcome == Sent(provider_id=kept.id, reply=f"250 2.0.0 OK: queued as {kept.id}")
    assert (kept.relay_id, kept.subject, kept.text) == ("m1", "Hello", "A text\r\n")
    assert (kept.envelope, kept.envelope_sender) == (("ada@example.org",), "app@example.com")
    assert kept.headers["Message-ID"] == "<m1@example.com>"


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("auth", ["plain", "login", ""])
async def test_password_works_with_every_mechanism_under_tls(tmp_path: Path, tls: str, auth: str) -> None:
    async with opened(tmp_path, tls=tls, route={"auth": auth} if auth else {}) as place:
        assert isinstance(await place.send(), Sent)
        assert isinstance(await place.providers[0].probe(), Sent)


async def test_private_server_works_without_tls_and_auth(tmp_path: Path) -> None:
    async with opened(tmp_path, tls="none", users={}) as place:
        assert isinstance(await place.send(), Sent)


async def test_certificate_of_another_name_is_a_route_fault(tmp_path: Path) -> None:
    async with opened(tmp_path, certificate_hosts=("mail.example.net",)) as place:
        outcome = await place.send()
        assert code_of(outcome) == ("RouteFault", "misconfigured")
        assert "Hostname mismatch" in outcome.reply  # type: ignore[union-attr] # code_of excludes PerRecipient
        assert await place.providers[0].probe() == outcome
        assert place.inbox.accepted == 0


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_certificate_of_an_unknown_authority_is_a_route_fault(tmp_path: Path, tls: str) -> None:
    async with opened(tmp_path, tls=tls) as place:
        del place.settings["ca_file"]
        assert code_of(await place.send()) == ("RouteFault", "misconfigured")
        assert place.inbox.accepted == 0


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_unreadable_ca_file_is_a_route_fault(place: Place, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "others.pem"
    if content is not None:
        path.write_text(content)
    place.settings["ca_file"] = str(path)
    assert code_of(await place.send()) == ("RouteFault", "misconfigured")


async def test_server_without_starttls_is_a_route_fault(tmp_path: Path) -> None:
    async with opened(tmp_path, tls="none", route={"tls": "starttls", "host": "localhost"}) as place:
        outcome = await place.send()
        assert outcome == RouteFault(code="misconfigured", reply="the server offers no STARTTLS")
        assert "auth" not in place.script.acted


async def test_implicit_tls_to_a_starttls_port_is_a_route_fault(place: Place) -> None:
    place.settings["tls"] = "implicit"
    assert code_of(await place.send()) == ("RouteFault", "misconfigured")


async def test_missing_auth_mechanism_is_a_route_fault(tmp_path: Path) -> None:
    async with opened(tmp_path, users={}, route={"username": "x", "password": "setting:P", "auth": "login"}) as place:
        assert await place.send() == RouteFault(code="misconfigured", reply="the server offers no AUTH LOGIN")


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("credentials_refused", "bad_credentials"),
        ("smtp_auth_disabled", "missing_permission"),
        ("basic_auth_retired", "misconfigured"),
        ("send_as_denied", "sender_not_verified"),
        ("mailbox_full", "mailbox_unavailable"),
        ("blocked", "account_restricted"),
    ],
)
async def test_account_that_may_not_send_is_a_route_fault(place: Place, state: str, code: str) -> None:
    place.standin.account = state
    assert code_of(await place.send()) == ("RouteFault", code)
    assert place.inbox.accepted == 0


async def test_refused_password_is_reread_once(place: Place) -> None:
    place.passwords = Secret("old", renewed=place.passwords.value)
    assert isinstance(await place.send(), Sent)
    assert (place.passwords.refreshed, place.standin.connections) == (1, 2)


async def test_password_that_stays_wrong_is_not_retried(place: Place) -> None:
    place.passwords = Secret("old")
    assert code_of(await place.send()) == ("RouteFault", "bad_credentials")
    assert (place.passwords.refreshed, place.standin.connections) == (1, 1)


async def test_missing_password_is_a_route_fault(place: Place) -> None:
    place.passwords = Secret("")
    assert await place.send() == RouteFault(code="secret_unavailable", reply="setting:SMTP_PASSWORD: missing")
    assert place.standin.connections == 0


class TestXoauth2:
    """Tokens for Exchange Online."""

    @pytest.fixture
    async def place(self, tmp_path: Path) -> AsyncIterator[Place]:
        issuer = TokenIssuer()
        identity = {"auth": "xoauth2", "username": DEFAULT_USER, "managed_identity": True}
        async with opened(tmp_path, issuer=issuer, route=identity) as here:
            del here.settings["password"]
            here.tokens = Tokens(issuer.issue(AUDIENCE))
            yield here

    async def test_token_authenticates(self, place: Place) -> None:
        assert isinstance(await place.send(), Sent)
        assert place.tokens.scopes == [provider.SMTP_SCOPE]

    async def test_configured_scope_is_requested(self, place: Place) -> None:
        place.settings["scope"] = "https://smtp.example.com/.default"
        assert isinstance(await place.send(), Sent)
        assert place.tokens.scopes == ["https://smtp.example.com/.default"]

    async def test_tokens_work_where_passwords_are_disabled(self, place: Place) -> None:
        place.standin.account = "basic_auth_retired"
        assert isinstance(await place.send(), Sent)

    async def test_refused_token_is_replaced_once(self, place: Place) -> None:
        place.tokens = Tokens("expired", renewed=place.tokens.token_or_fault)
        assert isinstance(await place.send(), Sent)
        assert (len(place.tokens.scopes), place.standin.connections) == (2, 2)

    async def test_token_that_stays_wrong_is_not_retried(self, place: Place) -> None:
        place.tokens = Tokens("wrong", renewed="also wrong")
        assert code_of(await place.send()) == ("RouteFault", "bad_credentials")
        assert place.standin.connections == 2

    @pytest.mark.parametrize("token_or_fault", [Deferred(code="unreachable"), RouteFault(code="bad_credentials")])
    async def test_missing_token_sends_nothing(self, place: Place, token_or_fault: Deferred | RouteFault) -> None:
        place.tokens = Tokens(token_or_fault)
        assert await place.send() == token_or_fault
        assert place.standin.connections == 0


async def test_envelope_has_all_recipients_and_bcc_is_not_shown(place: Place) -> None:
    message = mail("ada@example.org", cc=(Address(email="bob@example.org"),), bcc=(Address(email="eve@example.org"),))
    await place.route().send(send_request(message))
    await place.route().send(send_request(message, recipients=(2,)))
    whole, part = place.inbox.messages
    assert whole.envelope == ("ada@example.org", "bob@example.org", "eve@example.org")
    assert part.envelope == ("eve@example.org",)
    assert whole.raw is not None
    assert b"eve" not in whole.raw
    assert (whole.to, whole.cc, whole.bcc) == (part.to, part.cc, part.bcc)


async def test_return_path_is_the_envelope_sender(place: Place) -> None:
    await place.send(return_path="bounces@example.com")
    (kept,) = place.inbox.messages
    assert (kept.envelope_sender, kept.sender.address) == ("bounces@example.com", "app@example.com")


@pytest.mark.parametrize("step", ["mail", "send"])
async def test_refused_empty_sender_rejects_only_that_message(place: Place, step: str) -> None:
    place.script.respond(550, "5.7.60 SendAsDenied", operation=step, times=2)
    assert code_of(await place.send(return_path="")) == ("Rejected", "policy_refused")
    assert code_of(await place.send()) == ("RouteFault", "sender_not_verified")


@pytest.mark.parametrize("text", [".", "..", ".\r\n..\r\n.a\r\n\r\n.", "x\r\n.\r\ny"])
async def test_leading_dots_arrive_unchanged(place: Place, text: str) -> None:
    await place.send(text=text)
    (kept,) = place.inbox.messages
    assert kept.text == f"{text}\r\n"


async def test_large_attachment_arrives_complete(place: Place) -> None:
    content = bytes(range(256)) * 8_000
    outcome = await place.send(attachments=(Attachment(name="a.bin", content=content),))
    assert isinstance(outcome, Sent)
    assert place.inbox.messages[0].attachments[0].content == content


async def test_message_beyond_the_servers_size_is_rejected_without_sending(tmp_path: Path) -> None:
    async with opened(tmp_path, max_message_bytes=2_000) as place:
        outcome = await place.send(text="long " * 1_000)
        assert outcome == Rejected(code="message_too_large", reply="the server's limit is 2000 bytes")
        assert isinstance(await place.providers[0].send(send_request()), Sent)
        assert (place.inbox.requests, place.standin.connections) == (1, 1)


RAW_8BIT = (
    b"From: app@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\n" + "grüße".encode()
)


@pytest.mark.parametrize("extensions", [("8BITMIME",), ()])
async def test_eight_bit_content_is_converted_if_the_server_needs_it(
    tmp_path: Path, extensions: tuple[str, ...]
) -> None:
    async with opened(tmp_path, extensions=extensions) as place:
        assert isinstance(await place.send(raw=RAW_8BIT), Sent)
        (kept,) = place.inbox.messages
        assert kept.raw is not None
        assert kept.raw.isascii() == (not extensions)
        assert BytesParser(policy=policy.default).parsebytes(kept.raw).get_content() == "grüße\r\n"


async def test_eight_bit_content_without_mime_fields_is_converted(tmp_path: Path) -> None:
    async with opened(tmp_path, extensions=()) as place:
        assert isinstance(await place.send(raw=b"From: a@example.com\r\n\r\n\xff\xfe"), Sent)
        (kept,) = place.inbox.messages
        assert kept.raw is not None
        assert b"Content-Type: text/plain; charset=unknown-8bit\r\n\r\n=FF=FE\r\n" in kept.raw


async def test_long_lines_are_wrapped(place: Place) -> None:
    assert isinstance(await place.send(raw=b"From: a@example.com\r\n\r\n" + b"x" * 2_000), Sent)
    (kept,) = place.inbox.messages
    assert kept.raw is not None
    assert max(map(len, kept.raw.split(b"\r\n"))) <= 998
    assert BytesParser(policy=policy.default).parsebytes(kept.raw).get_content() == "x" * 2_000 + "\r\n"


async def test_signed_eight_bit_content_is_rejected_with_the_reason(tmp_path: Path) -> None:
    raw = (
        b"From: a@example.com\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n\xff\xfe\r\n--s\r\n\r\nx"
        b"\r\n--s--\r\n"
    )
    async with opened(tmp_path, extensions=()) as place:
        outcome = await place.send(raw=raw)
        assert isinstance(outcome, Rejected)
        assert (outcome.code, "would break its signature" in outcome.reply) == ("invalid_message", True)
        assert isinstance(await place.providers[0].send(send_request()), Sent)
        assert place.standin.connections == 1


async def test_non_ascii_addresses_use_smtputf8(place: Place) -> None:
    outcome = await place.send("用户@例え.jp", "ada@example.org")
    assert isinstance(outcome, Sent)
    (kept,) = place.inbox.messages
    assert kept.envelope == ("用户@xn--r8jz45g.jp", "ada@example.org")
    assert kept.to[0].address == "用户@xn--r8jz45g.jp"


async def test_non_ascii_address_without_smtputf8_is_rejected(tmp_path: Path) -> None:
    async with opened(tmp_path, extensions=("8BITMIME",)) as place:
        assert await place.send("用户@example.org") == Rejected(
            code="unsupported", reply="the server offers no SMTPUTF8"
        )
        assert isinstance(await place.send("ann@bücher.example"), Sent)
        assert place.inbox.messages[0].envelope == ("ann@xn--bcher-kva.example",)


@pytest.mark.parametrize("email", ["ada", "a\r\nRCPT TO:<eve@example.org>@example.org", "ada@exa mple.org"])
async def test_invalid_address_is_rejected_before_connecting(place: Place, email: str) -> None:
    assert code_of(await place.send(email)) == ("Rejected", "invalid_message")
    assert code_of(await place.send(return_path=email)) == ("Rejected", "invalid_message")
    assert place.standin.connections == 0


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()])
async def test_recipients_have_different_outcomes_in_one_transaction(place: Place, extensions: tuple[str, ...]) -> None:
    place.standin.extensions = frozenset(extensions)
    place.script.respond(550, "5.1.1 User unknown", operation="rcpt", recipient="gone@*")
    place.script.respond(450, "4.2.1 Greylisted", operation="rcpt", recipient="grey@*")
    outcome = await place.send("ada@example.org", "gone@example.org", "grey@example.org", "bob@example.org")
    (kept,) = place.inbox.messages
    assert kept.envelope == ("ada@example.org", "bob@example.org")
    assert isinstance(outcome, PerRecipient)
    assert outcome.outcomes == (
        ((0, 3), Sent(provider_id=kept.id, reply=f"250 2.0.0 OK: queued as {kept.id}")),
        ((1,), Rejected(code="invalid_recipient", reply="550 5.1.1 User unknown")),
        ((2,), Deferred(code="recipient_deferred", reply="450 4.2.1 Greylisted")),
    )


async def test_when_every_recipient_is_refused_nothing_is_sent(place: Place) -> None:
    place.script.respond(550, "5.1.1 User unknown", operation="rcpt", times=2)
    outcome = await place.send("gone@example.org", "left@example.org")
    assert outcome == Rejected(code="invalid_recipient", reply="550 5.1.1 User unknown")
    assert (place.inbox.requests, place.inbox.accepted) == (0, 0)
    assert isinstance(await place.providers[0].send(send_request()), Sent)
    assert place.standin.connections == 1


async def test_recipient_keeps_its_number(place: Place) -> None:
    place.script.respond(550, "5.1.1 User unknown", operation="rcpt", recipient="gone@*")
    message = mail("ada@example.org", "bob@example.org", "gone@example.org")
    outcome = await place.route().send(send_request(message, recipients=(1, 2)))
    assert isinstance(outcome, PerRecipient)
    assert [numbers for numbers, _ in outcome.outcomes] == [(1,), (2,)]


@pytest.mark.parametrize("operation", ["mail", "data", "send"])
@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        (432, "4.3.2 Concurrent connections limit exceeded", ("Deferred", "rate_limited")),
        (451, "4.3.0 Try again later", ("Deferred", "provider_unavailable")),
        (421, "4.3.2 Service not available", ("Deferred", "provider_unavailable")),
        (550, "5.7.60 not allowed to send as this sender", ("RouteFault", "sender_not_verified")),
        (552, "5.3.4 Message too big", ("Rejected", "message_too_large")),
    ],
)
async def test_every_step_keeps_code_and_enhanced_code(
    place: Place, operation: str, status: int, words: str, expected: tuple[str, str]
) -> None:
    place.script.respond(status, words, operation=operation)
    outcome = await place.send()
    assert code_of(outcome) == expected
    assert outcome.reply == f"{status} {words}"  # type: ignore[union-attr] # code_of excludes PerRecipient
    assert place.inbox.accepted == 0


async def test_multi_line_reply_is_joined(place: Place) -> None:
    place.script.respond(554, "5.7.1 Refused:\n5.7.1 see https://example.org", operation="send")
    outcome = await place.send()
    assert outcome == Rejected(code="policy_refused", reply="554 5.7.1 Refused: 5.7.1 see https://example.org")


async def test_connection_limit_reply_is_rate_limited(tmp_path: Path) -> None:
    async with opened(tmp_path, max_connections=1) as place:
        assert isinstance(await place.send(), Sent)
        assert code_of(await place.send()) == ("Deferred", "rate_limited")


async def test_verify_is_always_unknown(place: Place) -> None:
    assert await place.route().verify(send_request(), "A1") == Unknown(code="response_lost", provider_id="A1")
    assert "verify" not in provider.CAPABILITIES.features


@pytest.mark.parametrize(
    ("operation", "status", "code"),
    [("connect", 554, "account_restricted"), ("ehlo", 501, "misconfigured"), ("starttls", 454, "provider_unavailable"),
     ("auth", 535, "bad_credentials"), ("auth", 454, "provider_unavailable")],
)  # fmt: skip
async def test_probe_reports_the_fault(place: Place, operation: str, status: int, code: str) -> None:
    place.script.respond(status, operation=operation)
    assert code_of(await place.route().probe()) == ("RouteFault", code)
    assert isinstance(await place.providers[0].probe(), Sent)
    assert place.inbox.requests == 0


async def test_unused_route_opens_no_connection(place: Place) -> None:
    await place.route().close()
    assert place.standin.connections == 0
