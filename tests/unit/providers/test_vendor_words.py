"""Reduce a vendor's reply to its own words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.providers import vendor_words
from relay.providers.vendor_words import MAX_CHARACTERS, own_words


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("5.7.1 Relay access denied", "5.7.1 Relay access denied"),
        ("5.1.1 <relay@corp.example>: unknown", "5.1.1 : unknown"),
        ("relay@corp.example unknown", "unknown"),
        ("host mx.example said: 554 Relay access denied", "host mx.example"),
        ("the value \"suspended\" of 'subject' is wrong", "the value of is wrong"),
        ("the user isn't allowed, don't try", "the user isn't allowed, don't try"),
        ('the subject "account suspended', "the subject"),
        ("the name “a “b” is wrong", "the name is wrong"),
        ("the name “account suspended", "the name"),
        ("no a@b@suspended here", "no here"),
    ],
)
def test_quotes_addresses_and_remote_replies_are_dropped(text: str, kept: str) -> None:
    assert " ".join(own_words(text).split()) == kept


@given(st.text(max_size=200))
def test_text_in_angle_brackets_or_around_an_at_sign_is_dropped(text: str) -> None:
    assert "@" not in own_words(text)


def test_reply_is_read_up_to_a_limit() -> None:
    assert len(own_words("x" * 10 * MAX_CHARACTERS)) <= MAX_CHARACTERS


def test_quotation_that_the_limit_cuts_off_is_dropped() -> None:
    assert own_words(f'wrong: "{"x" * MAX_CHARACTERS} suspended"').strip() == "wrong:"


@pytest.mark.parametrize("character", ["x", "<", "“", "'", "`"])
def test_long_word_is_read_in_linear_time(character: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # With the square of the characters this would not end today.
    monkeypatch.setattr(vendor_words, "MAX_CHARACTERS", 3_000_000)
    assert "@" not in own_words(character * 3_000_000)
