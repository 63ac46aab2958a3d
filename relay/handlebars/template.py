"""A Handlebars template, parsed and checked."""

from collections.abc import Iterator, Mapping
from typing import Any

from relay.handlebars.evaluation import Failed, evaluate, helper_of
from relay.handlebars.helpers import HELPERS
from relay.handlebars.lexer import SyntaxProblem
from relay.handlebars.parser import parse
from relay.handlebars.tree import Block, Call, Output, Program
from relay.rendering.errors import NoTemplate, Unrenderable, excerpt
from relay.rendering.work import Exhausted, WorkBudget, exhausted, rendering


class Part:
    """A parsed source. `names`, the variables that it needs, is empty, because a missing variable is written as nothing."""

    names: frozenset[str] = frozenset()

    def __init__(self, source: str) -> None:
        """Parse and check a source. Raises `NoTemplate`."""
        self._source = source
        try:
            self._program = parse(source)
            for call, is_block in _calls(self._program):
                _check(call, is_block=is_block)
        except SyntaxProblem as problem:
            raise NoTemplate(f"{_place(source, problem.at)}: {excerpt(problem.reason)}") from problem

    def render(self, variables: Mapping[str, Any], budget: WorkBudget, locale: str = "en") -> str:
        """Render the template with variables and the formats of a locale. Raises `Unrenderable`."""
        try:
            with rendering(budget, locale):
                return "".join(evaluate(self._program, variables))
        except Exhausted as error:
            raise Unrenderable(exhausted(budget)) from error
        except Failed as error:
            raise Unrenderable(f"{_place(self._source, error.at)}: {excerpt(str(error))}") from error
        except Exception as error:
            raise Unrenderable(f"It fails with these variables ({type(error).__name__}).") from error


def _place(source: str, at: int) -> str:
    before = source[:at]
    return f"Line {before.count('\n') + 1}, column {at - before.rfind('\n')}"


def _calls(program: Program | None) -> Iterator[tuple[Call, bool]]:
    """Yield every call of a tree, and whether it opens a block."""
    for node in program.body if program is not None else ():
        if isinstance(node, Output | Block):
            yield node.call, isinstance(node, Block)
            yield from ((inner, False) for inner in _nested(node.call))
        if isinstance(node, Block):
            yield from _calls(node.program)
            yield from _calls(node.inverse)


def _nested(call: Call) -> Iterator[Call]:
    for each in (*call.params, *(value for _, value in call.options)):
        if isinstance(each, Call):
            yield each
            yield from _nested(each)


def _check(call: Call, *, is_block: bool) -> None:
    """Raise `SyntaxProblem` for a helper that does not exist or is used wrongly."""
    name, at = call.path.original, call.path.at
    helper = helper_of(call, ())
    if helper is None:
        if call.is_helper:
            known = ", ".join(sorted(HELPERS))
            raise SyntaxProblem(at, f"there is no helper {name} (helpers: {known})")
        return
    if helper.is_block and not is_block:
        raise SyntaxProblem(at, f"{name} opens a block: {{{{#{name} …}}}}")
    if is_block and not (helper.is_block or helper.is_condition):
        raise SyntaxProblem(at, f"{name} gives a value and opens no block")
    if not helper.minimum <= len(call.params) <= helper.maximum:
        expected = str(helper.minimum) + (f" to {helper.maximum}" if helper.maximum > helper.minimum else "")
        raise SyntaxProblem(at, f"{name} takes {expected} values, here it has {len(call.params)}")
