"""Reduce a vendor's reply to its own words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    ],
)
def test_quotes_addresses_and_remote_replies_are_dropped(text: str, kept: str) -> None:
    assert " ".join(own_words(text).split()) == kept


@given(st.text(max_size=200))
def test_text_in_angle_brackets_or_around_an_at_sign_is_dropped(text: str) -> None:
    assert "@" not in own_words(text)


def test_reply_is_read_up_to_a_limit() -> None:
    assert len(own_words("x" * 10 * MAX_CHARACTERS)) <= MAX_CHARACTERS
