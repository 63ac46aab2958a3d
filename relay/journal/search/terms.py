"""Extract the terms by which a message can be found: pure functions.

A term is a kind and a text, such as `to` and `ada@example.org`. A filter is a set of terms too: a message matches if it has all
of them. So a scan of the journal and the index (`relay.journal.search.index`) cannot differ in what they find.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from enum import StrEnum

import msgspec

from relay.core.model import Message

MAX_WORDS = 32
"""Words of a subject that are indexed."""
MAX_WORD = 64
"""Characters of a word that are compared."""
MAX_SUBJECT = 200
"""Characters of the words that are looked for."""
MAX_METADATA = 541
"""Characters of a `name=value` that is looked for: no message has a longer one."""
_RUNS = re.compile(r"[^\W_]+")
_PAIRED = "([\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]+)"
"""Scripts that are written without spaces between words (kana, ideographs), and Hangul, whose words have endings.

Compiled when it is first needed, by `re`: that takes two of the milliseconds until the first message is accepted."""


class Kind(StrEnum):
    """What a term is about, the most selective kinds first."""

    METADATA = "metadata"
    RECIPIENT = "to"
    SENDER = "from"
    WORD = "word"
    TAG = "tag"
    CLIENT = "client"
    """Only in the index: a list is filtered by client as such."""


type Term = tuple[Kind, str]


class ContentFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages, by their content. Addresses are in their one spelling; `@example.org` is every address of the domain.

    `metadata` is `name=value`.
    """

    recipient: str | None = None
    sender: str | None = None
    subject: str | None = None
    tag: str | None = None
    metadata: str | None = None

    def terms(self) -> frozenset[Term]:
        """Return the terms that a message must have."""
        given = (
            (Kind.RECIPIENT, self.recipient),
            (Kind.SENDER, self.sender),
            (Kind.TAG, self.tag),
            (Kind.METADATA, self.metadata),
        )
        named = {(kind, text) for kind, text in given if text is not None}
        return frozenset(named | {(Kind.WORD, word) for word in words(self.subject or "")})


def words(text: str) -> Iterable[str]:
    """Return the words of a subject, folded; of scripts without spaces the pairs of characters."""
    found: dict[str, None] = {}
    for run in _RUNS.findall(unicodedata.normalize("NFKC", text).casefold()):
        for word in _words_of(run):
            found[word[:MAX_WORD]] = None
            if len(found) == MAX_WORDS:
                return list(found)
    return list(found)


def _words_of(run: str) -> Iterator[str]:
    for number, part in enumerate(re.split(_PAIRED, run)):
        if number % 2 == 0:
            if part:
                yield part
        else:
            yield from (part[at : at + 2] for at in range(max(1, len(part) - 1)))


def terms_of(message: Message, kinds: Iterable[Kind] = tuple(Kind)) -> Iterator[Term]:
    """Yield the terms of a message; a term may come twice."""
    for kind in kinds:
        for text in _texts(message, kind):
            yield kind, text


def has_terms(message: Message, wanted: frozenset[Term]) -> bool:
    """Return whether a message has all these terms."""
    return not wanted or wanted <= set(terms_of(message, {kind for kind, _ in wanted}))


def _texts(message: Message, kind: Kind) -> Iterable[str]:
    match kind:
        case Kind.RECIPIENT:
            return _mailboxes(address.email for address in message.recipients)
        case Kind.SENDER:
            return _mailboxes((message.sender.email,))
        case Kind.WORD:
            return words(message.subject)
        case Kind.TAG:
            return message.tags
        case Kind.CLIENT:
            return ()
        case Kind.METADATA:
            return (f"{name}={value}" for name, value in message.metadata.items())


def _mailboxes(emails: Iterable[str]) -> Iterator[str]:
    for email in emails:
        folded = email.casefold()
        yield folded
        yield "@" + folded.rpartition("@")[2]
