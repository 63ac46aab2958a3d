"""The tree that a template is parsed into."""

from typing import Any

import msgspec


class Path(msgspec.Struct, frozen=True):
    """A name such as `user.name`, `../total`, `this` or `@index`, at an offset of the source."""

    parts: tuple[str, ...]
    original: str
    at: int
    depth: int = 0
    is_data: bool = False
    is_scoped: bool = False
    """True if it begins with `this` or a dot: then it is never a helper or a block parameter."""


class Literal(msgspec.Struct, frozen=True):
    """A text, number, true, false, null or undefined."""

    value: Any


class Call(msgspec.Struct, frozen=True):
    """A path with its parameters: a value, or a call of a helper."""

    path: Path
    params: tuple["Path | Literal | Call", ...] = ()
    options: tuple[tuple[str, "Path | Literal | Call"], ...] = ()
    is_nested: bool = False
    """True in parentheses."""

    @property
    def is_helper(self) -> bool:
        """True if only a helper can be meant."""
        return self.is_nested or bool(self.params or self.options)


type Expression = Path | Literal | Call


class Strip(msgspec.Struct, frozen=True):
    """The sides on which a tag has `~`, so that whitespace there is removed."""

    before: bool = False
    after: bool = False


class Content(msgspec.Struct):
    """Text of the template. Whitespace control shortens `value`."""

    original: str
    value: str
    is_left_stripped: bool = False
    is_right_stripped: bool = False


class Comment(msgspec.Struct, frozen=True):
    """A comment, which matters for whitespace only."""

    strip: Strip


class Output(msgspec.Struct, frozen=True):
    """An expression whose value is written."""

    call: Call
    is_escaped: bool
    strip: Strip


class Program(msgspec.Struct):
    """A sequence of statements, with the names of its block parameters. `is_chained`: it is the block of an `else if`."""

    body: list["Statement"]
    names: tuple[str, ...] = ()
    is_chained: bool = False


class Block(msgspec.Struct):
    """A block with its program and its inverse (`{{else}}`). In `{{^name}}`, the inverse comes first."""

    call: Call
    program: Program | None
    inverse: Program | None
    open_strip: Strip
    inverse_strip: Strip
    close_strip: Strip


type Statement = Content | Comment | Output | Block
