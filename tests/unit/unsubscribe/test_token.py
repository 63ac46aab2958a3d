"""Tokens of unsubscribe links: they name a recipient to Relay alone, and nobody can make or change one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.clients.registry import Client
from relay.unsubscribe import token
from relay.unsubscribe.token import MAX_GROUPS, MAX_TOKEN, Subscriber
from relay.unsubscribe.topic_mail import MAX_GROUP

SHOP = Client(id="0123456789abcdef", name="shop", mac_key=b"s" * 32)
OTHER = Client(id="fedcba9876543210", name="other", mac_key=b"o" * 32)
MADE = "1-0123456789abcdef-YT5QBYOdZeQafwE33X99JtlxiF0ugHQAK35R4ByBDARMFqOwfAk"
"""What version 1 made: mail that carries it lies in mailboxes for years."""


def subscriber(
    client: Client = SHOP, topic: str = "news", email: str = "ada@example.com", groups: tuple[int, ...] = ()
) -> Subscriber:
    return Subscriber(client=client, topic=topic, email=email, groups=groups)


def test_token_is_read_as_its_subscriber() -> None:
    text = token.write(subscriber())
    assert token.client_id_of(text) == SHOP.id
    assert token.read(SHOP, text) == subscriber()


def test_recipient_has_one_token_for_a_topic() -> None:
    assert token.write(subscriber()) == token.write(subscriber())


def test_token_of_version_1_stays_readable() -> None:
    assert token.read(SHOP, MADE) == subscriber()
    assert token.write(subscriber()) == MADE


def test_groups_to_show_are_read() -> None:
    assert token.read(SHOP, token.write(subscriber(groups=(3, 12)))) == subscriber(groups=(3, 12))


def test_token_shows_neither_address_nor_topic() -> None:
    text = token.write(subscriber())
    assert "ada" not in text
    assert "news" not in text


def test_token_of_the_longest_names_has_the_stated_length() -> None:
    text = token.write(subscriber(topic="t" * 64, email="e" * 254, groups=(MAX_GROUP,) * MAX_GROUPS))
    assert len(text) <= MAX_TOKEN
    assert token.read(SHOP, text) is not None


@pytest.mark.parametrize("place", range(0, 70, 3))
def test_changed_token_is_refused(place: int) -> None:
    text = token.write(subscriber())
    place %= len(text)
    changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
    assert token.client_id_of(changed) != SHOP.id or token.read(SHOP, changed) is None


def test_token_of_another_client_is_refused() -> None:
    mine = token.write(subscriber())
    claimed = mine.replace(SHOP.id, OTHER.id)
    assert token.read(OTHER, mine) is None
    assert token.read(OTHER, claimed) is None
    assert token.read(SHOP, claimed) is None


def test_later_client_of_the_name_does_not_read_the_token() -> None:
    later = Client(id=SHOP.id, name="shop", mac_key=b"l" * 32)
    assert token.read(later, token.write(subscriber())) is None


@given(st.text(max_size=900))
def test_any_other_text_is_no_token(text: str) -> None:
    assert token.client_id_of(text) is None or token.read(SHOP, text) is None


@pytest.mark.parametrize(
    "text", ["", "1", "1-", "1--", "2-0123456789abcdef-AAAA", MADE + "A" * 700, MADE + "=", MADE + "é"]
)
def test_text_without_the_form_of_a_token_is_refused(text: str) -> None:
    assert token.client_id_of(text) is None or token.read(SHOP, text) is None


def test_subscriber_is_shown_without_address() -> None:
    assert "ada" not in repr(subscriber())
