"""Bounce and feedback reports of Exchange Online, Postfix, Gmail and a feedback loop; and messages that are no report."""

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.events import EventSource
from relay.events.dsn import MAX_BLOCKS, read_report
from relay.events.provider_events import ProviderEvent

SAMPLES = Path(__file__).parents[2] / "samples" / "bounces"
NAME = "msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735"
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def read(name: str, *changes: tuple[bytes, bytes]) -> list[ProviderEvent]:
    raw = (SAMPLES / f"{name}.eml").read_bytes()
    for old, new in changes:
        assert old in raw
        raw = raw.replace(old, new)
    return list(read_report(raw, NOW, provider="graph"))


def brief(found: list[ProviderEvent]) -> list[tuple[str, str, str, str]]:
    return [(each.kind, each.recipient, each.code, each.bounce_class) for each in found]


@pytest.mark.parametrize(
    ("name", "at", "said"),
    [
        ("exchange", "2026-03-01T12:01:07Z", [("bounced", "ada@example.org", "5.1.10", "address")]),
        (
            "postfix",
            "2026-03-01T12:05:10Z",
            [
                ("bounced", "Grace@Example.org", "4.2.2", "mailbox"),
                ("bounced", '"Ada, L."@example.org', "5.7.1", "policy"),
            ],
        ),
        ("postfix-delayed", "2026-03-01T17:10:00Z", [("deferred", "grace@example.org", "4.4.1", "")]),
        ("gmail", "2026-03-01T12:06:11Z", [("bounced", "nobody-at-all@gmail.com", "5.1.1", "address")]),
        ("complaint", "2026-03-01T18:00:00Z", [("complained", "grace@example.org", "", "")]),
    ],
)
def test_report_is_parsed(name: str, at: str, said: list[tuple[str, str, str, str]]) -> None:
    found = read(name)
    assert brief(found) == said
    assert {each.message for each in found} == {NAME}
    assert {each.at for each in found} == {datetime.fromisoformat(at)}
    assert {each.provider for each in found} == {"graph"}


@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
@pytest.mark.parametrize("name", ["exchange", "postfix", "gmail", "complaint"])
def test_report_is_parsed_with_any_line_end(name: str, line_end: bytes) -> None:
    raw = (SAMPLES / f"{name}.eml").read_bytes()
    assert b"\r" not in raw
    assert brief(list(read_report(raw.replace(b"\n", line_end), NOW, provider="graph"))) == brief(read(name))


@pytest.mark.parametrize("name", ["auto-reply", "foreign"])
def test_foreign_message_gives_no_events(name: str) -> None:
    assert read(name) == []


def test_reply_is_unfolded_and_fields_are_kept() -> None:
    [found] = read("gmail")
    assert found.reply.startswith(
        "550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1"
    )
    assert "Final-Recipient: rfc822; nobody-at-all@gmail.com" in found.raw


def test_same_report_has_the_same_keys() -> None:
    first, second = read("postfix"), read("postfix")
    assert [each.key for each in first] == [each.key for each in second]
    later = read("postfix", (b"13:05:10 +0100", b"14:05:10 +0100"))
    assert {each.key for each in first}.isdisjoint(each.key for each in later)


def test_diagnostic_replaces_an_unspecific_status() -> None:
    [found] = read("exchange", (b"Status: 5.1.10", b"Status: 5.0.0"))
    assert (found.code, found.bounce_class) == ("5.1.10", "address")


def test_base64_status_part_is_decoded() -> None:
    [found] = read_report(
        f"Date: Sun, 1 Mar 2026 12:00:00 +0000\nIn-Reply-To: <{NAME}@example.com>\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
        "--b\nContent-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n"
        "UmVwb3J0aW5nLU1UQTogZG5zOyBhCgpGaW5hbC1SZWNpcGllbnQ6IHJmYzgyMjsgYUBiLmV4YW1wbGUKQWN0aW9uOiBmYWlsZWQKU3Rh\n"
        "dHVzOiA1LjEuMQo=\n--b--\n".encode(),
        NOW,
        provider="report",
    )
    assert (found.recipient, found.code, found.bounce_class) == ("a@b.example", "5.1.1", "address")


def test_numeric_attempt_is_parsed() -> None:
    [found] = read("exchange", (b"X-Relay-Attempt: 4a8b38f4-9e2a-5e3e-8d1f-50a1a5b3c001", b"X-Relay-Attempt: 3"))
    assert found.attempt == 3
    assert read("exchange")[0].attempt == 0


def test_deeply_nested_parts_give_no_events() -> None:
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(2_000))
    assert list(read_report(deep, NOW, provider="graph")) == []


@given(st.binary(max_size=400), st.integers(0, 3000))
def test_arbitrary_input_never_raises(noise: bytes, place: int) -> None:
    raw = (SAMPLES / "postfix.eml").read_bytes()
    damaged = raw[:place] + noise + raw[place + len(noise) :]
    for found in read_report(damaged, NOW, provider="graph"):
        assert found.kind in ("bounced", "deferred", "delivered", "processed", "complained")
        assert found.message.startswith("msg_")


def report(
    status: str, *, kind: str = "message/delivery-status", encoding: str = "", head: str = ""
) -> list[ProviderEvent]:
    """Read a report with this status part about one of Relay's messages."""
    body = f"Reporting-MTA: dns; mx.example.org\n\n{status}"
    content = base64.encodebytes(body.encode()).decode() if encoding == "base64" else body
    raw = (
        f"Date: Sun, 1 Mar 2026 12:00:00 +0000\n{head}In-Reply-To: <{NAME}@example.com>\n"
        f"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\nContent-Type: {kind}\n"
        f"Content-Transfer-Encoding: {encoding or '8bit'}\n\n{content}\n--b--\n"
    )
    return list(read_report(raw.encode(), NOW, provider="graph"))


FAILED = "Final-Recipient: rfc822; ada@example.org\nAction: failed\nStatus: 5.1.1\n"
BOUNCED = [("bounced", "ada@example.org", "5.1.1", "address")]


@pytest.mark.parametrize(
    "status",
    [
        FAILED,
        FAILED.replace("failed", "failed (permanent)"),
        FAILED.replace("failed", "FAILED"),
        FAILED.replace("5.1.1", "5.1.1 (bad destination mailbox address)"),
        FAILED.replace("rfc822; ada@example.org", "rfc822; <ada@example.org>"),
        FAILED.replace("rfc822; ", "RFC822;"),
        FAILED.replace("Final-Recipient: ", "Final-Recipient:\n "),
        f"{FAILED}Diagnostic-Code: smtp; =?utf-8?B?w7z?= =?utf-\n",
        f"\n{FAILED}",
        f"Final-Recipient: rfc822; x@example.org\n\n{FAILED}",
    ],
)
@pytest.mark.parametrize("encoding", ["", "base64"])
def test_status_is_understood_as_servers_write_it(status: str, encoding: str) -> None:
    assert brief(report(status, encoding=encoding)) == BOUNCED


def test_international_status_is_understood() -> None:
    """RFC 6533: an address may be UTF-8, or ASCII with escapes."""
    for address in ("jörg@example.org", r"j\x{F6}rg@example.org"):
        status = FAILED.replace("rfc822; ada@example.org", f"utf-8; {address}")
        [found] = report(status, kind="message/global-delivery-status", encoding="base64")
        assert (found.kind, found.recipient) == ("bounced", "jörg@example.org")


def test_recipient_has_the_spelling_of_other_events() -> None:
    [found] = report(FAILED.replace("ada@example.org", "aaa..bb@docomo.ne.jp"))
    assert found.recipient == '"aaa..bb"@docomo.ne.jp'


@pytest.mark.parametrize(
    "head",
    [
        "Content-Type: multipart/mixed; boundary=b; x*=a; x*1=b\n",
        "Date: Fri, 31 Dec 9999 23:59:59 -2359\n",
        'X-Odd: =?utf-8?q?a\nContent-Type: text/plain; charset="a\0b"\n',
    ],
)
def test_odd_header_of_a_report_does_not_raise(head: str) -> None:
    raw = f"{head}In-Reply-To: <{NAME}@example.com>\n\n--b\nContent-Type: message/delivery-status\n\n{FAILED}\n--b--\n"
    for found in read_report(raw.encode(), NOW, provider="graph"):
        assert found.recipient == "ada@example.org"


def test_blocks_beyond_the_maximum_are_not_read() -> None:
    assert len(report(f"{FAILED}\n" * (MAX_BLOCKS + 10))) == MAX_BLOCKS - 1  # the first block is the message's


LIMIT = (b"Status: 5.1.10\nDiagnostic-Code: smtp;550 5.1.10", b"Status: 5.7.233\nDiagnostic-Code: smtp;550 5.7.233")


@pytest.mark.parametrize(
    ("source", "more", "bounce_class"),
    [
        (EventSource.PROVIDER, b"", "account"),
        (EventSource.PROVIDER, b"Remote-MTA: dns;mx.recipient.example\n", "policy"),
        (EventSource.MAIL, b"", "policy"),
    ],
)
def test_account_is_refused_only_by_the_providers_own_report(
    source: EventSource, more: bytes, bounce_class: str
) -> None:
    raw = (SAMPLES / "exchange.eml").read_bytes()
    changed = raw.replace(LIMIT[0], more + LIMIT[1])
    assert changed != raw
    [found] = read_report(changed, NOW, provider="graph", source=source)
    assert (found.code, found.bounce_class, found.source) == ("5.7.233", bounce_class, source)


def test_report_of_a_client_is_never_the_providers() -> None:
    raw = (SAMPLES / "exchange.eml").read_bytes().replace(*LIMIT)
    [found] = read_report(raw, NOW, provider="report", client_id="c1", source=EventSource.PROVIDER)
    assert (found.source, found.bounce_class) == (EventSource.CLIENT, "policy")


def test_id_of_the_attempt_is_kept() -> None:
    [found] = read("exchange")
    assert (found.attempt, found.attempt_id) == (0, "4a8b38f4-9e2a-5e3e-8d1f-50a1a5b3c001")


def test_report_that_others_can_write_does_not_make_the_providers_own_a_known_one() -> None:
    raw = (SAMPLES / "exchange.eml").read_bytes()
    keys = [
        {each.key for each in read_report(raw, NOW, provider="graph", source=source, client_id=client_id)}
        for source, client_id in ((EventSource.PROVIDER, ""), (EventSource.MAIL, ""), (EventSource.MAIL, "c"))
    ]
    assert keys[0].isdisjoint(keys[1])
    assert keys[1] == keys[2]


def test_returned_message_that_only_its_name_shows_names_the_message() -> None:
    found = read(
        "exchange", (b"Content-Type: message/rfc822", b"Content-Type: application/octet-stream; name=original.eml")
    )
    assert found == read("exchange")
    assert found[0].attempt_id
