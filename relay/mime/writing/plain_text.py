"""Make a text for a message that has only HTML, for programs and people that do not read HTML (decision 0035)."""

from relay.core.model import Message

MAX_HTML = 100_000
"""Characters of HTML to convert: hostile HTML of this size takes 0.4 s, outside of the event loop. Gmail shows no more."""
MAX_TEXT = 100_000
MAX_CONTENT = 5_000_000
"""Maximum content in bytes of a message that gets a text: a larger one could exceed a route's limit, checked without the text."""


def text_of(message: Message) -> str | None:
    """Return a message's text, or convert its HTML if it asks for a text and has none. None if there is no text."""
    is_wanted = message.text is None and bool(message.html) and message.text_from_html
    if not is_wanted or len(message.html or "") > MAX_HTML or message.content_size > MAX_CONTENT:
        return message.text
    text = text_from(message.html or "")
    return f"{text}\n" if 0 < len(text) <= MAX_TEXT else None


def text_from(html: str) -> str:
    """Convert up to `MAX_HTML` characters of HTML to text; empty if it has none, or cannot be converted."""
    # Importing it takes 55 ms.
    from html_to_markdown import ConversionOptions, convert

    options = ConversionOptions(extract_metadata=False, skip_images=True)
    try:
        return str(convert(html[:MAX_HTML].encode("utf-8", "replace").decode(), options).content or "").strip()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        # A text is optional. A panic in the library's Rust code is not an `Exception`.
        return ""
