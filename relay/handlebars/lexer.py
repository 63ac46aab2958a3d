"""Split a template into tokens, as the lexer of handlebars.js does (handlebars-lang/handlebars-parser, spec/handlebars.l)."""

import re
from collections.abc import Generator, Iterator
from typing import NamedTuple

SPACE = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
"""The characters that JavaScript treats as whitespace."""
_S = f"[{SPACE}]"
_END = rf"(?=[=~}}{SPACE}/.)\]|])"
_LITERAL_END = rf"(?=[~}}{SPACE})\]])"
_OPEN = "|".join(
    [
        r"(?P<raw>\{\{\{\{)",
        r"(?P<partial>\{\{~?#?>)",
        r"(?P<block>\{\{~?#\*?)",
        r"(?P<end>\{\{~?/)",
        rf"(?P<inverse>\{{\{{~?(?:\^{_S}*|{_S}*else{_S}*)~?\}}\}})",
        r"(?P<open_inverse>\{\{~?\^)",
        rf"(?P<chain>\{{\{{~?{_S}*else\b)",
        r"(?P<open_unescaped>\{\{~?\{)",
        r"(?P<open_plain>\{\{~?&)",
        r"(?P<long_comment>\{\{~?!--)",
        r"(?P<comment>\{\{~?!)",
        r"(?P<open>\{\{~?\*?)",
    ]
)
_INSIDE = "|".join(
    [
        r"(?P<left>\()",
        r"(?P<right>\))",
        r"(?P<equals>=)",
        rf"(?P<id>\.\.|\.{_END})",
        r"(?P<separator>[/.])",
        r"(?P<close_raw>\}\}\}\})",
        r"(?P<close_unescaped>\}~?\}\})",
        r"(?P<close>~?\}\})",
        r"(?P<text>\"(?:\\\"|[^\"])*\"|'(?:\\'|[^'])*')",
        r"(?P<data>@)",
        rf"(?P<word>(?:true|false|undefined|null){_LITERAL_END})",
        rf"(?P<number>-?[0-9]+(?:\.[0-9]+)?{_LITERAL_END})",
        rf"(?P<names>as{_S}+\|)",
        r"(?P<bar>\|)",
        rf"(?P<name>[^{SPACE}!\"#%-,./;->@\[-^`{{-~]+{_END})",
        r"(?P<segment>\[(?:\\\]|[^\]])*\])",
    ]
)
_OPENING = re.compile(_OPEN)
_TOKEN = re.compile(_INSIDE)
_SPACES = re.compile(f"{_S}*")
_LONG_COMMENT_END = re.compile(r"--~?\}\}")
_ESCAPED_END = re.compile(r"\{\{|\\\{\{|\\\\\{\{|\Z")


class SyntaxProblem(Exception):
    """A syntax error, at an offset of the source."""

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(reason)
        self.at = at
        self.reason = reason


class Token(NamedTuple):
    """A token: its kind (a group of the expressions above, `content` or `eof`), its text and its offset."""

    kind: str
    text: str
    at: int


def tokens(source: str) -> Iterator[Token]:
    """Yield the tokens of a template, the last of kind `eof`. Raises `SyntaxProblem`."""
    at = 0
    while at < len(source):
        begin = source.find("{{", at)
        if begin < 0:
            yield Token("content", source[at:], at)
            break
        text = source[at:begin]
        is_literal = text.endswith("\\") and not text.endswith("\\\\")
        text = text.removesuffix("\\")  # of two backslashes one stays, and the tag is not literal text
        if text:
            yield Token("content", text, at)
        if is_literal:
            found = _ESCAPED_END.search(source, begin + 2)
            at = found.start() if found else len(source)
            yield Token("content", source[begin:at], begin)
        else:
            at = yield from _tag(source, begin)
    yield Token("eof", "", len(source))


def _tag(source: str, begin: int) -> Generator[Token, None, int]:
    """Yield the tokens of one tag, and return the offset after it."""
    opening = _found(_OPENING, source, begin)
    kind = str(opening.lastgroup)
    if kind in ("comment", "long_comment"):
        return (yield from _comment(source, begin, kind))
    yield Token(kind, opening[0], begin)
    at = opening.end()
    while kind not in ("close", "close_unescaped", "inverse"):
        at = _end_of_space(source, at)
        found = _found(_TOKEN, source, at)
        kind = str(found.lastgroup)
        yield Token(kind, found[0], at)
        at = found.end()
    return at


def _comment(source: str, begin: int, kind: str) -> Generator[Token, None, int]:
    if kind == "comment":
        end = source.find("}}", begin + 3)
        end = end + 2 if end >= 0 else end
    else:
        found = _LONG_COMMENT_END.search(source, begin + 3)
        end = found.end() if found else -1
    if end < 0:
        raise SyntaxProblem(begin, "this comment does not end")
    yield Token("comment", source[begin:end], begin)
    return end


def _end_of_space(source: str, at: int) -> int:
    found = _SPACES.match(source, at)
    return found.end() if found else at


def _found(expression: re.Pattern[str], source: str, at: int) -> re.Match[str]:
    """Match the next token. Raises `SyntaxProblem`."""
    found = expression.match(source, at)
    if found is None:
        is_closed = source.find("}}", at) >= 0
        raise SyntaxProblem(at, f"unexpected {source[at]!a}" if is_closed else "the template ends within a tag")
    return found
