"""Remove whitespace around tags that have `~` or stand alone on their line, as handlebars.js does
(lib/handlebars/compiler/whitespace-control.js of version 4.7).
"""

from relay.handlebars.lexer import SPACE
from relay.handlebars.tree import Block, Comment, Content, Output, Program, Statement, Strip

type _Body = list[Statement]


def control_whitespace(root: Program) -> Program:
    """Shorten the texts of a tree, in place."""
    _program(root, is_root=True)
    return root


def _program(program: Program, *, is_root: bool = False) -> None:
    body = program.body
    for at, node in enumerate(body):
        if isinstance(node, Content):
            continue
        opens_alone, closes_alone = _block(node) if isinstance(node, Block) else (False, False)
        strip = _outer_strip(node)
        is_after_space, is_before_space = _ends_line(body, at, is_root=is_root), _begins_line(body, at, is_root=is_root)
        if strip.after:
            _cut_after(body, at + 1, every=True)
        if strip.before:
            _cut_before(body, at - 1, every=True)
        if isinstance(node, Comment) and is_after_space and is_before_space:
            _cut_after(body, at + 1)
            _cut_before(body, at - 1)
        if isinstance(node, Block):
            if opens_alone and is_after_space:
                _cut_after(_first(node).body, 0)
                _cut_before(body, at - 1)
            if closes_alone and is_before_space:
                _cut_after(body, at + 1)
                _cut_before_end((node.inverse or _first(node)).body)


def _outer_strip(node: Block | Output | Comment) -> Strip:
    if isinstance(node, Block):
        return Strip(before=node.open_strip.before, after=node.close_strip.after)
    return node.strip


def _first(block: Block) -> Program:
    """Return the program that follows the opening tag."""
    program = block.program or block.inverse
    assert program is not None  # noqa: S101 # a block is parsed with one of them
    return program


def _block(block: Block) -> tuple[bool, bool]:
    """Remove whitespace in a block. Return whether only spaces are after its opening, and before its closing tag, on the line."""
    for each in (block.program, block.inverse):
        if each is not None:
            _program(each)
    program = _first(block)
    inverse = block.inverse if block.program is not None else None
    after, last = inverse, inverse
    if inverse is not None and inverse.is_chained:
        after = _chained(inverse)
        while last is not None and last.is_chained:
            last = _chained(last)
    found = _begins_line(program.body, -1), _ends_line((after or program).body, None)
    if block.open_strip.after:
        _cut_after(program.body, 0, every=True)
    if inverse is None or after is None or last is None:
        if block.close_strip.before:
            _cut_before_end(program.body, every=True)
        return found
    if block.inverse_strip.before:
        _cut_before_end(program.body, every=True)
    if block.inverse_strip.after:
        _cut_after(after.body, 0, every=True)
    if block.close_strip.before:
        _cut_before_end(last.body, every=True)
    if _ends_line(program.body, None) and _begins_line(after.body, -1):
        _cut_before_end(program.body)
        _cut_after(after.body, 0)
    return found


def _chained(program: Program) -> Program | None:
    last = program.body[-1]
    return last.program if isinstance(last, Block) else None


def _ends_line(body: _Body, at: int | None, *, is_root: bool = False) -> bool:
    """Return whether only spaces are between the node at this place (None: the end) and the line before."""
    at = len(body) if at is None else at
    if at == 0:
        return is_root
    text = body[at - 1]
    if not isinstance(text, Content):
        return False
    rest = text.original.rstrip(SPACE)
    return "\n" in text.original[len(rest) :] or (is_root and at == 1 and not rest)


def _begins_line(body: _Body, at: int, *, is_root: bool = False) -> bool:
    """Return whether only spaces are between the node at this place (-1: the beginning) and the next line."""
    if at + 1 == len(body):
        return is_root
    text = body[at + 1]
    if not isinstance(text, Content):
        return False
    rest = text.original.lstrip(SPACE)
    return "\n" in text.original[: len(text.original) - len(rest)] or (is_root and at + 2 == len(body) and not rest)


def _cut_after(body: _Body, at: int, *, every: bool = False) -> None:
    """Remove the spaces at the beginning of a text up to its second line; with `every`, all whitespace there."""
    node = body[at] if at < len(body) else None
    if not isinstance(node, Content) or (node.is_right_stripped and not every):
        return
    value = node.value.lstrip(SPACE if every else " \t")
    if not every:
        value = value.removeprefix("\r").removeprefix("\n")
    node.is_right_stripped = value != node.value
    node.value = value


def _cut_before_end(body: _Body, *, every: bool = False) -> None:
    _cut_before(body, len(body) - 1, every=every)


def _cut_before(body: _Body, at: int, *, every: bool = False) -> None:
    """Remove the spaces at the end of a text's last line; with `every`, all whitespace there."""
    node = body[at] if at >= 0 else None
    if not isinstance(node, Content) or (node.is_left_stripped and not every):
        return
    value = node.value.rstrip(SPACE if every else " \t")
    node.is_left_stripped = value != node.value
    node.value = value
