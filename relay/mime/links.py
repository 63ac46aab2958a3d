"""Where the links of an html mail lead: for people who look at it, and for tests that follow one.

Found with patterns that take time in proportion to the text, whatever it is: the standard library's parser takes hours over
some mails that a stranger could write.
"""

import re
from collections.abc import Iterator, Sequence
from html import unescape
from itertools import islice

import msgspec

MAX_LINKS = 1000
_TAG = re.compile(r"""<a\b((?:[^<>"']|"[^"]*"|'[^']*')*+)>|</a\s*>""", re.IGNORECASE)
_HREF = re.compile(r"""(?<![\w-])href\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_INNER = re.compile(r"<[^<>]*+>")


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link as written: what is shown, and where it leads."""

    text: str
    href: str


def links_in(html: str) -> Sequence[Link]:
    """The links of an html text in their order, `MAX_LINKS` at most."""
    return list(islice(_links(html), MAX_LINKS))


def _links(html: str) -> Iterator[Link]:
    href, begin = None, 0
    for tag in _TAG.finditer(html):
        if href is not None:
            yield Link(text=_text(html[begin : tag.start()]), href=href)
        href, begin = _href(tag[1]), tag.end()
    if href is not None:
        yield Link(text=_text(html[begin:]), href=href)


def _href(attributes: str | None) -> str | None:
    """Where a start tag with these attributes leads; None for an end tag, and for an anchor that leads nowhere."""
    found = _HREF.search(attributes or "")
    return None if found is None else unescape(next(filter(None, found.groups()), "")).strip()


def _text(inner: str) -> str:
    return " ".join(unescape(_INNER.sub("", inner)).split())
