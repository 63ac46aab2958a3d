"""The text of messages that have only HTML."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.model import Attachment
from relay.mime import build
from relay.mime.writing.plain_text import MAX_CONTENT, MAX_HTML, MAX_TEXT, text_of
from tests.depth import examples
from tests.doubles import message_of
from tests.unit.mime.mime_reading import leaf, read, send_request, types

HTML = (
    "<html><head><title>T</title><style>p{}</style></head><body><h1>Hi Ada</h1><p>Your <b>order</b> 4711<br>is on its way: "
    "<a href='https://shop.example/o?a=1&amp;b=2'>see it</a>.</p><img src='data:image/png;base64,AAAA'>"
    "<ul><li>Größe</ul><script>x()</script><p style='display:none'>hidden</p></body></html>"
)


def test_text_has_words_and_links_of_the_html() -> None:
    text = text_of(message_of(text=None, html=HTML, text_from_html=True))
    assert text is not None
    assert [line.strip() for line in text.split("\n") if line] == [
        "# Hi Ada",
        "Your **order** 4711",
        "is on its way: [see it](https://shop.example/o?a=1&b=2).",
        "- Größe",
    ]


def test_html_only_message_is_built_with_a_text() -> None:
    message = read(build.build(send_request(text=None, html=HTML, text_from_html=True)))
    assert types(message) == ("alternative", ["text/plain", "text/html"])
    assert leaf(message, "text/plain").get_content().startswith("# Hi Ada\r\n")


def test_text_is_made_only_if_it_is_asked_for_and_missing() -> None:
    assert text_of(message_of(text=None, html=HTML)) is None
    large = (Attachment(name="a", content=bytes(MAX_CONTENT)),)
    assert text_of(message_of(text=None, html=HTML, text_from_html=True, attachments=large)) is None
    assert text_of(message_of(text="own", html=HTML, text_from_html=True)) == "own"
    assert text_of(message_of(text=None, html=None, text_from_html=True)) is None


@pytest.mark.parametrize(
    "html",
    [
        "<p>" + "x" * MAX_HTML,
        "<img src=x>",
        "<",
        "<ol>" + "<li>" * (MAX_HTML // 5) + "<li>x" * 100,
        "<ul><li>" * 5_000 + "<li>x" * 10_000,
        "<table>" + "<tr><td>x" * 10_000,
        "<table><tr><td rowspan=1000000000 colspan=1000000000>x",
        "\ud800",
    ],
)
def test_text_of_hostile_html_is_bounded(html: str) -> None:
    text = text_of(message_of(text=None, html=html, text_from_html=True))
    assert text is None or 0 < len(text) <= MAX_TEXT + 1


@given(html=st.text(max_size=300) | st.text("<>/ab&;=\"' ", max_size=300))
@settings(max_examples=examples(100))
def test_any_html_has_a_text_or_none(html: str) -> None:
    text = text_of(message_of(text=None, html=html, text_from_html=True))
    assert text is None or text.strip()
