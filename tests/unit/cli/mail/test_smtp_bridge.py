"""SMTP bridge: replies, and one idempotency key per transaction."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx2
import hypothesis
import msgspec
import pytest
from aiosmtpd.smtp import Envelope
from hypothesis import strategies as st

from relay.acceptance.draft import Limits
from relay.api.http import Request
from relay.api.reading.addresses import email_address, same_mailbox
from relay.api.reading.raw.message import parse_raw
from relay.cli.mail.raw_mail import MAX_RECIPIENTS_BYTES
from relay.cli.mail.smtp_bridge import Bridge, is_loopback, listen, read_path
from relay.cli.remote import Remote
from tests.depth import examples

ACCEPTED = (202, {"id": "msg_1", "state": "queued"})
AWAY = (503, {"error": {"code": "busy", "message": "Busy.", "details": []}})


class Wire(httpx2.BaseTransport):
    """A relay that returns these responses, the last one repeatedly, and records requests."""

    def __init__(self, responses: Sequence[tuple[int, object]]) -> None:
        self._responses = list(responses)
        self.requests: list[httpx2.Request] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        status, body = self._responses.pop(0) if len(self._responses) > 1 else self._responses[0]
        headers = {"Content-Type": "application/json", "Retry-After": "0"}
        return httpx2.Response(status, content=msgspec.json.encode(body), headers=headers)

    @property
    def keys(self) -> list[str]:
        return list(dict.fromkeys(request.headers["idempotency-key"] for request in self.requests))


def bridge(wire: Wire, *, passes_sender: bool = True) -> Bridge:
    return Bridge(Remote("http://relay.example", "k", wire), passes_sender=passes_sender, report=lambda _: None)


async def send(to: Bridge, content: bytes = b"From: a@example.com\r\n\r\nHi\r\n", *people: str) -> str:
    envelope = Envelope()
    envelope.mail_from, envelope.content = "a@example.com", content
    envelope.rcpt_tos = list(people or ["ada@example.org"])
    return await to.handle_DATA(None, None, envelope)


async def test_accepted_message_gets_250() -> None:
    wire = Wire([ACCEPTED])
    assert await send(bridge(wire)) == "250 2.0.0 Accepted as msg_1"
    [request] = wire.requests
    assert dict(request.url.params) == {"from": "a@example.com", "to": "ada@example.org"}
    assert request.headers["content-type"] == "message/rfc822"


@pytest.mark.parametrize(
    ("status", "error", "reply"),
    [
        (503, {"code": "busy", "message": "Busy."}, "451 4.3.0 Busy."),
        (429, {"code": "too_many_requests", "message": "Slow."}, "451 4.3.0 Slow."),
        (409, {"code": "idempotency_key_in_use", "message": "Wait."}, "451 4.3.0 Wait."),
        (500, {"code": "internal_error", "message": "Bug."}, "451 4.3.0 Bug."),
        (401, {"code": "unauthenticated", "message": "Key."}, "451 4.3.5 Key."),
        (403, {"code": "address_not_allowed", "message": "IP."}, "451 4.3.5 IP."),
        (403, {"code": "forbidden", "message": "No.", "details": [{"target": "from", "message": "Not you."}]},
         "550 5.7.1 No.; from: Not you."),
        (413, {"code": "message_too_large", "message": "Big."}, "552 5.3.4 Big."),
        (422, {"code": "not_carriable", "message": "No route."}, "554 5.6.0 No route."),
        (400, {"code": "invalid_request", "message": "No.", "details": [{"target": "query.to", "message": "Who?"}]},
         "550 5.1.3 No.; query.to: Who?"),
        (400, {"code": "invalid_request", "message": "x\r\n250 \u00fc" * 99}, None),
    ],
)  # fmt: skip
async def test_refusal_becomes_smtp_reply_with_its_reason(
    status: int, error: dict[str, object], reply: str | None
) -> None:
    said = await send(bridge(Wire([(status, {"error": error})])))
    assert reply is None or said == reply
    assert said.isascii()
    assert said.isprintable()
    assert len(said) < 450


async def test_missing_from_is_taken_from_mail_from() -> None:
    wire = Wire([ACCEPTED])
    await send(bridge(wire), b"Subject: x\r\n\r\nHi\r\n")
    assert wire.requests[0].content == b"From: a@example.com\r\nSubject: x\r\n\r\nHi\r\n"


async def test_mail_with_from_is_passed_on_unchanged() -> None:
    wire = Wire([ACCEPTED])
    mail = b"from: root@web1\n\nHi\n"
    await send(bridge(wire), mail)
    assert wire.requests[0].content == mail


@pytest.mark.parametrize("domain", ["", "example.com"])
async def test_empty_sender_stays_empty(domain: str) -> None:
    wire = Wire([ACCEPTED])
    relay = Bridge(Remote("http://relay.example", "k", wire), passes_sender=True, report=lambda _: None, domain=domain)
    envelope = Envelope()
    await relay.handle_MAIL(None, None, envelope, "<>", [])
    envelope.rcpt_tos, envelope.content = ["ada@example.org"], b"From: a@example.com\r\n\r\nHi\r\n"
    await relay.handle_DATA(None, None, envelope)
    assert wire.requests[0].url.params["from"] == "<>"


async def test_domain_completes_the_header_and_the_envelope() -> None:
    wire = Wire([ACCEPTED])
    completing = Bridge(
        Remote("http://relay.example", "k", wire), passes_sender=True, report=lambda _: None, domain="example.com"
    )
    envelope = Envelope()
    await completing.handle_MAIL(None, None, envelope, "root", [])
    await completing.handle_RCPT(None, None, envelope, "admin@web1", [])
    envelope.content = b"From: root@web1\r\n\r\nHi\r\n"
    await completing.handle_DATA(None, None, envelope)
    [request] = wire.requests
    assert dict(request.url.params) == {"from": "root@example.com", "to": "admin@web1.example.com"}
    assert request.content == b"From: root@web1.example.com\r\n\r\nHi\r\n"


@pytest.mark.parametrize(
    ("argument", "read"),
    [
        ("<ada@example.org>", ("ada@example.org", "")),
        ("<ada@example.org> SIZE=5 BODY=8BITMIME", ("ada@example.org", "SIZE=5 BODY=8BITMIME")),
        ("ada@example.org", ("ada@example.org", "")),
        (" <ada@example.org> ", ("ada@example.org", "")),
        ("<>", ("<>", "")),
        ("<@a.example,@b.example:ada@example.org>", ("ada@example.org", "")),
        ('<"xxx.yyy."@docomo.ne.jp>', ('"xxx.yyy."@docomo.ne.jp', "")),
        ("<aaa..bb@docomo.ne.jp>", ("aaa..bb@docomo.ne.jp", "")),
        ('<"a b"@example.com> SIZE=5', ('"a b"@example.com', "SIZE=5")),
        ("<jörg@example.org>", ("jörg@example.org", "")),
        ("<ada@example.org", (None, None)),
        ("<a b@example.org>", (None, None)),
        ("", ("", "")),
    ],
)
def test_path_is_split_from_its_parameters_and_keeps_its_quotes(
    argument: str, read: tuple[str | None, str | None]
) -> None:
    assert read_path(argument) == read


async def test_greeting_without_a_name_and_unusual_local_parts_are_accepted() -> None:
    wire = Wire([ACCEPTED])
    server = await listen(bridge(wire), "127.0.0.1", 0, 1_000_000)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    commands = [
        b"EHLO", b"MAIL FROM:<>", b'RCPT TO:<"xxx.yyy."@docomo.ne.jp>', b"RCPT TO:<aaa..bb@docomo.ne.jp>", b"RCPT TO:<a b@x>",
        b"DATA", b"From: a@example.com\r\n\r\nHi\r\n.", b"QUIT",
    ]  # fmt: skip
    writer.write(b"\r\n".join([*commands, b""]))
    replies = (await reader.read()).splitlines()
    writer.close()
    server.close()
    codes = [reply[:3] for reply in replies if reply[3:4] == b" "]
    assert codes == [b"220", b"250", b"250", b"250", b"250", b"553", b"354", b"250", b"221"]
    assert dict(wire.requests[0].url.params) == {
        "from": "<>",
        "to": '"xxx.yyy."@docomo.ne.jp,aaa..bb@docomo.ne.jp',
    }


@pytest.mark.parametrize(
    "address",
    [
        "jörg@exa mple.com", "x\udcff@example.com", "a@example", "a@example.invalid", "a@[192.0.2.1]", "a..b@example.com",
        ".a@example.com", "a@example.com;b@example.com", "a,b@example.com", "g:a@example.com", "a@b@example.com", "a", "<>",
        '""@example.com', '"a\x01"@example.com', "a\u200b@example.com", "=?utf-8?q?a?=@example.com", f"{'x' * 250}@example.com",
        f"a@{'b' * 64}.example.com", f"{'x' * 700}@example.com", "a@example.com,", "a@example.com.", "a@-x.example",
    ],
)  # fmt: skip
async def test_invalid_address_is_refused_at_its_own_command(address: str) -> None:
    relay, envelope = bridge(Wire([ACCEPTED])), Envelope()
    assert (await relay.handle_RCPT(None, None, envelope, "ada@example.org", [])).startswith("250")
    reply = await relay.handle_RCPT(None, None, envelope, address, [])
    assert reply.startswith("553 5.1.3 ")
    assert reply.isascii()
    assert reply.isprintable()
    assert envelope.rcpt_tos == ["ada@example.org"]
    if address != "<>":
        assert (await relay.handle_MAIL(None, None, envelope, address, [])).startswith("553 5.1.7 ")
    ignoring = bridge(Wire([ACCEPTED]), passes_sender=False)
    assert (await ignoring.handle_MAIL(None, None, envelope, address, [])).startswith("250")


LOCAL = st.one_of(
    st.text(min_size=1, max_size=8),
    st.text('ab.,;:<>()@\\"= \t?*é日\u200bａ', min_size=1, max_size=8),
    st.text("ab.,;:<>()@ \t日", min_size=1, max_size=6).map('"{}"'.format),
    st.sampled_from(["aaa..bb", "a.", "=?utf-8?q?a?=", "@r.example:a", '"\\""', '"a\\,b"', "x" * 64, "x" * 65]),
)
DOMAIN = st.one_of(
    st.sampled_from(["docomo.ne.jp", "ezweb.ne.jp", "example.com", "EXAMPLE.com", "例え.jp", "example", "[192.0.2.1]"]),
    st.text("ab.-,;:>()@é。", min_size=1, max_size=8).map("{}.example".format),
)
PATHS = st.lists(st.builds("{}@{}".format, LOCAL, DOMAIN), max_size=6)


@hypothesis.settings(max_examples=examples(80))
@hypothesis.given(paths=PATHS, senders=PATHS)
def test_relay_accepts_every_address_that_the_bridge_accepts(paths: Sequence[str], senders: Sequence[str]) -> None:
    envelope = asyncio.run(given_envelope(paths, senders))
    query = {"from": envelope.mail_from or "", "to": ",".join(envelope.rcpt_tos)}
    request = Request(method="POST", path="/v1/messages", query=query, body=b"From: a@example.com\r\n\r\nHi\r\n")
    message = parse_raw(request, now=datetime(2026, 3, 1, tzinfo=UTC), limits=Limits()).message
    mailboxes = {same_mailbox(email_address(address)) for address in envelope.rcpt_tos}
    assert {same_mailbox(each.email) for each in message.recipients} == mailboxes
    hypothesis.event(f"recipients: {len(mailboxes)}")


async def given_envelope(paths: Sequence[str], senders: Sequence[str]) -> Envelope:
    """Give the bridge recipients and senders, among them one of each that is valid."""
    relay, envelope = bridge(Wire([ACCEPTED])), Envelope()
    for path in ["ada@example.org", *paths]:
        if address := read_path(path)[0]:
            await relay.handle_RCPT(None, None, envelope, address, [])
    for path in ["a@example.com", *senders]:
        if address := read_path(path)[0]:
            await relay.handle_MAIL(None, None, envelope, address, [])
    return envelope


async def test_retry_after_451_keeps_its_idempotency_key() -> None:
    wire = Wire([*[AWAY] * 4, ACCEPTED])
    relay = bridge(wire)
    assert (await send(relay)).startswith("451")
    assert (await send(relay)).startswith("250")
    assert len(wire.keys) == 1
    await send(relay)
    assert len(wire.keys) == 2, "the same text once more is another mail"


async def test_same_message_id_has_same_key_after_restart() -> None:
    wire = Wire([ACCEPTED])
    content = b"Message-ID: <1@example.com>\r\n\r\nHi\r\n"
    await send(bridge(wire), content)
    await send(bridge(wire), content)
    assert len(wire.keys) == 1
    await send(bridge(wire), content, "bob@example.org")
    await send(bridge(wire), content + b"x")
    assert len(wire.keys) == 3


@pytest.mark.parametrize("address", ["", None, "a@example.com"])
async def test_mail_from_is_passed_on_or_ignored(address: str | None) -> None:
    for passes_sender, expected in ((True, address or "<>"), (False, None)):
        wire, envelope = Wire([ACCEPTED]), Envelope()
        relay = bridge(wire, passes_sender=passes_sender)
        assert (await relay.handle_MAIL(None, None, envelope, address, [])).startswith("250")
        envelope.content, envelope.rcpt_tos = b"From: a@example.com\r\n\r\nHi\r\n", ["ada@example.org"]
        assert (await relay.handle_DATA(None, None, envelope)).startswith("250")
        assert wire.requests[0].url.params.get("from") == expected


async def test_recipients_beyond_the_limit_get_452() -> None:
    wire, envelope = Wire([ACCEPTED]), Envelope()
    relay = bridge(wire)
    people = [f"customer{number:04}@example.org" for number in range(1100)]
    replies = [await relay.handle_RCPT(None, None, envelope, address, []) for address in people]
    assert {reply[:3] for reply in replies} == {"250", "452"}
    assert len(",".join(envelope.rcpt_tos)) < MAX_RECIPIENTS_BYTES
    await send(relay, b"From: a@example.com\r\n\r\n", *envelope.rcpt_tos)
    assert wire.requests[0].headers["x-relay-rcpt-to"] == ",".join(envelope.rcpt_tos)
    assert "to" not in wire.requests[0].url.params


async def test_more_recipients_than_a_message_may_have_get_452() -> None:
    relay, envelope = bridge(Wire([ACCEPTED])), Envelope()
    replies = [await relay.handle_RCPT(None, None, envelope, f"a{number}@example.org", []) for number in range(1001)]
    assert [reply[:3] for reply in replies] == ["250"] * 1000 + ["452"]


@pytest.mark.parametrize("index", [0, 200])
async def test_recipients_beyond_the_limit_of_other_alphabets_get_452(index: int) -> None:
    """Addresses outside ASCII fit only into the query, which is shorter."""
    wire, envelope = Wire([ACCEPTED]), Envelope()
    relay = bridge(wire)
    people = [f"customer{number:04}@example.org" for number in range(400)]
    people.insert(index, "jörg@example.org")
    replies = [await relay.handle_RCPT(None, None, envelope, address, []) for address in people]
    assert {reply[:3] for reply in replies} == {"250", "452"}
    assert replies[0].startswith("250")
    assert await send(relay, b"From: a@example.com\r\n\r\n", *envelope.rcpt_tos) == "250 2.0.0 Accepted as msg_1"


async def test_internal_error_of_the_bridge_gets_451() -> None:
    assert (await bridge(Wire([ACCEPTED])).handle_exception(RuntimeError("x"))).startswith("451")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("relay", False)],  # noqa: S104, E501
)  # fmt: skip
def test_only_loopback_hosts_are_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
