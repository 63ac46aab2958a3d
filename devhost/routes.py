"""Match ASP.NET route templates, as HTTP triggers use them: literals, `{name}`, constraints, optional and catch-all.

A wrong method is no match, so the response is 404 and not 405: in the genuine host, methods are a route constraint.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

import msgspec

from devhost.settings import FunctionConfigurationError

CONSTRAINTS = {
    "int": r"[+-]?\d+",
    "long": r"[+-]?\d+",
    "bool": r"(?:[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])",
    "guid": r"\{?[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?",
    "alpha": r"[A-Za-z]*",
    "decimal": r"[+-]?\d+(?:\.\d+)?",
    "double": r"[+-]?\d+(?:\.\d+)?",
    "float": r"[+-]?\d+(?:\.\d+)?",
}
_PARAMETER = re.compile(r"\{(\*{0,2})([A-Za-z_][\w-]*)((?::[^{}]+?(?:\(.*?\))?)*)(\?)?\}")


class Route[Target](msgspec.Struct, frozen=True, kw_only=True):
    """A compiled template. No `methods` means every method."""

    template: str
    methods: frozenset[str]
    target: Target
    pattern: re.Pattern[str]
    precedence: tuple[int, ...]


class RouteTable[Target]:
    """Finds the target for a method and a path, the most specific template first."""

    def __init__(self, routes: Sequence[Route[Target]]) -> None:
        ordered = sorted(routes, key=lambda route: route.precedence)
        # A template of literals outranks every other for its path, and a lookup is faster than a list of expressions.
        self._literal = [(r.template.lower(), r) for r in ordered if all(rank == 1 for rank in r.precedence)]
        self._literal_paths = {path for path, _ in self._literal}
        self._open = [route for route in ordered if any(rank > 1 for rank in route.precedence)]

    def match(self, method: str, path: str) -> tuple[Target, dict[str, str]] | None:
        """Return the target and its route values; None if no template matches this method and path.

        `path` is the raw path. It is decoded except for %2F, and empty values are dropped.
        """
        trimmed = _decoded(path).strip("/")
        if (lowered := trimmed.lower()) in self._literal_paths:
            for literal, route in self._literal:
                if literal == lowered and (not route.methods or method in route.methods):
                    return route.target, {}
        for route in self._open:
            if route.methods and method not in route.methods:
                continue
            found = route.pattern.fullmatch(trimmed)
            if found is not None:
                return route.target, {k: v for k, v in found.groupdict().items() if v}
        return None


def _decoded(path: str) -> str:
    if "%" not in path:
        return path
    return unquote(re.sub("%2f", "%252F", path, flags=re.IGNORECASE))


def compile_route[Target](template: str, methods: Sequence[str], target: Target) -> Route[Target]:
    """Compile `prefix/route`. Raises FunctionConfigurationError for unsupported syntax."""
    pattern, precedence = "", []
    for segment in [part for part in template.strip("/").split("/") if part]:
        text, rank, optional = _segment(segment, template)
        slash = "/" if pattern else ""
        pattern += f"(?:{slash}{text})?" if optional else slash + text
        precedence.append(rank)
    try:
        compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    except re.error as error:
        raise FunctionConfigurationError(f"The route template '{template}' is not understood: {error}.") from error
    return Route(
        template=template.strip("/"),
        methods=frozenset(method.upper() for method in methods),
        target=target,
        pattern=compiled,
        # Compared segment by segment: a literal before a parameter, and a shorter template before a longer one.
        precedence=tuple(precedence),
    )


def _segment(segment: str, template: str) -> tuple[str, int, bool]:
    """Return a segment's expression, rank (literal 1, mixed 2, constrained 3, plain 4, catch-all 5), optional or not."""
    whole = _PARAMETER.fullmatch(segment)
    if whole is None:
        return _mixed_segment(segment, template)
    stars, name, constraints, question = whole.groups()
    group = _group_name(name, template)
    if stars:
        return f"(?P<{group}>.*)", 5, True
    body = _constraint(constraints, template)
    return f"(?P<{group}>{body or '[^/]+'})", 3 if body else 4, bool(question)


def _mixed_segment(segment: str, template: str) -> tuple[str, int, bool]:
    pattern, last, count = "", 0, 0
    for found in _PARAMETER.finditer(segment):
        group = _group_name(found[2], template)
        pattern += re.escape(segment[last : found.start()]) + f"(?P<{group}>[^/]+?)"
        last, count = found.end(), count + 1
    rest = segment[last:]
    if "{" in rest or "}" in rest:
        raise FunctionConfigurationError(f"The route template '{template}' is not understood at '{segment}'.")
    return pattern + re.escape(rest), 2 if count else 1, False


def _constraint(text: str, template: str) -> str:
    names = [name for name in text.split(":") if name]
    if len(names) > 1 or any(name not in CONSTRAINTS for name in names):
        raise FunctionConfigurationError(f"The route constraint '{text}' in '{template}' is not supported here.")
    return CONSTRAINTS[names[0]] if names else ""


def _group_name(name: str, template: str) -> str:
    if not name.isidentifier():
        raise FunctionConfigurationError(f"The route parameter '{name}' in '{template}' is not supported here.")
    return name
