"""Parse a template into its tree (handlebars-lang/handlebars-parser, spec/handlebars.yy)."""

import re
from collections.abc import Iterator

from relay.handlebars.lexer import SyntaxProblem, Token, tokens
from relay.handlebars.tree import (
    Block,
    Call,
    Comment,
    Content,
    Expression,
    Literal,
    Output,
    Path,
    Program,
    Strip,
)
from relay.handlebars.values import MAX_DIGITS
from relay.handlebars.whitespace import control_whitespace

MAX_NESTING = 100
"""Blocks within blocks, `else if` after `else if`, parentheses within parentheses: each takes a few frames of Python's stack."""
_SCOPED = re.compile(r"^\.|this\b")
_WORDS = {"true": True, "false": False, "undefined": None, "null": None}
_LITERALS = ("text", "number", "word")
_UNSUPPORTED = {
    "partial": "partials are not supported: each template stands alone",
    "raw": "raw blocks ({{{{…}}}}) are not supported",
}


def parse(source: str) -> Program:
    """Return the tree of a template. Raises `SyntaxProblem`."""
    parser = _Parser(tokens(source))
    program = parser.program()
    if parser.next.kind != "eof":
        raise SyntaxProblem(parser.next.at, f"{parser.next.text} has no block to belong to")
    return control_whitespace(program)


class _Parser:
    """Reads tokens with one token of lookahead."""

    def __init__(self, found: Iterator[Token]) -> None:
        self._tokens = found
        self._depth = 0
        self.next = next(found)

    def program(self) -> Program:
        """Read statements until a tag that ends or continues a block."""
        self._deeper()
        program = Program(body=[])
        while True:
            match self.next.kind:
                case "content":
                    text = self._take().text
                    program.body.append(Content(original=text, value=text))
                case "comment":
                    text = self._take().text
                    program.body.append(Comment(strip=_strip(text, text)))
                case "open" | "open_plain" | "open_unescaped":
                    program.body.append(self._output())
                case "block" | "open_inverse":
                    program.body.append(self._block())
                case "partial" | "raw":
                    raise SyntaxProblem(self.next.at, _UNSUPPORTED[self.next.kind])
                case _:
                    self._depth -= 1
                    return program

    def _output(self) -> Output:
        opening = self._take()
        if "*" in opening.text:
            raise SyntaxProblem(opening.at, "decorators are not supported")
        call = self._call()
        closing = self._expect("close_unescaped" if opening.kind == "open_unescaped" else "close")
        return Output(call=call, is_escaped=opening.kind == "open", strip=_strip(opening.text, closing.text))

    def _block(self) -> Block:
        opening = self._take()
        if "*" in opening.text:
            raise SyntaxProblem(opening.at, "decorators are not supported")
        call, names, strip = self._opened(opening)
        program = self.program()
        program.names = names
        is_inverted = opening.kind == "open_inverse"
        inverse, inverse_strip = self._plain_inverse() if is_inverted else self._inverse()
        end = self._expect("end", f"{opening.text}{call.path.original}}}}} is not closed", opening.at)
        closed = self._path()
        close_strip = _strip(end.text, self._expect("close").text)
        if closed.original != call.path.original:
            reason = f"{end.text}{closed.original}}}}} closes {opening.text}{call.path.original}}}}}"
            raise SyntaxProblem(closed.at, reason)
        if inverse is not None and inverse.is_chained:
            _chained(inverse).close_strip = close_strip
        return Block(
            call=call,
            program=inverse if is_inverted else program,
            inverse=program if is_inverted else inverse,
            open_strip=strip,
            inverse_strip=inverse_strip,
            close_strip=close_strip,
        )

    def _opened(self, opening: Token) -> tuple[Call, tuple[str, ...], Strip]:
        """Read the rest of a tag that opens a block."""
        call = self._call()
        names: list[str] = []
        if self.next.kind == "names":
            self._take()
            while self.next.kind == "name":
                names.append(self._take().text)
            self._expect("bar")
        return call, tuple(names), _strip(opening.text, self._expect("close").text)

    def _inverse(self) -> tuple[Program | None, Strip]:
        """Read the program after `{{else}}` or `{{else if …}}`."""
        if self.next.kind != "chain":
            return self._plain_inverse()
        opening = self._take()
        self._deeper()
        call, names, strip = self._opened(opening)
        program = self.program()
        program.names = names
        inverse, inverse_strip = self._inverse()
        if inverse is not None and inverse.is_chained:
            _chained(inverse).close_strip = inverse_strip
        block = Block(
            call=call,
            program=program,
            inverse=inverse,
            open_strip=strip,
            inverse_strip=inverse_strip,
            close_strip=inverse_strip,
        )
        self._depth -= 1
        return Program(body=[block], is_chained=True), strip

    def _plain_inverse(self) -> tuple[Program | None, Strip]:
        if self.next.kind != "inverse":
            return None, Strip()
        text = self._take().text
        return self.program(), _strip(text, text)

    def _call(self, *, is_nested: bool = False) -> Call:
        """Read a name or literal, and the parameters after it."""
        at = self.next.at
        head = self._simple()
        if isinstance(head, Literal):
            name = _written(head.value)
            head = Path(parts=(name,), original=name, at=at)
        params: list[Expression] = []
        options: list[tuple[str, Expression]] = []
        while self.next.kind in ("left", "data", "id", "name", "segment", *_LITERALS):
            param = self._value()
            if self.next.kind == "equals" and isinstance(param, Path) and param.parts == (param.original,):
                self._take()
                options.append((param.parts[0], self._value()))
            elif options:
                raise SyntaxProblem(self.next.at, "values stand before options (name=value)")
            else:
                params.append(param)
        return Call(path=head, params=tuple(params), options=tuple(options), is_nested=is_nested)

    def _value(self) -> Expression:
        if self.next.kind != "left":
            return self._simple()
        self._deeper()
        self._take()
        call = self._call(is_nested=True)
        self._expect("right")
        self._depth -= 1
        return call

    def _simple(self) -> Path | Literal:
        match self.next.kind:
            case "text":
                text = self._take().text
                return Literal(text[1:-1].replace("\\" + text[0], text[0]))
            case "number":
                text = self._take().text
                return Literal(float(text) if "." in text or len(text) > MAX_DIGITS else int(text))
            case "word":
                return Literal(_WORDS[self._take().text])
            case _:
                return self._path()

    def _path(self) -> Path:
        at = self.next.at
        is_data = self.next.kind == "data"
        if is_data:
            self._take()
        original = "@" if is_data else ""
        parts: list[str] = []
        depth = 0
        while True:
            segment = self.next if self.next.kind == "segment" else self._expect_name()
            if segment is self.next:
                self._take()
            name = re.sub(r"\\([\\\]])", r"\1", segment.text)[1:-1] if segment.kind == "segment" else segment.text
            original += name
            if segment.kind != "segment" and name in ("..", ".", "this"):
                if parts:
                    raise SyntaxProblem(segment.at, f"invalid path {original}")
                depth += name == ".."
            else:
                parts.append(name)
            if self.next.kind != "separator":
                return Path(tuple(parts), original, at, depth, is_data, _SCOPED.search(original) is not None)
            original += self._take().text

    def _expect_name(self) -> Token:
        if self.next.kind == "id":
            return self._take()
        return self._expect("name", "a name is expected")

    def _expect(self, kind: str, reason: str = "", at: int | None = None) -> Token:
        if self.next.kind != kind:
            shown = self.next.text[:20] or "the end of the template"
            raise SyntaxProblem(self.next.at if at is None else at, reason or f"unexpected {shown}")
        return self._take()

    def _take(self) -> Token:
        taken = self.next
        if taken.kind != "eof":
            self.next = next(self._tokens)
        return taken

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise SyntaxProblem(self.next.at, f"nested too deeply (limit {MAX_NESTING})")


def _chained(program: Program) -> Block:
    """Return the block of an `else if`."""
    [block] = program.body
    assert isinstance(block, Block)  # noqa: S101 # a chained program is made with one block
    return block


def _strip(opening: str, closing: str) -> Strip:
    return Strip(before=opening[2:3] == "~", after=closing[-3:-2] == "~")


def _written(value: object) -> str:
    """Return the text of a literal that is in the place of a name."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
