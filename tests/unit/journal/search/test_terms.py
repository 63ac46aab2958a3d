"""Terms: what a message is found by."""

import pytest

from relay.journal.search.terms import MAX_WORD, MAX_WORDS, ContentFilter, has_terms, words
from tests.doubles import message_of


@pytest.mark.parametrize(
    ("subject", "found"),
    [
        ("Your order No. 4711-B", ["your", "order", "no", "4711", "b"]),
        ("STRASSE Straße ＡＢＣ", ["strasse", "abc"]),
        ("注文書 4711のお知らせ", ["注文", "文書", "4711", "のお", "お知", "知ら", "らせ"]),
        ("請 請求2", ["請", "請求", "2"]),
        ("…_ !", []),
        ("a" * 100, ["a" * MAX_WORD]),
        (" ".join(map(str, range(100))), [str(number) for number in range(MAX_WORDS)]),
    ],
)
def test_words_are_folded_and_bounded(subject: str, found: list[str]) -> None:
    assert list(words(subject)) == found


@pytest.mark.parametrize(
    ("wanted", "is_found"),
    [
        (ContentFilter(), True),
        (ContentFilter(recipient="ada@example.org", subject="request THE"), True),
        (ContentFilter(recipient="@example.org"), True),
        (ContentFilter(recipient="@example.or"), False),
        (ContentFilter(sender="ada@example.org"), False),
        (ContentFilter(subject="quest"), False),
        (ContentFilter(tag="invoice", metadata="order=4711"), True),
        (ContentFilter(tag="Invoice"), False),
        (ContentFilter(metadata="order=47"), False),
    ],
)
def test_message_matches_if_it_has_every_term(wanted: ContentFilter, is_found: bool) -> None:
    message = message_of(
        "Ada@example.org", subject="The request", tags=("invoice",), metadata={"order": "4711", "other": "1"}
    )
    assert has_terms(message, wanted.terms()) is is_found
