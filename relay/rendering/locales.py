"""The locales that a locale falls back to."""

from collections.abc import Iterator


def fallbacks(locale: str) -> Iterator[str]:
    """Yield a locale and then each wider one: `zh-Hant-TW`, `zh-Hant`, `zh` (RFC 4647 section 3.4). Nothing for an empty one."""
    while locale:
        yield locale
        locale = locale.rpartition("-")[0]
