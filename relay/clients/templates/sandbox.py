"""Run Jinja2 in a sandbox. Only this module and `filters` import it.

Operators write templates, and clients send the values that fill them in. Neither may reach Python's internals, the file system
or another template, and neither may keep the process busy: everything that repeats, grows or is compared is charged to a
budget of work (`relay.rendering.work`).
Source: jinja.palletsprojects.com/en/stable/sandbox/ ("Security Considerations").
"""

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import islice
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from relay.clients.templates import filters
from relay.rendering.errors import NoTemplate, Unrenderable, WrongValue, excerpt
from relay.rendering.work import (
    BACKTRACKING,
    STEP,
    Exhausted,
    Unwritable,
    WorkBudget,
    charge,
    charge_all,
    charge_length,
    exhausted,
    length,
    rendering,
    work_left,
)

_EXPRESSION = 5
_CALL = 400
_PLAIN_TEXT = 8
"""Characters of a template's own text that cost as much as one of a value: they are only copied."""
_MAX_BITS = 512
_REACHING_OUT = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
_BODIES = (nodes.Macro, nodes.CallBlock, nodes.Block)
"""Parts of a template besides loops that may run several times."""
_METHODS = frozenset(
    [
        "lower",
        "upper",
        "title",
        "capitalize",
        "strip",
        "lstrip",
        "rstrip",
        "startswith",
        "endswith",
        "split",
        "items",
        "keys",
        "values",
        "get",
        "count",
        "index",
    ]
)
"""Methods of strings, numbers, lists and objects that a template may call."""
_PLAIN = (str, bytes, int, float, list, tuple, dict)


class Part:
    """A compiled source. `names` are the variables that it reads and does not set."""

    def __init__(self, source: str, *, is_html: bool) -> None:
        """Raises `NoTemplate`."""
        environment = _environment(is_html=is_html)
        try:
            tree = environment.parse(source)
            self.names = frozenset(meta.find_undeclared_variables(tree)) - environment.globals.keys()
            _check(tree)
            self._template = environment.from_string(source)
        except NoTemplate:
            raise
        except TemplateSyntaxError as error:
            raise NoTemplate(f"Line {error.lineno}: {excerpt(error.message or 'not a valid template')}") from error
        except Exception as error:
            raise NoTemplate("The template is nested too deeply to be compiled.") from error

    def render(self, variables: Mapping[str, Any], budget: WorkBudget, locale: str = "en") -> str:
        """Render the template with variables and the formats of a locale. Raises `Unrenderable`."""
        try:
            with rendering(budget, locale):
                return "".join(self._generate(variables))
        except Exhausted as error:
            raise Unrenderable(exhausted(budget)) from error
        except (SecurityError, Unwritable) as error:
            raise Unrenderable("It does what templates may not do: only values are open to them.") from error
        except UndefinedError as error:
            raise Unrenderable(f"The template reads an undefined variable: {excerpt(str(error))}") from error
        except WrongValue as error:
            raise Unrenderable(f"It fails with these variables: {excerpt(str(error))}") from error
        except Exception as error:
            raise Unrenderable(f"It fails with these variables ({type(error).__name__}).") from error

    def _generate(self, variables: Mapping[str, Any]) -> Iterable[str]:
        for piece in self._template.generate(dict(variables)):
            charge(1 + len(piece) // _PLAIN_TEXT)
            yield piece


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox, with limits on work and on the growth of values."""

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "%", "**"])

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, _PLAIN) and attr not in _METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, tuple):
            charge_all(argument)  # hashed with everything in it
        return super().getitem(obj, argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        is_number = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "**" or not (is_number or operator == "+"):
            raise SecurityError(operator)
        if is_number and any(isinstance(each, int) and each.bit_length() > _MAX_BITS for each in (left, right)):
            raise SecurityError(operator)
        charge_length(left, right)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        owner = getattr(obj, "__self__", None)
        if owner is not self:
            charge(_CALL)
            _charge_call(owner, (*args, *kwargs.values()))
        return super().call(context, obj, *args, **kwargs)

    def counted(self, items: Iterable[Any], characters: int) -> list[Any]:
        """Charge a loop in advance: each step, and the plain characters in it."""
        cost = STEP + characters
        found = list(islice(items, work_left() // cost + 1))
        charge(cost * len(found))
        return found

    def entered(self, cost: int) -> str:
        """Charge the content of a macro or block each time it runs."""
        charge(cost)
        return ""

    def assigned(self, value: Any) -> Any:
        """Charge a value that is copied: a variable is set to it, or a slice is cut from it."""
        charge_length(value)
        return value

    def read(self, value: Any) -> Any:
        """Charge a value that is written or compared, with everything in it."""
        charge_all(value)
        return value

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        # Jinja2 documents this method for changing the generated code.
        for loop in list(source.find_all(nodes.For)):
            loop.iter = self._through("counted", loop.iter, nodes.Const(_static_cost(loop)))
        bodies = [(body, _static_cost(body)) for body in source.find_all(_BODIES)]
        self._charge_reads(source)
        for body, cost in bodies:
            body.body.insert(  # type: ignore[attr-defined] # each of these has a body
                0, nodes.ExprStmt(self._through("entered", nodes.Const(cost)), lineno=body.lineno)
            )
        source.set_environment(self)
        return super()._generate(source, *args, **kwargs)

    def _charge_reads(self, source: nodes.Template) -> None:
        for assignment in list(source.find_all(nodes.Assign)):
            assignment.node = self._through("assigned", assignment.node)
        for cut in list(source.find_all(nodes.Getitem)):
            if isinstance(cut.arg, nodes.Slice):
                cut.node = self._through("assigned", cut.node)
        for joined in list(source.find_all(nodes.Concat)):
            joined.nodes = [self._through("read", node) for node in joined.nodes]
        for comparison in list(source.find_all(nodes.Compare)):
            comparison.expr = self._through("read", comparison.expr)
            for operand in comparison.ops:
                operand.expr = self._through("read", operand.expr)
        for pair in list(source.find_all(nodes.Pair)):
            pair.key = self._through("read", pair.key)

    def _through(self, name: str, *values: Any) -> Any:
        if isinstance(values[0], nodes.Const) and name == "read":
            return values[0]
        function = nodes.EnvironmentAttribute(name)
        return nodes.Call(function, list(values), [], None, None, lineno=values[0].lineno)


def _static_cost(part: nodes.Node) -> int:
    """Return the cost of a part of a template each time it runs, without the cost of its values."""
    plain = sum(len(text.data) for text in part.find_all(nodes.TemplateData))
    return plain // _PLAIN_TEXT + _EXPRESSION * sum(1 for _ in part.find_all(nodes.Expr))


def _charge_call(owner: Any, arguments: Iterable[Any]) -> None:
    if isinstance(owner, list | tuple):
        charge_all(owner, *arguments)  # `count` and `index` compare
    elif isinstance(owner, str):
        # `strip` looks for each character among those given.
        charge(length(owner) * (BACKTRACKING + sum(map(length, arguments))) // BACKTRACKING)
    else:
        charge(length(owner))
        charge_all(*arguments)


@cache
def _environment(*, is_html: bool) -> _Environment:
    environment = _Environment(
        autoescape=is_html,
        undefined=StrictUndefined,
        finalize=_put_out,
        optimized=False,  # constant folding at compile time would not be charged
        keep_trailing_newline=True,
    )
    environment.filters = {**filters.filters()}
    environment.tests = {**filters.tests()}
    environment.globals = {"range": _range, "namespace": environment.globals["namespace"]}
    return environment


def _put_out(value: Any) -> Any:
    """Convert a value for output: null becomes nothing."""
    charge_all(value)
    return "" if value is None else value


def _range(*bounds: int) -> range:
    found = range(*bounds)
    charge(STEP * len(found))
    return found


def _check(tree: nodes.Template) -> None:
    for node in tree.find_all((*_REACHING_OUT, nodes.For)):
        if isinstance(node, _REACHING_OUT):
            raise NoTemplate(f"Line {node.lineno}: a template stands alone; it cannot include or extend another.")
        if isinstance(node, nodes.For) and node.recursive:
            raise NoTemplate(f"Line {node.lineno}: a loop cannot be recursive.")
