"""Find the operation of a method and a path in a tree of segments: compiling patterns would slow down the cold start."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import msgspec

from relay.core.errors import Refusal


class Found[T](msgspec.Struct, frozen=True, kw_only=True):
    """The target of a path, and the values of its variable segments."""

    target: T
    values: dict[str, str]


class Router[T]:
    """Paths such as `/v1/messages/{id}`; `{name}` is one segment, `{*name}` all that follow. Fixed segments win."""

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}
        self._fixed: dict[tuple[str, str], T] = {}
        """Targets of paths without variables, which need no walk."""

    def add(self, method: str, path: str, target: T) -> None:
        """Add the target of a method and a path."""
        if "{" not in path:
            self._fixed[method, path] = target
        node = self._root
        for segment in segments(path):
            node = node.setdefault("{" if segment.startswith("{") else segment, {})
            if segment.startswith("{"):
                node.setdefault("name", segment[1:-1])
        node.setdefault("/", {})[method] = target

    def find(self, method: str, path: str) -> Found[T]:
        """Return the target. Raises `Refusal`: 404 for an unknown path, 405 for a method that the path does not have."""
        values: dict[str, str] = {}
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return Found(target=fixed, values=values)
        node = _walk(self._root, segments(path), values)
        methods: dict[str, T] | None = None if node is None else node.get("/")
        if not methods:
            raise unknown_path()
        chosen = method if method in methods else "GET" if method == "HEAD" else method
        if chosen not in methods:
            allowed = ", ".join(sorted(methods))
            raise Refusal(
                405,
                "method_not_allowed",
                f"Method {method} is not allowed here. Use {allowed}.",
                headers={"Allow": allowed},
            )
        return Found(target=methods[chosen], values=values)


def unknown_path() -> Refusal:
    """Return the refusal of a path that no operation has."""
    return Refusal(404, "not_found", "Unknown path. See /docs for the operations.")


def segments(path: str) -> list[str]:
    """Split a path, and drop empty segments."""
    return [segment for segment in path.split("/") if segment]


def _walk(node: dict[str, Any], segments: Sequence[str], values: dict[str, str]) -> dict[str, Any] | None:
    for at, segment in enumerate(segments):
        if segment in node and segment not in ("{", "/", "name"):
            node = node[segment]
            continue
        if "{" not in node:
            return None
        node = node["{"]
        name = node["name"]
        if name.startswith("*"):
            values[name[1:]] = "/".join(segments[at:])
            return node
        values[name] = unquote(segment)
    return node
