"""Write a caller's headers by their grammar, so that the programs that act on them can read them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.mime.writing import structured
from tests.depth import examples

LINK = "https://example.com/u?" + "x" * 1_200


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        (
            "Disposition-Notification-To",
            "Müller <a@example.com>, B@bücher.example",
            "=?utf-8?b?TcO8bGxlcg==?= <a@example.com>, B@xn--bcher-kva.example",
        ),
        ("List-Unsubscribe", "<https://example.com/größe?a=b%20c>", "<https://example.com/gr%C3%B6%C3%9Fe?a=b%20c>"),
        (
            "list-unsubscribe",
            "<https://example.com/a b>,<mailto:u@example.com>",
            "<https://example.com/ab>,<mailto:u@example.com>",
        ),
        ("List-Post", "NO", "NO"),
        ("List-Help", "<mailto:h@example.com> (Help)", "<mailto:h@example.com> (Help)"),
        (
            "List-Id",
            "Angebote für alle <offers.example.com>",
            "=?utf-8?b?QW5nZWJvdGUgZsO8ciBhbGxl?= <offers.example.com>",
        ),
        ("List-Id", '"Offers" <offers.example.com>', "Offers <offers.example.com>"),
        ("References", "<a@example.com>  <b@example.com>", "<a@example.com>  <b@example.com>"),
        ("X-Note", "Grüße", "=?utf-8?b?R3LDvMOfZQ==?="),
        ("X-Note", "=?utf-8?q?a?=", "=?utf-8?q?a?="),
    ],
)
def test_header_is_written_by_its_grammar(name: str, value: str, written: str) -> None:
    assert structured.header_problem(name, value) == ""
    assert structured.header_value(name, value) == written


def test_long_link_is_folded_within_its_brackets() -> None:
    """Readers ignore blanks in them (RFC 2369 section 2)."""
    lines = structured.header_field("List-Unsubscribe", f"<{LINK}>, <mailto:u@example.com>").split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert b"".join(line.strip() for line in lines) == f"List-Unsubscribe: <{LINK}>,<mailto:u@example.com>".encode()
    assert structured.header_value("List-Unsubscribe", f"<{LINK}>") == f"<{LINK}>"


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("References", "<größe@example.com>", "must be ASCII"),
        ("In-Reply-To", "<" + "x" * 950 + "@example.com>", "words of at most 900"),
        ("Auto-Submitted", "automatisch – ja", "must be ASCII"),
        ("List-Unsubscribe", "https://example.com", "angle brackets"),
        ("List-Unsubscribe", "größe <https://example.com>", "angle brackets"),
        ("List-Id", "offers.example.com", "angle brackets"),
        ("Disposition-Notification-To", "Müller", "address"),
        ("Disposition-Notification-To", "a@example.com <", "addresses"),
        ("Disposition-Notification-To", "größe@example.com", "local part outside ASCII"),
    ],
)
def test_header_that_its_grammar_does_not_allow_is_refused(name: str, value: str, problem: str) -> None:
    assert problem in structured.header_problem(name, value)
    with pytest.raises(ValueError, match=problem):
        structured.header_field(name, value)


NAMES = st.sampled_from(["List-Unsubscribe", "List-Id", "References", "Disposition-Notification-To", "X-Any"])


@given(name=NAMES, value=st.text(max_size=300) | st.text('<>a é@,;:"()\r\n', max_size=300))
@settings(max_examples=examples(200))
def test_any_value_stays_one_field_with_short_lines_or_is_refused(name: str, value: str) -> None:
    if structured.header_problem(name, value):
        return
    field = structured.header_field(name, value)
    lines = field.removesuffix(b"\r\n").split(b"\r\n")
    assert field.isascii()
    assert all(line[:1] in (b" ", b"\t") for line in lines[1:])
    assert max(map(len, lines)) <= 998
    assert structured.header_value(name, value).isascii()
