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
    """It begins with `this` or a dot, so it is never a helper or a block parameter."""


class Literal(msgspec.Struct, frozen=True):
    """A text, number, true, false, null or undefined."""

    value: Any


class Call(msgspec.Struct, frozen=True):
    """A path with what follows it: a value, or a helper with its parameters."""

    path: Path
    params: tuple["Path | Literal | Call", ...] = ()
    options: tuple[tuple[str, "Path | Literal | Call"], ...] = ()
    is_nested: bool = False
    """It stands in parentheses."""

    @property
    def is_helper(self) -> bool:
        """True if only a helper can be meant."""
        return self.is_nested or bool(self.params or self.options)


type Expression = Path | Literal | Call


class Strip(msgspec.Struct, frozen=True):
    """Where a tag has `~`: whitespace before or after it is removed."""

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
    """A sequence of statements, with the names of its block parameters. `is_chained`: it is what follows `else if`."""

    body: list["Statement"]
    names: tuple[str, ...] = ()
    is_chained: bool = False


class Block(msgspec.Struct):
    """A block with what it shows, or shows otherwise. `{{^name}}` has no program."""

    call: Call
    program: Program | None
    inverse: Program | None
    open_strip: Strip
    inverse_strip: Strip
    close_strip: Strip


type Statement = Content | Comment | Output | Block
