"""sendmail: arguments, header completion, recipients."""

import base64

import pytest

from relay.cli.mail.sendmail import Arguments, UsageError, prepare, read_arguments
from relay.mime import raw
from relay.mime.addresses import Mailbox
from relay.submission.header import mailboxes_of, qualify


@pytest.mark.parametrize(
    ("arguments", "parsed"),
    [
        ("-t -i", Arguments(reads_header=True, ends_at_dot=False)),
        ("-ti", Arguments(reads_header=True, ends_at_dot=False)),
        ("-oi -FCronDaemon -oem root", Arguments(recipients=("root",), full_name="CronDaemon", ends_at_dot=False)),
        ("-f a@example.com b@example.org", Arguments(recipients=("b@example.org",), sender="a@example.com")),
        ("-ra@example.com -bm b", Arguments(recipients=("b",), sender="a@example.com")),
        ("-f <> b", Arguments(recipients=("b",), sender="")),
        ("-B 8BITMIME -O x=y -G -v -- -odd", Arguments(recipients=("-odd",))),
        ("-F Ada -N never -o i x", Arguments(recipients=("x",), full_name="Ada", ends_at_dot=False)),
    ],
)
def test_arguments_are_parsed_as_sendmail_does(arguments: str, parsed: Arguments) -> None:
    assert read_arguments(arguments.split()) == parsed


@pytest.mark.parametrize("arguments", ["-bs", "-bp", "-f", "-z", "-q"])
def test_unsupported_arguments_are_refused(arguments: str) -> None:
    with pytest.raises(UsageError):
        read_arguments(arguments.split())


def test_mail_of_cron_gets_domain_and_ends_at_dot() -> None:
    content = b'From: "(Cron Daemon)" <root>\nTo: root\nSubject: Cron\n\ndone\n.\nmore\n'
    mail, recipients = prepare(content, Arguments(recipients=("root",)), domain="example.com", user="root")
    assert recipients == ["root@example.com"]
    assert mail == (
        b'From: "(Cron Daemon)" <root@example.com>\r\nTo: root@example.com\r\nSubject: Cron\r\n\r\ndone\r\n'
    )


@pytest.mark.parametrize(
    ("content", "parsed", "mail"),
    [
        (b"text\n", Arguments(sender="a@example.com", full_name="Ada L"), b"From: Ada L <a@example.com>\r\n\r\ntext\r\n"),
        (b"Subject: x\n\nHi\n", Arguments(sender=""), b"From: app@example.com\r\nSubject: x\r\n\r\nHi\r\n"),
        (b"Subject: x\nnot a field\n", Arguments(), b"From: app@example.com\r\nSubject: x\r\n\r\nnot a field\r\n"),
        (b"From ada Thu Jan 1\nFrom: a@b.example\n\n.\n", Arguments(ends_at_dot=False), b"From: a@b.example\r\n\r\n.\r\n"),
        (b"\nSubject: in the body\n", Arguments(), b"From: app@example.com\r\n\r\nSubject: in the body\r\n"),
    ],
)  # fmt: skip
def test_first_line_that_is_no_field_begins_the_body(content: bytes, parsed: Arguments, mail: bytes) -> None:
    assert prepare(content, parsed, domain="example.com", user="app")[0] == mail


def test_header_with_cr_cr_lf_is_read_whole() -> None:
    """Programs that write CRLF to a text stream on Windows end lines so."""
    content = b"From: a@b.example\r\r\nTo: ada@example.org\r\r\nSubject: x\r\r\n\r\r\nHi\r\r\n"
    mail, _ = prepare(content, Arguments(reads_header=True), domain="", user="app")
    assert mail == b"From: a@b.example\r\nTo: ada@example.org\r\nSubject: x\r\n\r\nHi\r\n"


@pytest.mark.parametrize(
    ("address", "completed"),
    [
        ("root", "root@example.com"),
        ("root@localhost", "root@example.com"),
        ("root@web1", "root@web1.example.com"),
        ("root@web1.example.net", "root@web1.example.net"),
        ("root@[127.0.0.1]", "root@[127.0.0.1]"),
        ("", ""),
    ],
)
def test_domain_completes_addresses_and_hosts_without_a_dot(address: str, completed: str) -> None:
    assert qualify(address, "example.com") == completed
    assert qualify(address, "") == address


def test_display_names_survive_the_completion_of_a_domain() -> None:
    kanji = "株式会社日本電子計算機システム開発第一営業部"
    words = [f"=?utf-8?B?{base64.b64encode(part.encode()).decode()}?=" for part in (kanji[:10], kanji[10:])]
    content = f"From: {' '.join(words)} <root>\nCc: root (Cron Daemon)\n\n".encode()
    mail, _ = prepare(content, Arguments(), domain="example.com", user="app")
    fields = [(field.name, mailboxes_of(field)) for field in raw.fields_of(raw.split(mail)[0])]
    assert fields == [
        ("from", [Mailbox(name=kanji, email="root@example.com")]),
        ("cc", [Mailbox(name="Cron Daemon", email="root@example.com")]),
    ]


def test_option_t_adds_header_recipients_to_arguments() -> None:
    content = b"From: a@b.example\nTo: Ada <ada@example.org>, root\nBcc: eve@example.org\n\n"
    parsed = Arguments(recipients=("bob@example.org",), reads_header=True)
    _, recipients = prepare(content, parsed, domain="example.com", user="app")
    assert recipients == ["ada@example.org", "root@example.com", "eve@example.org", "bob@example.org"]
    assert prepare(content, Arguments(reads_header=True), domain="", user="app")[1] == []
