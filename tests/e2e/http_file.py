"""Reads a `.http` file as httpYac does, as far as this project uses its language."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

_VARIABLE = re.compile(r"\{\{(.+?)\}\}")
_EXPECTATION = re.compile(r"^\?\? status (==|matches) (.+)$", re.MULTILINE)


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A request as written, and a pattern for its expected status. Other requests refer to its response by `name`."""

    title: str
    name: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: str
    status: str


def read(path: Path) -> tuple[dict[str, str], list[Written]]:
    """Return the variables and the requests of the file, in order."""
    first, *parts = re.split(r"^### ", path.read_text(), flags=re.MULTILINE)
    variables = dict(re.findall(r"^@(\w+) = (.+)$", first, flags=re.MULTILINE))
    return variables, [_request(part) for part in parts]


def filled(text: str, values: Callable[[str], str]) -> str:
    """Replace every `{{…}}` in a text."""
    return _VARIABLE.sub(lambda match: values(match[1]), text)


def value_of(expression: str, variables: Mapping[str, str], responses: Mapping[str, Any], key: str) -> str:
    """Return the value of an expression. Raises `KeyError` if it is undefined."""
    if expression == "$processEnv RELAY_KEY":
        return key
    if expression.startswith("$datetime iso8601"):
        days = int(expression.split()[2])
        return (datetime.now(UTC) + timedelta(days=days)).isoformat()
    name, _, member = expression.partition(".")
    return str(responses[name][member]) if member else variables[name]


def _request(part: str) -> Written:
    title, _, rest = part.partition("\n")
    [(relation, expected)] = _EXPECTATION.findall(rest)
    names = re.findall(r"^# @name (\w+)$", rest, flags=re.MULTILINE)
    lines = list(_without_notes(rest))
    method, _, url = lines[0].partition(" ")
    end = lines.index("")
    headers = dict(line.split(": ", 1) for line in lines[1:end])
    return Written(
        title=title,
        name=names[0] if names else "",
        method=method,
        url=url,
        headers=headers,
        body="\n".join(lines[end:]).strip(),
        status=expected if relation == "matches" else f"^{expected}$",
    )


def _without_notes(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.startswith(("#", "??")):
            yield line
