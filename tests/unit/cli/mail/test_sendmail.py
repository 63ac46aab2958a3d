"""sendmail's arguments and manners, and what it posts."""

import pytest

from relay.cli.mail.sendmail import Asked, UsageError, prepared, read_arguments


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ("-t -i", Asked(reads_header=True, ends_at_dot=False)),
        ("-ti", Asked(reads_header=True, ends_at_dot=False)),
        ("-oi -FCronDaemon -oem root", Asked(recipients=("root",), full_name="CronDaemon", ends_at_dot=False)),
        ("-f a@example.com b@example.org", Asked(recipients=("b@example.org",), sender="a@example.com")),
        ("-ra@example.com -bm b", Asked(recipients=("b",), sender="a@example.com")),
        ("-f <> b", Asked(recipients=("b",), sender="")),
        ("-B 8BITMIME -O x=y -G -v -- -odd", Asked(recipients=("-odd",))),
        ("-F Ada -N never -o i x", Asked(recipients=("x",), full_name="Ada", ends_at_dot=False)),
    ],
)
def test_arguments_mean_what_they_mean_to_sendmail(arguments: str, asked: Asked) -> None:
    assert read_arguments(arguments.split()) == asked


@pytest.mark.parametrize("arguments", ["-bs", "-bp", "-f", "-z", "-q"])
def test_other_arguments_are_refused(arguments: str) -> None:
    with pytest.raises(UsageError):
        read_arguments(arguments.split())


def test_cron_gets_a_domain_and_a_sender() -> None:
    content = b'From: "(Cron Daemon)" <root>\nTo: root\nSubject: Cron\n\ndone\n.\nmore\n'
    mail, recipients = prepared(content, Asked(recipients=("root",)), domain="example.com", user="root")
    assert recipients == ["root@example.com"]
    assert mail == (
        b'From: "(Cron Daemon)" <root@example.com>\r\nTo: root@example.com\r\nSubject: Cron\r\n\r\ndone\r\n'
    )


@pytest.mark.parametrize(
    ("content", "asked", "mail"),
    [
        (b"just text\n", Asked(sender="a@example.com", full_name="Ada L"), b"From: Ada L <a@example.com>\r\n\r\njust text\r\n"),
        (b"Subject: x\n\nHi\n", Asked(sender=""), b"From: app@example.com\r\nSubject: x\r\n\r\nHi\r\n"),
        (b"Subject: x\nnot a field\n", Asked(), b"From: app@example.com\r\nSubject: x\r\n\r\nnot a field\r\n"),
        (b"From ada Thu Jan 1\nFrom: a@b.example\n\n.\n", Asked(ends_at_dot=False), b"From: a@b.example\r\n\r\n.\r\n"),
        (b"\nSubject: in the body\n", Asked(), b"From: app@example.com\r\n\r\nSubject: in the body\r\n"),
    ],
)  # fmt: skip
def test_what_is_no_header_is_the_body(content: bytes, asked: Asked, mail: bytes) -> None:
    assert prepared(content, asked, domain="example.com", user="app")[0] == mail


def test_t_adds_the_header_to_the_arguments() -> None:
    content = b"From: a@b.example\nTo: Ada <ada@example.org>, root\nBcc: eve@example.org\n\n"
    asked = Asked(recipients=("bob@example.org",), reads_header=True)
    _, recipients = prepared(content, asked, domain="example.com", user="app")
    assert recipients == ["ada@example.org", "root@example.com", "eve@example.org", "bob@example.org"]
    assert prepared(content, Asked(reads_header=True), domain="", user="app")[1] == []
