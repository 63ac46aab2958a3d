"""Run Jinja2 in a sandbox. The only module that imports it.

Templates are written by operators and filled in with what clients send. Neither may reach Python's inside, the file system
or another template, and neither may keep the process busy: everything that repeats or grows is charged to a budget of
work, so that a rendering ends after the same number of steps on any machine.
Source: jinja.palletsprojects.com/en/stable/sandbox/ ("Security Considerations").
"""

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from functools import cache, wraps
from itertools import islice
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError, meta, nodes, pass_eval_context
from jinja2.exceptions import SecurityError
from jinja2.filters import do_join
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import htmlsafe_json_dumps

MAX_WORK = 4_000_000
"""The work of one rendering of one part, in characters and elements: about a second at worst."""
_STEP = 20
_EXPRESSION = 5
_CALL = 400
_MAX_ERROR_CHARS = 200
_REACHING_OUT = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
_FILTERS = [
    "abs",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "forceescape",
    "groupby",
    "int",
    "items",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "sort",
    "string",
    "striptags",
    "sum",
    "title",
    "trim",
    "truncate",
    "unique",
    "upper",
    "urlencode",
    "urlize",
    "wordcount",
]
"""Jinja2's filters, except those that pad, repeat or format to any width (`center`, `indent`, `format`, `batch` …)."""
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


class NoTemplate(ValueError):
    """The source is not a valid template; the text gives the line and the reason."""


class Unrenderable(Exception):
    """The template cannot be rendered with these variables; the text gives the reason, without any value."""


class _Exhausted(Exception):
    """The rendering exceeded its budget of work."""


class _Budget:
    def __init__(self) -> None:
        self.left = MAX_WORK

    def charge(self, work: int) -> None:
        self.left -= work
        if self.left < 0:
            raise _Exhausted


_BUDGET: ContextVar[_Budget] = ContextVar("budget")


def _charge(work: int) -> None:
    _BUDGET.get().charge(work)


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
            raise NoTemplate(f"Line {error.lineno}: {_excerpt(error.message or 'not a valid template')}") from error
        except Exception as error:
            raise NoTemplate("The template is nested too deeply to be compiled.") from error

    def render(self, variables: Mapping[str, Any]) -> str:
        """Render the template with variables. Raises `Unrenderable`."""
        token = _BUDGET.set(_Budget())
        try:
            return "".join(self._generate(variables))
        except _Exhausted as error:
            text = f"Filling it in takes more than {MAX_WORK} steps and characters; it repeats too much."
            raise Unrenderable(text) from error
        except SecurityError as error:
            raise Unrenderable("It does what templates may not do: only values are open to them.") from error
        except UndefinedError as error:
            raise Unrenderable(f"The template reads an undefined variable: {_excerpt(str(error))}") from error
        except Exception as error:
            raise Unrenderable(f"It fails with these variables ({type(error).__name__}).") from error
        finally:
            _BUDGET.reset(token)

    def _generate(self, variables: Mapping[str, Any]) -> Iterable[str]:
        for piece in self._template.generate(dict(variables)):
            _charge(len(piece))
            yield piece


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox, with limits on the growth of values."""

    intercepted_binops = frozenset(["*", "**", "%"])

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, _PLAIN) and attr not in _METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise SecurityError(operator)
        if max(abs(left), abs(right)) > MAX_WORK**2:
            raise SecurityError(operator)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        owner = getattr(obj, "__self__", None)
        if owner is not self:
            _charge(_CALL + _size(owner))
        return super().call(context, obj, *args, **kwargs)

    def counted(self, items: Iterable[Any], characters: int) -> list[Any]:
        """Charge a loop in advance: each step, and the plain characters in it."""
        budget = _BUDGET.get()
        cost = _STEP + characters
        found = list(islice(items, budget.left // cost + 1))
        budget.charge(cost * len(found))
        return found

    def assigned(self, value: Any) -> Any:
        """Charge a value that a variable is set to, or that `in` searches."""
        _charge(1 + _size(value))
        return value

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        # Jinja2 documents this method for changing the generated code.
        for loop in list(source.find_all(nodes.For)):
            plain = sum(len(text.data) for text in loop.find_all(nodes.TemplateData))
            inner = sum(1 for _ in loop.find_all(nodes.Expr))
            loop.iter = self._through("counted", loop.iter, nodes.Const(plain + _EXPRESSION * inner))
        for assignment in list(source.find_all(nodes.Assign)):
            assignment.node = self._through("assigned", assignment.node)
        for operand in list(source.find_all(nodes.Operand)):
            if operand.op in ("in", "notin"):
                operand.expr = self._through("assigned", operand.expr)
        source.set_environment(self)
        return super()._generate(source, *args, **kwargs)

    def _through(self, name: str, *values: nodes.Node) -> nodes.Call:
        function = nodes.EnvironmentAttribute(name)
        return nodes.Call(function, list(values), [], None, None, lineno=values[0].lineno)


@cache
def _environment(*, is_html: bool) -> _Environment:
    environment = _Environment(
        autoescape=is_html,
        undefined=StrictUndefined,
        finalize=_put_out,
        optimized=False,  # constant folding at compile time would not be charged
        keep_trailing_newline=True,
    )
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    environment.filters |= {"join": _join, "replace": _replace, "tojson": _tojson}
    environment.filters = {name: _charged(function) for name, function in environment.filters.items()}
    environment.globals = {"range": _range, "namespace": environment.globals["namespace"]}
    return environment


def _charged(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a filter so that its input is charged."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        _charge(_STEP + sum(map(_size, args)))
        return function(*args, **kwargs)

    return call


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | list | tuple | dict) else 0


def _put_out(value: Any) -> Any:
    """Convert a value for output: null becomes nothing."""
    if isinstance(value, str):
        _charge(len(value))
    return "" if value is None else value


def _range(*bounds: int) -> range:
    found = range(*bounds)
    _charge(_STEP * len(found))
    return found


@pass_eval_context
def _join(context: nodes.EvalContext, value: Iterable[Any], separator: str = "") -> str:
    items = list(value)
    _charge(sum(len(str(each)) + len(separator) for each in items))
    joined: str = do_join(context, items, separator)
    return joined


def _replace(value: Any, old: str, new: str) -> str:
    text = value if isinstance(value, str) else str(value)
    _charge(len(text) + (text.count(str(old)) + 1) * len(str(new)))
    return text.replace(old, new)


def _tojson(value: Any) -> str:
    """Encode JSON that is safe in HTML, without an indent."""
    return htmlsafe_json_dumps(value)


def _check(tree: nodes.Template) -> None:
    for node in tree.find_all((*_REACHING_OUT, nodes.For)):
        if isinstance(node, _REACHING_OUT):
            raise NoTemplate(f"Line {node.lineno}: a template stands alone; it cannot include or extend another.")
        if isinstance(node, nodes.For) and node.recursive:
            raise NoTemplate(f"Line {node.lineno}: a loop cannot be recursive.")


def _excerpt(text: str) -> str:
    shown = text if text.isprintable() else ascii(text)
    return f"{shown[:_MAX_ERROR_CHARS].rstrip('.')}."
