"""Lists of addresses that are long or hostile: read in one pass, and no further than the limit needs."""

import pytest

from relay.mime import addresses
from relay.mime.addresses import Mailbox, mailboxes, spelling, split_list
from tests.work import counted

LONG = 300_000
"""So long that an expression which searches the rest of the text from each place would not end within minutes."""


@pytest.mark.parametrize(
    ("text", "email"),
    [
        (f"a{' ' * LONG}b@example.com", f"a{' ' * LONG}b@example.com"),
        (f"a{' ' * LONG}@example.com", "a@example.com"),
        ("@" * LONG, "@" * LONG),
        (f"<{'@a' * LONG}>", "@a" * LONG),
        (f"<{'@a,' * 1_000}:b@example.com>", "b@example.com"),
    ],
    ids=["blanks in a local part", "blanks before @", "at signs", "half a source route", "a source route"],
)
def test_long_address_is_read_in_one_pass(text: str, email: str) -> None:
    [found] = mailboxes(text)
    assert found.email == email


@pytest.mark.parametrize("text", [",", ";", '"', "(", "()", "<", "a,", "@,", ":", "a:;"])
def test_text_is_split_no_further_than_the_limit_needs(text: str) -> None:
    with counted() as work:
        mailboxes(text * LONG, limit=10)
        split_list(text * LONG, 10)
    assert work.instructions < 400_000


def test_list_that_is_cut_has_an_invalid_mailbox_at_its_end() -> None:
    found = mailboxes("a@example.com" + '""' * LONG + ", b@example.com", limit=2)
    assert [each.email == "a@example.com" for each in found] == [False]


def test_as_many_mailboxes_as_a_message_may_have_are_read() -> None:
    text = ", ".join(f'"Person, {number}" <p{number}@example.com> (c)' for number in range(addresses.MAX_MAILBOXES))
    found = mailboxes(text)
    assert found[-1] == Mailbox(name="Person, 1999", email="p1999@example.com")
    assert len(found) == addresses.MAX_MAILBOXES


@pytest.mark.parametrize(
    ("email", "written"),
    [
        ('"abc"@Example.com', "abc@Example.com"),
        (r'"a\b c"@x', '"ab c"@x'),
        ("aaa..bb@docomo.ne.jp", '"aaa..bb"@docomo.ne.jp'),
        ('"xxx.yyy."@docomo.ne.jp', '"xxx.yyy."@docomo.ne.jp'),
        (".a@x", '".a"@x'),
        ("a b@x", "a b@x"),
        ("root", "root"),
        ("", ""),
    ],
)
def test_address_has_one_spelling(email: str, written: str) -> None:
    assert spelling(email) == written
    assert spelling(written) == written
