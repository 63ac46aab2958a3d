"""Keep of a reply only the words of the server that gave it.

Replies quote what others wrote: a recipient's address, a subject, another server's reply. A verdict about something that
is shared, such as a route or a sender, must not rest on such text, or whoever writes it decides for every client.
"""

import re

MAX_CHARACTERS = 4_000
"""Characters of a reply that are read; a vendor's own words stand at its beginning."""

_REMOTE = re.compile(r"\b(?:said|says|responded|replied|reported)\s*:", re.IGNORECASE)
"""What follows is another server's reply: Postfix writes "host mx.example[192.0.2.1] said: …"."""
_QUOTED = re.compile(r"<[^<>]*>|\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|`[^`]*`|“[^”]*”|‘[^’]*’")
_ADDRESS = re.compile(r"[^\s@]*@[^\s@]*")


def own_words(text: str) -> str:
    """Return the text without quoted parts, addresses, and another server's reply."""
    own = _REMOTE.split(text[:MAX_CHARACTERS], maxsplit=1)[0]
    return _ADDRESS.sub(" ", _QUOTED.sub(" ", own))
