"""Errors of a template that cannot be used, or not with these variables."""


class NoTemplate(ValueError):
    """The source is not a valid template; the text gives the place and the reason."""


class Unrenderable(Exception):
    """The template cannot be rendered with these variables; the text gives the reason, without any value."""


class WrongValue(Exception):
    """A helper or filter cannot use a value; the text gives the reason, without the value."""


_MAX_ERROR_CHARS = 200


def excerpt(text: str) -> str:
    """Return a reason as a sentence that fits into an error."""
    shown = text if text.isprintable() else ascii(text)
    return f"{shown[:_MAX_ERROR_CHARS].rstrip('.')}."
