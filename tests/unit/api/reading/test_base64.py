"""Base64 is decoded as strictly as the standard library's strict mode, and with its white space left out."""

import base64
import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.api.reading.attachments import decode_base64

TEXTS = st.text(st.sampled_from("AQgwz09+/=-_ \n\u00e9\u3042"), max_size=12)
"""Letters whose low bits differ, padding, the other alphabet, white space and what is not ASCII."""


@given(TEXTS)
def test_text_is_accepted_exactly_if_the_strict_decoder_accepts_it_without_white_space(text: str) -> None:
    try:
        expected = binascii.a2b_base64("".join(text.split()), strict_mode=True)
    except ValueError:
        with pytest.raises(ValueError, match=r"base64|padding|alphabet"):
            decode_base64(text)
    else:
        assert decode_base64(text) == expected


@given(st.binary(max_size=200))
def test_encoded_bytes_are_decoded(content: bytes) -> None:
    assert decode_base64(base64.encodebytes(content).decode()) == content
