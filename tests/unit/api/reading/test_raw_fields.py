"""Fields of a finished message are sent in one meaning, and read in steps in proportion to the text.

Those texts are so long that an expression which goes back over a run of blanks for each of them would not end within minutes.
"""

from email.utils import getaddresses

import pytest

from relay.acceptance.draft import Limits
from relay.api.problems import Problems
from relay.api.reading.raw import fields
from relay.api.reading.raw.header import read_head
from relay.mime import encoded_words

BLANKS = " " * 300_000


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        (f"Shop{BLANKS}<shop@example.com>", True),
        (f'"Shop"{BLANKS}<shop@example.com>', True),
        ("Shop<shop@example.com>", True),
        ("shop@example.com", True),
        (f"Shop{BLANKS}x", False),
        (f'"Shop"{BLANKS}x', False),
        (f"{BLANKS}(Shop) shop@example.com", False),
    ],
    ids=["blanks", "blanks after quotes", "no blank", "bare", "no address", "no address after quotes", "comment"],
)
def test_author_with_many_blanks_is_judged_in_one_pass(text: str, is_plain: bool) -> None:
    assert bool(fields._PLAIN.fullmatch(text)) is is_plain


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("by a  for <jörg@example.com>; today", "by a; today"),
        (f"by a{BLANKS}for{BLANKS}jörg@example.com; today", "by a; today"),
        (f"by a{BLANKS}ö", f"by a{BLANKS}ö"),
        (f"by a for{BLANKS}b; ö", f"by a for{BLANKS}b; ö"),
    ],
    ids=["clause", "clause with many blanks", "no clause", "clause in ASCII"],
)
def test_clause_of_a_received_field_is_found_in_one_pass(text: str, kept: str) -> None:
    assert fields._FOR.sub("", text) == kept


def written(line: str) -> list[str]:
    """Return the fields that a header with this field is sent with, and the problems as fields that begin with a blank."""
    problems = Problems()
    head = f"From: a@example.com\r\n{line}\r\n" if not line.lower().startswith("from:") else f"{line}\r\n"
    found = read_head(head.encode(), problems, Limits(), names_recipients=False)
    lines = [field.line.decode("utf-8").removesuffix("\r\n") for field in found.fields]
    return [*lines[line.lower().startswith("from:") ^ 1 :], *(f" {problem.message}" for problem in problems.found)]


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        ("List-Unsubscribe: <https://example.com/größe>", "List-Unsubscribe: <https://example.com/gr%C3%B6%C3%9Fe>"),
        ("List-Id: Größen <offers.example.com>", "List-Id: =?utf-8?b?R3LDtsOfZW4=?= <offers.example.com>"),
        (
            "Disposition-Notification-To: Müller <a@example.com>",
            "Disposition-Notification-To: =?utf-8?b?TcO8bGxlcg==?= <a@example.com>",
        ),
        ("Errors-To: größe@example.com", " This field has an address with a local part outside ASCII."),
        ("Auto-Submitted: größe", " This field must be ASCII, with words of at most 900 characters."),
        ("X-Shop: größe", "X-Shop: =?utf-8?b?Z3LDtsOfZQ==?="),
        ("List-Unsubscribe: <https://example.com/a>", "List-Unsubscribe: <https://example.com/a>"),
    ],
)
def test_structured_field_outside_ascii_is_written_by_its_grammar(line: str, sent: str) -> None:
    assert written(line) == [sent]


def test_long_link_of_a_raw_message_is_folded() -> None:
    [field] = written(f"List-Unsubscribe: <https://example.com/{'x' * 2_000}>")
    assert max(map(len, field.split("\r\n"))) <= 998
    assert "".join(field.split()) == f"List-Unsubscribe:<https://example.com/{'x' * 2_000}>"


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("=?utf-8?q?a=40example=2Enet=2C_b=40example=2Enet?=", '"a@example.net, b@example.net"'),
        ("=?utf-8?q?=22_=3Cceo=40example=2Enet=3E?=", '"\\" <ceo@example.net>"'),
        ('"ceo@example.net"', '"ceo@example.net"'),
        ("=?utf-8?b?5bGx55SwIDxhQGV4YW1wbGUubmV0Pg==?=", "=?utf-8?b?5bGx55SwIDxh77ygZXhhbXBsZS5uZXQ+?="),
        ("=?utf-8?b?5bGx55Sw?=", "=?utf-8?b?5bGx55Sw?="),
    ],
)
def test_address_in_the_name_of_an_author_is_never_in_an_encoded_word(name: str, sent: str) -> None:
    assert written(f"From: {name} <shop@example.com>") == [f"From: {sent} <shop@example.com>"]
    decoded = encoded_words.decode(sent)
    # A program that decodes first.
    assert {email for _, email in getaddresses([f"{decoded} <shop@example.com>"])} <= {"shop@example.com", ""}
