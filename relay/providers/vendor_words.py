"""Reduce a reply to the responding server's own words.

Replies quote text of others: a recipient's address, a subject, another server's reply. Such text must not decide about
something shared, such as a route or a sender, or its author could block every client.
"""

import re

MAX_CHARACTERS = 4_000
"""Characters of a reply that are read. A vendor's own words are at its beginning."""

_REMOTE = re.compile(r"\b(?:said|says|responded|replied|reported)\s*:", re.IGNORECASE)
"""Introduces another server's reply: Postfix writes "host mx.example[192.0.2.1] said: …"."""
_QUOTED = re.compile(r"<[^<>]*>|(?<!\w)'[^']*'(?!\w)|\"[^\"]*(?:\"|\Z)|`[^`]*(?:`|\Z)|“[^”]*(?:”|\Z)|‘[^’]*(?:’|\Z)")
"""A quotation without its end, as after a cut, goes on to the end of the text."""
_ADDRESS = re.compile(r"(?<!\S)[^\s@]*@\S*")
"""A word with an at sign. It is searched from the beginnings of words only: from each letter, a long word would take seconds."""


def own_words(text: str) -> str:
    """Return the text without quoted parts, addresses, and another server's reply."""
    own = _REMOTE.split(text[:MAX_CHARACTERS], maxsplit=1)[0]
    return _ADDRESS.sub(" ", _QUOTED.sub(" ", own))
