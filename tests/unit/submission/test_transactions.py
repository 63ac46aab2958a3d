"""Replies to MAIL, RCPT and messages, and one idempotency key per message."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from relay.acceptance.draft import Limits
from relay.api.http import Request
from relay.api.reading.addresses import email_address, same_mailbox
from relay.api.reading.raw.message import parse_raw
from relay.submission.envelope import MAX_RECIPIENTS_BYTES
from relay.submission.protocol.arguments import read_path
from relay.submission.settings import Settings
from relay.submission.transactions import Transactions, address_problem
from tests.depth import examples
from tests.unit.submission.kit import ACCEPTED, BUSY, MAIL, Client, StubRelay, place_with


def error(status: int, code: str, message: str, **more: Any) -> tuple[int, object]:
    return status, {"error": {"code": code, "message": message, **more}}


@pytest.mark.parametrize(
    ("response", "reply"),
    [
        (error(503, "busy", "Busy."), "451 4.3.0 Busy."),
        (error(429, "too_many_requests", "Slow."), "451 4.3.0 Slow."),
        (error(409, "idempotency_key_in_use", "Wait."), "451 4.3.0 Wait."),
        (error(500, "internal_error", "Bug."), "451 4.3.0 Bug."),
        ((502, "x"), "451 4.3.0 The relay returned status 502."),
        ((202, "x"), "451 4.3.0 The URL is not that of a relay."),
        ((301, "x"), "451 4.3.5 The relay returned status 301."),
        ((400, "<html>"), "451 4.3.5 The relay returned status 400."),
        ((403, "Site Disabled"), "451 4.3.5 The relay returned status 403."),
        ((413, "x"), "552 5.3.4 The relay returned status 413."),
        (error(401, "unauthenticated", "Key."), "451 4.3.5 Key."),
        (error(403, "address_not_allowed", "IP."), "451 4.3.5 IP."),
        (
            error(403, "forbidden", "No.", details=[{"target": "from", "message": "Not you."}]),
            "550 5.7.1 No.; from: Not you.",
        ),
        (error(413, "message_too_large", "Big."), "552 5.3.4 Big."),
        (error(422, "not_carriable", "No route."), "554 5.6.0 No route."),
        (
            error(400, "invalid_request", "No.", details=[{"target": "query.to", "message": "Who?"}]),
            "550 5.1.3 No.; query.to: Who?",
        ),
        (error(400, "invalid_request", "x\r\n250 \u00fc" * 99), None),
    ],
)
async def test_refusal_becomes_smtp_reply_with_its_reason(response: tuple[int, object], reply: str | None) -> None:
    async with place_with(StubRelay(response)) as place:
        said = await (await place.client()).mail()
    assert reply is None or said == reply
    assert said.isascii()
    assert said.isprintable()
    assert len(said) < 450


async def test_unreachable_relay_gets_451() -> None:
    async with place_with(url="http://127.0.0.1:9") as place:
        assert (await (await place.client()).mail()).startswith("451 4.3.0 The relay cannot be reached")


async def test_missing_from_is_taken_from_mail_from() -> None:
    async with place_with() as place:
        await (await place.client()).mail(b"Subject: x\r\n\r\nHi\r\n")
    assert place.relay.posted[0].content == b"From: a@example.com\r\nSubject: x\r\n\r\nHi\r\n"


async def test_mail_with_from_is_passed_on_unchanged() -> None:
    mail = b"from: root@web1\n\nHi\n\r\n"
    async with place_with() as place:
        await (await place.client()).mail(mail)
    assert place.relay.posted[0].content == mail


async def test_large_message_is_passed_on_whole() -> None:
    mail = MAIL + b"x" * 3_000_000 + b"\r\n"
    async with place_with() as place:
        assert (await (await place.client()).mail(mail)).startswith("250 ")
    assert place.relay.posted[0].content == mail


async def test_domain_completes_the_header_and_the_envelope() -> None:
    async with place_with(domain="example.com") as place:
        client = await place.client()
        await client.say("MAIL FROM:<root>", "RCPT TO:<admin@web1>")
        await client.data(b"From: root@web1\r\n\r\nHi\r\n")
    [posted] = place.relay.posted
    assert posted.query == {"from": "root@example.com", "to": "admin@web1.example.com"}
    assert posted.content == b"From: root@web1.example.com\r\n\r\nHi\r\n"


@pytest.mark.parametrize("domain", ["", "example.com"])
@pytest.mark.parametrize(("sender", "sent"), [("", "<>"), ("a+b@example.com", "a+b@example.com")])
async def test_mail_from_is_passed_on_or_ignored(sender: str, sent: str, domain: str) -> None:
    for passes_sender, expected in ((True, sent), (False, None)):
        async with place_with(passes_sender=passes_sender, domain=domain) as place:
            client = await place.client()
            await client.say(f"MAIL FROM:<{sender}>", "RCPT TO:<ada@example.org>")
            assert (await client.data()).startswith("250 ")
        assert place.relay.posted[0].query.get("from") == expected


@pytest.mark.parametrize(
    "address",
    [
        "jörg@exa mple.com", "x\udcff@example.com", "a@example", "a@example.invalid", "a@[192.0.2.1]", "a..b@example.com",
        ".a@example.com", "a@example.com;b@example.com", "a,b@example.com", "g:a@example.com", "a@b@example.com", "a",
        '""@example.com', '"a\x01"@example.com', "a\u200b@example.com", "=?utf-8?q?a?=@example.com", f"{'x' * 250}@example.com",
        f"a@{'b' * 64}.example.com", f"{'x' * 700}@example.com", "a@example.com,", "a@example.com.", "a@-x.example",
    ],
)  # fmt: skip
async def test_invalid_address_is_refused_at_its_own_command(address: str) -> None:
    wire = address.encode("utf-8", "surrogateescape")
    async with place_with() as place, place_with(passes_sender=False) as ignoring:
        client = await place.client()
        sender = await client.say(b"MAIL FROM:<" + wire + b">")
        await client.begin()
        recipient = await client.say(b"RCPT TO:<" + wire + b">")
        await client.data()
        assert (await (await ignoring.client()).say(b"MAIL FROM:<" + wire + b">"))[:3] in ("250", "553")
    assert sender.startswith(("553 5.1.7 ", "553 5.1.3 "))
    assert recipient.startswith("553 5.1.3 ")
    assert recipient.isascii()
    assert recipient.isprintable()
    assert place.relay.posted[0].query["to"] == "ada@example.org"


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
def test_relay_accepts_every_address_that_is_accepted_here(paths: Sequence[str], senders: Sequence[str]) -> None:
    read = [address for path in ["ada@example.org", *paths] if (address := read_path(path)[0])]
    recipients = [address for address in read if not address_problem(address)]
    sources = [address for path in ["a@example.com", *senders] if (address := read_path(path)[0])]
    sender = [address for address in sources if not address_problem(address)][-1]
    query = {"from": sender, "to": ",".join(recipients)}
    request = Request(method="POST", path="/v1/messages", query=query, body=MAIL)
    message = parse_raw(request, now=datetime(2026, 3, 1, tzinfo=UTC), limits=Limits()).message
    mailboxes = {same_mailbox(email_address(address)) for address in recipients}
    assert {same_mailbox(each.email) for each in message.recipients} == mailboxes
    hypothesis.event(f"recipients: {len(mailboxes)}")


# ── the policy of the client ──


async def replies(policy: dict[str, Any] | None, *commands: str) -> list[str]:
    relay = StubRelay()
    relay.me["policy"] = policy
    async with place_with(relay) as place:
        client = await place.client()
        return [(await client.say(command))[:9] for command in commands]


async def test_policy_is_applied_to_each_address() -> None:
    policy = {"senders": ["*@example.com"], "recipients": ["*@example.org"], "max_bytes": 1000, "new_member": 1}
    commands = [
        "MAIL FROM:<a@example.net>", "MAIL FROM:<a@example.com> SIZE=1001", "MAIL FROM:<a@EXAMPLE.com> SIZE=1000",
        "RCPT TO:<ada@example.org>", "RCPT TO:<eve@example.net>", "RSET", "MAIL FROM:<>",
    ]  # fmt: skip
    assert await replies(policy, *commands) == [
        *("550 5.7.1", "552 5.3.4", "250 2.1.0", "250 2.1.5", "550 5.7.1", "250 2.0.0", "250 2.1.0"),
    ]


async def test_redirected_recipients_are_accepted() -> None:
    policy = {"senders": ["*"], "recipients": ["*@example.org"], "redirect_to": "me@example.com"}
    assert await replies(policy, "MAIL FROM:<a@b.example>", "RCPT TO:<x@y.example>") == ["250 2.1.0", "250 2.1.5"]


async def test_relay_that_reports_no_policy_decides_at_the_end() -> None:
    assert await replies(None, "MAIL FROM:<a@b.example>", "RCPT TO:<x@y.example>") == ["250 2.1.0", "250 2.1.5"]


async def test_rate_limit_is_reported_at_mail_until_it_ends() -> None:
    relay = StubRelay(error(429, "too_many_requests", "Slow."), ACCEPTED)
    relay.retry_after = "7"
    async with place_with(relay) as place:
        client = await place.client()
        assert (await client.mail()).startswith("451 4.3.0")
        assert (
            await client.say("MAIL FROM:<a@example.com>") == "451 4.7.1 Rate limit of this client; retry in 7 seconds"
        )
        place.clock.move(7)
        assert (await client.mail()).startswith("250 ")


# ── idempotency keys ──


async def test_retry_after_451_keeps_its_idempotency_key() -> None:
    async with place_with(StubRelay(*[BUSY] * 3, ACCEPTED)) as place:
        client = await place.client()
        assert (await client.mail()).startswith("451")
        assert (await client.mail()).startswith("250")
        assert len(place.relay.keys) == 1
        await client.mail()
        assert len(place.relay.keys) == 2, "the same text once more is another mail"


async def keys_of(*mails: tuple[bytes, str], **settings: Any) -> list[str]:
    """Return the keys of mails that are sent to one server each."""
    relay = StubRelay()
    for content, recipient in mails:
        async with place_with(relay, **settings) as place:
            await (await place.client()).mail(content, recipient)
    return relay.keys


async def test_same_message_id_has_same_key_at_every_server() -> None:
    content, ada = b"Message-ID: <1@example.com>\r\n\r\nHi\r\n", "ada@example.org"
    assert len(await keys_of((content, ada), (content, ada))) == 1
    assert len(await keys_of((content, ada), (content, "bob@example.org"), (content + b"x\r\n", ada))) == 3


async def test_repeated_message_with_its_recipients_in_another_order_is_the_same_request() -> None:
    """The relay refuses a key that comes with another request (422), which would be a bounce of accepted mail."""
    relay = StubRelay()
    content = b"Message-ID: <1@example.com>\r\n\r\nHi\r\n"
    for recipients in (("ada@example.org", "bob@example.org"), ("bob@example.org", "ada@example.org")):
        async with place_with(relay) as place:
            await (await place.client()).mail(content, *recipients)
    first, second = relay.posted
    assert first.once == second.once != ""
    assert first.query == second.query


async def test_without_idempotency_keys_there_are_none_and_no_second_try() -> None:
    relay = StubRelay(BUSY)
    async with place_with(relay, has_keys=False) as place:
        assert (await (await place.client()).mail()).startswith("451")
    assert [posted.once for posted in relay.posted] == [""]


# ── many recipients ──


async def accepted(client: Client, people: Sequence[str]) -> list[str]:
    """Return the replies to recipients that are sent at once."""
    await client.say("MAIL FROM:<a@example.com>")
    client.writer.write("".join(f"RCPT TO:<{address}>\r\n" for address in people).encode())
    return [(await client.reply())[:3] for _ in people]


async def test_recipients_beyond_the_limit_get_452() -> None:
    people = [f"customer{number:04}@example.org" for number in range(1100)]
    async with place_with() as place:
        client = await place.client()
        assert set(await accepted(client, people)) == {"250", "452"}
        assert (await client.data()).startswith("250 ")
    [posted] = place.relay.posted
    assert len(posted.headers["X-Relay-Rcpt-To"]) < MAX_RECIPIENTS_BYTES
    assert "to" not in posted.query


async def test_more_recipients_than_a_message_may_have_get_452() -> None:
    async with place_with() as place:
        found = await accepted(await place.client(), [f"a{number}@example.org" for number in range(1001)])
    assert found == ["250"] * 1000 + ["452"]


@pytest.mark.parametrize("index", [0, 200])
async def test_recipients_beyond_the_limit_of_other_alphabets_get_452(index: int) -> None:
    """Addresses outside ASCII fit only into the query, which is shorter."""
    people = [f"customer{number:04}@example.org" for number in range(400)]
    people.insert(index, "jörg@example.org")
    async with place_with() as place:
        client = await place.client()
        found = await accepted(client, people)
        assert (found[0], set(found)) == ("250", {"250", "452"})
        assert (await client.data()).startswith("250 ")


async def test_internal_error_gets_451() -> None:
    settings = Settings(url="", listen=())
    transactions = Transactions(None, settings, clock=lambda: datetime.now(UTC), report=lambda _: None)  # type: ignore[arg-type] # unused
    assert transactions.failed(RuntimeError("x")).startswith("451")
    await asyncio.sleep(0)
