"""Plain addresses are accepted without the library: exactly those that it would accept unchanged."""

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from relay.api.reading import addresses
from tests.depth import examples

WORDS = st.one_of(
    st.text("abz09", min_size=1, max_size=6),
    st.text("az0-", min_size=1, max_size=6),
    st.text("aZ9-_+'`{é", min_size=1, max_size=4),
    st.sampled_from(
        ["com", "test", "local", "localhost", "arpa", "onion", "invalid", "xn--p1ai", "ab--c", "a" * 63, "a" * 64]
    ),
    st.sampled_from(["info", "www", "postmaster", "x" * 65]),
)
NAMES = st.lists(WORDS, min_size=1, max_size=5).map(".".join)


def by_the_library(text: str) -> str:
    """What the library makes of it; empty when it is none."""
    validate_email, invalid = addresses._library()
    try:
        found = validate_email(text, check_deliverability=False, test_environment=True)
    except invalid:
        return ""
    return f"{found.local_part}@{found.ascii_domain}"


@settings(max_examples=examples(200))
@given(local=NAMES, domain=NAMES, top=st.sampled_from(["", ".com", ".example"]))
def test_plain_address_is_accepted_unchanged_by_the_library(local: str, domain: str, top: str) -> None:
    text = f"{local}@{domain}{top}"
    is_plain = addresses._PLAIN.fullmatch(text) is not None
    event(f"plain: {is_plain}")
    assert not is_plain or by_the_library(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "a@example.com",
        "ada.lovelace+orders@mail.example.co.uk",
        "o'brien_{x}|y~z/q=1?2#3$4%5&6*7!8^9`0@sub-domain.example.org",
        f"{'x' * 64}@{'a' * 63}.example.com",
        f"a@{'b' * 60}.{'c' * 60}.{'d' * 60}.{'e' * 60}.example",
    ],
)
def test_ordinary_address_needs_no_library(text: str) -> None:
    assert addresses._PLAIN.fullmatch(text)
    assert by_the_library(text) == text
    assert addresses.email_address(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "Postmaster@example.com", "a@EXAMPLE.com", "a@münchen.example", "a@example", "a@example.c0m", "a@-a.example",
        "a@a-.example", "a@ab--c.example", "a@mail.local", "a@mail.test", "a@mail.localhost", ".a@example.com",
        "a..b@example.com", "a@example..com", "a@example.com.", "a b@example.com", "a@example.com\n", "",
        f"{'x' * 250}@example.com", f"a@{'a' * 64}.example", "a@[127.0.0.1]", '"a"@example.com',
    ],
)  # fmt: skip
def test_unusual_address_is_checked_by_the_library(text: str) -> None:
    assert not addresses._PLAIN.fullmatch(text)
