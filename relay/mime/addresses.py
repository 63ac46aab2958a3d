"""Read lists of addresses (RFC 5322 section 3.4) as mail programs do, and normalize their spelling. Never raises.

The standard library loses names in comments, keeps blanks within Japanese names, raises for some groups, and takes seconds for
a line of quotes (decision 0033). This takes time in proportion to the text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from relay.mime import encoded_words
from relay.mime.fields import ATEXT

MAX_MAILBOXES = 2_000
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*+)"|\\.|[(),;:<>"\\]|[^"\\(),;:<>]+', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_AROUND = re.compile(r"(?<!\s)\s*+([@.])\s*+")
_ROUTE = re.compile(r"(?:@[^@:,]*+,?+)++:")
_DOT_ATOM = re.compile(rf"{ATEXT}+(?:\.{ATEXT}+)*")
_DOTS = re.compile(rf"(?:{ATEXT}|\.)+")
_COMMENT = re.compile(r"\([^()]*\)")
_SEPARATORS = frozenset(",;:")
_BRACKETS = frozenset('<>"()')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
CARRIERS = frozenset(("docomo.ne.jp", "ezweb.ne.jp", "au.com"))
"""Mobile carriers that assigned local parts with a dot at the end or with adjacent dots. RFC 5322 allows those only in quotes,
but customers write them without.

docomo names both forms (docomo.ne.jp/service/docomo_mail/rfc_add). au's page of that time is gone; others quote its warning about
them (sgu.ac.jp/inf/edu/live/keitai-address.html). au.com is the domain that au's customers could change to from ezweb.ne.jp with
the same local part (gapsis.jp/2018/04/about-aucom-mailaddress.html); no page says whether it takes these forms. No source was
found for SoftBank's domains, so they are not among these.
"""


class Mailbox(msgspec.Struct, frozen=True, kw_only=True):
    """A display name and an address, as written. `is_odd`: brackets or quotes do not match, or text follows the address."""

    name: str
    email: str
    is_odd: bool = False


class _Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token: `raw` as written, and `text` without quotes and brackets.

    `kind` is `text`, `quoted`, `comment`, `angle` or a separator.
    """

    kind: str
    text: str
    raw: str


def mailboxes(text: str, *, limit: int = MAX_MAILBOXES, decodes: bool = True) -> list[Mailbox]:
    """Read the mailboxes of a field, including those in groups. `decodes`: decode the encoded words of names."""
    return [_mailbox(piece, decodes=decodes) for piece in islice(_pieces(_tokens(text, limit)), limit)]


def split_list(text: str, limit: int) -> list[str]:
    """Split at commas and semicolons between addresses, and drop empty pieces and the names of groups."""
    if "," not in text and ";" not in text:
        return [text] if text.strip() else []
    pieces = islice(_pieces(_tokens(text, limit)), limit)
    return ["".join(token.raw for token in piece).strip() for piece in pieces]


def spelling(email: str) -> str:
    """Normalize the spelling of an address: its local part is in quotes only if it needs them. Keeps upper and lower case."""
    local, at, domain = email.strip().rpartition("@")
    return f"{local_part(local)}@{domain}" if at else domain


def local_part(local: str) -> str:
    """Normalize the spelling of a local part (RFC 5321 section 4.1.2)."""
    quoted = _QUOTED.fullmatch(local)
    text = _ESCAPED.sub(r"\1", quoted[1]) if quoted else local
    if _DOT_ATOM.fullmatch(text) or not (quoted or _DOTS.fullmatch(local)):
        return text
    return quote(text)


def quote(text: str) -> str:
    """Write a quoted string (RFC 5322 section 3.2.4)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _tokens(text: str, limit: int) -> list[_Token]:
    """Split a text, as far as `limit` mailboxes may need. The rest is one token, which makes the last mailbox invalid."""
    found = list(islice(_TOKEN.finditer(text), 1_000 + 20 * limit))
    ends = _ends(found)
    tokens: list[_Token] = []
    at = 0
    while at < len(found):
        end = ends.get(at, at)
        raw = text[found[at].start() : found[end].end()]
        if end != at:
            tokens.append(_Token(kind="comment" if raw[0] == "(" else "angle", text=raw[1:-1], raw=raw))
        elif found[at][1] is not None:
            tokens.append(_Token(kind="quoted", text=_ESCAPED.sub(r"\1", found[at][1]), raw=raw))
        else:
            tokens.append(_Token(kind=raw if raw in _SEPARATORS else "text", text=raw, raw=raw))
        at = end + 1
    rest = text[found[-1].end() :] if found else ""
    return [*tokens, _Token(kind="text", text=rest, raw=rest)] if rest else tokens


def _ends(found: Sequence[re.Match[str]]) -> Mapping[int, int]:
    """Return the index of the token that closes each bracket, by the index of its opening. An unclosed bracket is text."""
    ends: dict[int, int] = {}
    opened: list[int] = []
    for at, token in enumerate(found):
        if token[0] == "(":
            opened.append(at)
        elif token[0] == ")" and opened:
            ends[opened.pop()] = at
    angle, at = None, 0
    while at < len(found):
        if found[at][0] == "<":
            angle = at
        elif found[at][0] == ">" and angle is not None:
            ends[angle] = at
            angle = None
        at = ends.get(at, at) + 1 if found[at][0] == "(" else at + 1
    return ends


def _pieces(tokens: Sequence[_Token]) -> Iterator[list[_Token]]:
    """Yield the tokens of each mailbox. A colon begins a group only if a semicolon ends it; else it is part of a name."""
    last = max((at for at, token in enumerate(tokens) if token.kind == ";"), default=-1)
    piece: list[_Token] = []
    for at, token in enumerate(tokens):
        if token.kind == ":" and at < last:
            piece = []
        elif token.kind in ",;":
            if _has_content(piece):
                yield piece
            piece = []
        else:
            piece.append(token)
    if _has_content(piece):
        yield piece


def _has_content(piece: Sequence[_Token]) -> bool:
    """Return whether a piece has more than blanks and comments, such as those after a group."""
    return any(token.kind != "comment" and token.raw.strip() for token in piece)


def _mailbox(piece: Sequence[_Token], *, decodes: bool) -> Mailbox:
    angles = [at for at, token in enumerate(piece) if token.kind == "angle"]
    comments = " ".join(token.text.strip() for token in piece if token.kind == "comment")
    if not angles:
        email = "".join(token.raw for token in piece if token.kind != "comment")
        is_odd = any(token.kind == "text" and set(token.text) & _BRACKETS for token in piece)
        return Mailbox(name=_name([comments], decodes=decodes), email=_email(email), is_odd=is_odd)
    before, after = piece[: angles[0]], piece[angles[0] + 1 :]
    name = _name([token.text for token in before if token.kind != "comment"], decodes=decodes)
    is_odd = _has_content(after) or any(token.kind == "text" and set(token.text) & _BRACKETS for token in before)
    return Mailbox(name=name or _name([comments], decodes=decodes), email=_email(piece[angles[0]].text), is_odd=is_odd)


def _name(words: Sequence[str], *, decodes: bool) -> str:
    """Join the words of a name. Brackets and escapes within a comment stay as written."""
    text = "".join(words)
    return " ".join(encoded_words.decode(text).split()) if decodes else text.strip()


def _email(text: str) -> str:
    """Remove a source route (RFC 5321 appendix F.2) and, if the address has no quotes, comments and blanks around dots and @."""
    text = text.strip()
    route = _ROUTE.match(text)
    text = text[route.end() :] if route else text
    if '"' in text:
        return text
    return _AROUND.sub(r"\1", _COMMENT.sub("", text).strip())
