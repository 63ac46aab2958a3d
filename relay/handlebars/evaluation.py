"""Evaluate the tree of a template. Each statement, value and iteration is charged before it happens."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from relay.handlebars.helpers import HELPERS, Helper
from relay.handlebars.tree import Block, Call, Content, Expression, Literal, Output, Path, Program
from relay.handlebars.values import are_equal, escape, is_empty, is_falsy, member, members, to_text
from relay.rendering.errors import WrongValue
from relay.rendering.work import ELEMENT, STEP, charge

_PLAIN_TEXT = 8
"""Characters of a template's own text that cost as much as one of a value: they are only copied."""

_ITERATION = 4 * STEP


class Failed(Exception):
    """A helper cannot use its values; `at` is its place in the source."""

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(reason)
        self.at = at


class _Data(NamedTuple):
    """The `@` values of a block, and those of the block around it."""

    values: Mapping[str, Any]
    outer: "_Data | None"


class _Scope(NamedTuple):
    """The meaning of names: `this`, the scope that `../` leads to, the `@` values, and block parameters."""

    context: Any
    outer: "_Scope | None"
    data: _Data
    names: Mapping[str, Any]


def evaluate(program: Program, variables: Mapping[str, Any]) -> Iterable[str]:
    """Return the pieces of a rendering. Raises `Failed`, and `Exhausted` when it exceeds its budget of work."""
    evaluation = _Evaluation()
    evaluation.run(program, _Scope(variables, None, _Data({"root": variables}, None), {}))
    return evaluation.pieces


def helper_of(call: Call, names: Iterable[str]) -> Helper | None:
    """Return the helper of a call; None for a value. A name alone is a value, unless its helper only opens blocks."""
    path = call.path
    if path.depth or path.is_data or path.is_scoped or len(path.parts) != 1 or path.parts[0] in names:
        return None
    helper = HELPERS.get(path.parts[0])
    return helper if helper is not None and (call.is_helper or helper.is_block) else None


class _Evaluation:
    """One rendering, with the pieces written so far."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def run(self, program: Program | None, scope: _Scope) -> None:
        """Write the statements of a program."""
        for node in program.body if program is not None else ():
            charge(STEP)
            if isinstance(node, Content):
                charge(len(node.value) // _PLAIN_TEXT)
                self.pieces.append(node.value)
            elif isinstance(node, Output):
                self._write(node, scope)
            elif isinstance(node, Block):
                self._block(node, scope)

    def _write(self, node: Output, scope: _Scope) -> None:
        text = to_text(self._call(node.call, scope))
        if node.is_escaped:
            escaped = escape(text)
            charge(len(escaped) - len(text))
            text = escaped
        self.pieces.append(text)

    def _block(self, block: Block, scope: _Scope) -> None:
        helper = helper_of(block.call, scope.names)
        if helper is None:
            self._section(block, self._path(block.call.path, scope), scope)
        elif helper.is_condition:
            self.run(block.program if self._apply(helper, block.call, scope) else block.inverse, scope)
        else:
            value = self._value(block.call.params[0], scope)
            if block.call.path.parts[0] == "each":
                self._each(block, value, scope)
            elif is_empty(value):
                self.run(block.inverse, scope)
            else:
                self._enter(block.program, value, scope, scope.data, (value,))

    def _section(self, block: Block, value: Any, scope: _Scope) -> None:
        """Write `{{#name}}`: the block for each element of a list, once for true, or once with another value as `this`."""
        if value is None or value is False or value == []:
            self.run(block.inverse, scope)
        elif value is True:
            self.run(block.program, scope)
        elif isinstance(value, list):
            self._each(block, value, scope)
        else:
            self._enter(block.program, value, scope, scope.data, ())

    def _each(self, block: Block, value: Any, scope: _Scope) -> None:
        count = len(value) if isinstance(value, list | dict) else 0
        if not count:
            self.run(block.inverse, scope)
        for index, (key, each) in enumerate(members(value)):
            charge(_ITERATION)
            own = {"key": key, "index": index, "first": index == 0, "last": index == count - 1}
            data = _Data({**scope.data.values, **own}, scope.data)
            self._enter(block.program, each, scope, data, (each, key))

    def _enter(
        self, program: Program | None, context: Any, scope: _Scope, data: _Data, values: tuple[Any, ...]
    ) -> None:
        """Write a program with another `this`. `../` leads to the scope around it, unless `this` stays the same."""
        if program is None:
            return
        outer = scope.outer if _is_same(context, scope.context) else scope
        names = scope.names
        if program.names:
            # All names are copied, including those of the blocks around.
            charge(ELEMENT * (len(names) + len(program.names)))
            padded = (*values, *(None for _ in program.names))
            names = {**names, **dict(zip(program.names, padded, strict=False))}
        self.run(program, _Scope(context, outer, data, names))

    def _call(self, call: Call, scope: _Scope) -> Any:
        helper = helper_of(call, scope.names)
        return self._path(call.path, scope) if helper is None else self._apply(helper, call, scope)

    def _apply(self, helper: Helper, call: Call, scope: _Scope) -> Any:
        values = [self._value(each, scope) for each in call.params]
        options = {name: self._value(each, scope) for name, each in call.options if name in helper.options}
        try:
            return helper.function(*values, **options)
        except WrongValue as error:
            raise Failed(call.path.at, str(error)) from error

    def _value(self, expression: Expression, scope: _Scope) -> Any:
        charge(STEP)
        match expression:
            case Literal(value=value):
                return value
            case Path():
                return self._path(expression, scope)
            case Call():
                return self._call(expression, scope)

    def _path(self, path: Path, scope: _Scope) -> Any:
        charge(ELEMENT * len(path.parts))
        parts = path.parts
        if path.is_data:
            value = _data(scope.data, path.depth)
        elif parts and not path.depth and not path.is_scoped and parts[0] in scope.names:
            value, parts = scope.names[parts[0]], parts[1:]
        else:
            value = _outside(scope, path.depth)
        for part in parts:
            if path.is_data and is_falsy(value):
                break  # as handlebars.js does, for values with @ only
            value = member(value, part)
        return value


def _outside(scope: _Scope | None, depth: int) -> Any:
    while depth and scope is not None:
        scope, depth = scope.outer, depth - 1
    return scope.context if scope is not None else None


def _data(data: _Data | None, depth: int) -> Any:
    while depth and data is not None:
        data, depth = data.outer, depth - 1
    return data.values if data is not None else None


def _is_same(left: Any, right: Any) -> bool:
    if isinstance(left, dict | list) or isinstance(right, dict | list):
        return left is right
    return are_equal(left, right)
