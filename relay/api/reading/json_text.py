"""Bytes to JSON values, with nothing let through that is not JSON (RFC 8259) or means two things.

The standard library's scanner is used because it says where a text stops being JSON and shows every name of an object;
what it reads more liberally than the RFC (NaN, repeated names, halves of surrogate pairs) is refused here.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NoReturn

import msgspec

from relay.api.problems import WHOLE, Problems, member, printable
from relay.core.errors import Refusal

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HINTS = {
    "Invalid control character at": "a text has a raw line break, tab or control character; write \\n, \\t or \\u00XX",
    "Expecting property name enclosed in double quotes": "a name in double quotes is expected",
    "Illegal trailing comma before end of object": "there is a comma after the last member of an object",
    "Illegal trailing comma before end of array": "there is a comma after the last element of a list",
    "Expecting ',' delimiter": "a comma or a closing bracket is expected",
    "Expecting ':' delimiter": "a colon is expected after the name",
    "Expecting value": "a value is expected",
    "Unterminated string starting at": "a text begins here and its closing quote is missing",
    "Extra data": "the JSON value ends before this, and something follows it",
}


class _Repeated(ValueError):
    """An object names a member twice."""


class _NotFinite(ValueError):
    """NaN or an infinity."""


def check_content_type(content_type: str) -> None:
    """Raise `Refusal` (415) unless this is JSON in UTF-8."""
    reason = _type_fault(content_type)
    if reason:
        raise Refusal(415, "unsupported_media_type", reason, target="Content-Type")


def read_json(body: bytes, limit: int, faults: Problems) -> Any:
    """The body's value. Repeated names and halves of surrogate pairs become faults; raises `Refusal` for what is not JSON."""
    if len(body) > limit:
        text = f"The body has {len(body)} bytes; at most {limit} are read. Store large files with POST /v1/attachments."
        raise Refusal(413, "message_too_large", text, target=WHOLE)
    if not body.strip(b" \t\r\n"):
        raise Refusal(
            400, "empty_body", "The request has no body; send a JSON object, with its Content-Length.", target=WHOLE
        )
    text = _text(body)
    try:
        value = _decode(text, faults)
        return _without_surrogates(value, faults) if _SURROGATE_ESCAPE.search(body) else value
    except RecursionError as error:
        raise _refusal("too_deep", "The JSON is nested too deeply to be read.") from error


def nodes(value: Any, target: str) -> Iterator[tuple[Any, str, int]]:
    """Every value within a JSON value, itself first: with its target and its depth (0 for itself)."""
    waiting = [(value, target, 0)]
    while waiting:
        node, at, depth = waiting.pop()
        yield node, at, depth
        if isinstance(node, dict):
            waiting += [(child, member(at, key), depth + 1) for key, child in reversed(node.items())]
        elif isinstance(node, list):
            waiting += [(child, f"{at}[{n}]", depth + 1) for n, child in reversed(list(enumerate(node)))]


@lru_cache(maxsize=64)
def _type_fault(content_type: str) -> str:
    kind, _, parameters = content_type.lower().partition(";")
    kind = kind.strip()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        said = "no Content-Type" if not kind else "another Content-Type"
        return f"The request has {said}; send JSON with `Content-Type: application/json`."
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8", "us-ascii"):
            return "The Content-Type names another charset; JSON is UTF-8 (RFC 8259 section 8.1)."
    return ""


def _text(body: bytes) -> str:
    try:
        return body.removeprefix(_BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        place = f"byte {error.start + 1}, in line {line}"
        raise _refusal("malformed_json", f"The body is not UTF-8 at {place}. Encode JSON as UTF-8.") from error


def _decode(text: str, faults: Problems) -> Any:
    try:
        return _decode_once_or_again(text, faults)
    except json.JSONDecodeError as error:
        hint = _HINTS.get(error.msg, error.msg[:1].lower() + error.msg[1:])
        place = f"line {error.lineno}, column {error.colno}"
        raise _refusal("malformed_json", f"The body is not JSON at {place}: {hint}.") from error
    except _NotFinite as error:
        raise _refusal("malformed_json", f"The body has {error}, which is no number that can be kept.") from error
    except ValueError as error:  # more digits than Python turns into an integer
        raise _refusal("malformed_json", "The body has a number with thousands of digits.") from error


def _refusal(code: str, message: str) -> Refusal:
    return Refusal(400, code, message, target=WHOLE)


def _not_finite(name: str) -> NoReturn:
    raise _NotFinite(name)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Repeated
    return members


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _NotFinite("a number of more than 308 digits")
    return number


_decoder = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_not_finite, parse_float=_finite)


def _decode_once_or_again(text: str, faults: Problems) -> Any:
    try:
        return _decoder.decode(text)
    except _Repeated:
        return _decode_repeated(text, faults)


def _decode_repeated(text: str, faults: Problems) -> Any:
    """Read again, now noting which objects repeat which names; the last one counts for the further checks.

    What the first reading had not come to may still be no JSON.
    """
    repeated: dict[int, list[str]] = {}
    kept: list[dict[str, Any]] = []  # so that no id is used twice

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            counts = Counter(name for name, _ in pairs)
            repeated[id(found)] = [name for name, count in counts.items() if count > 1]
            kept.append(found)
        return found

    value = json.JSONDecoder(object_pairs_hook=members, parse_constant=_not_finite).decode(text)
    for node, target, _ in nodes(value, ""):
        for name in repeated.get(id(node), ()):
            at = member(target, name)
            text = f"The name '{printable(name)[:80]}' occurs twice in one object; it can have only one value."
            faults.add("duplicate_key", at, text)
    return value


def _without_surrogates(value: Any, faults: Problems) -> Any:
    """Note texts with half of a surrogate pair, which no encoding can carry; the rest is checked with `?` there."""
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError:
        pass
    else:
        return value
    text = "The text has half of a surrogate pair (\\ud800 to \\udfff alone), which is no character. Send both halves."
    for node, target, _ in nodes(value, ""):
        has_names = isinstance(node, dict) and any(_SURROGATE.search(name) for name in node)
        if has_names or (isinstance(node, str) and _SURROGATE.search(node)):
            faults.add("invalid_text", target or WHOLE, text)
    replaced = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    return json.loads(replaced)
