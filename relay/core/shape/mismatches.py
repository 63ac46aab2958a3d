"""Find every mismatch of a JSON value and a msgspec type.

`msgspec.convert` is fast and stops at the first mismatch. Where it refuses a value, `examine` walks the value along the same
type and collects all of them. Callers turn mismatches into their own error messages, and import this module only then.
"""

from collections.abc import Mapping, Sequence, Sized
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import UNSET, inspect

from relay.core.shape.check import member_names

MAX_ELEMENTS = 10_000
"""Check at most this many elements of an array or members of an object; no field allows more. In a value that does not fit
anyway, more of them are a mismatch themselves."""
MAX_VALUES = 100_000
"""Check at most this many values in all: a body of 60 MB has millions, and other requests wait while they are checked."""
_MAX_NAME = 64
"""Do not compare longer names with the known ones; the comparison is slow."""
_NAMES: Mapping[type, str] = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}
_EXPECTED: Mapping[type[inspect.Type], tuple[type, str]] = {
    inspect.BoolType: (bool, "true or false"),
    inspect.IntType: (int, "a whole number"),
    inspect.StrType: (str, "a string"),
    inspect.ListType: (list, "an array"),
    inspect.DictType: (dict, "an object"),
    inspect.StructType: (dict, "an object"),
    inspect.NoneType: (type(None), "null"),
}

type Kind = Literal["missing", "unknown", "type", "choice", "range", "size", "unchecked"]


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """A place where a value differs from its type; or `unchecked`: there were too many values to check all.

    `steps` lead to the place: names of members and indices of elements. `expected` says what fits ("a string", "from 1 to 9");
    for a missing member it is the member's description. `owner` is the struct that has the member or lacks it, `names` are
    the members that it knows.
    """

    kind: Kind
    steps: tuple[str | int, ...]
    value: Any = None
    expected: str = ""
    owner: type | None = None
    names: Sequence[str] = ()


def examine(value: object, shape: Any, *, null_is_absent: bool = False) -> tuple[Any, list[Mismatch]]:
    """Return the parts of the value that fit, and every mismatch, in the order of the type's fields.

    A required member that is null counts as missing. With `null_is_absent` a null counts as absent in other members too, and
    is left out of the returned value.
    """
    walk = _Walk(null_is_absent=null_is_absent)
    kept = walk.value(value, _type_info(shape), ())
    return kept, walk.found


def json_kind(value: object) -> str:
    """Name the JSON type of a value."""
    return _NAMES.get(type(value), "another type")


def near_name(name: str, names: Sequence[str]) -> str:
    """Return the known name that an unknown one resembles, or an empty string."""
    if len(name) > _MAX_NAME:
        return ""
    return next(iter(get_close_matches(name.lower(), names, n=1, cutoff=0.6)), "")


@cache
def _type_info(shape: Any) -> inspect.Type:
    return inspect.type_info(shape)


class _Walk:
    """Walks one value; collects the mismatches it meets."""

    def __init__(self, *, null_is_absent: bool) -> None:
        self._null_is_absent = null_is_absent
        self._left = MAX_VALUES
        self.found: list[Mismatch] = []

    def value(self, value: Any, info: inspect.Type, steps: tuple[str | int, ...], expected: str = "") -> Any:
        """Return the part of a value that fits; `UNSET` if nothing does."""
        if isinstance(info, inspect.Metadata):
            return self.value(value, info.type, steps, str((info.extra or {}).get("expected", expected)))
        if self._left <= 0:
            return self._leave_unchecked()
        self._left -= 1
        if isinstance(info, inspect.AnyType):
            return value
        if isinstance(info, inspect.UnionType):
            return self._union(value, info, steps, expected)
        if isinstance(info, inspect.LiteralType):
            return self._choice(value, info, steps)
        python_type, phrase = _EXPECTED[type(info)]
        if not _is_a(value, python_type):
            return self._mismatch("type", steps, value, expected or phrase)
        if isinstance(info, inspect.StructType):
            return self._object(value, info, steps)
        if isinstance(info, inspect.DictType):
            return self._map(value, info, steps)
        if isinstance(info, inspect.ListType):
            return self._array(value, info, steps)
        return self._number(value, info, steps) if isinstance(info, inspect.IntType) else value

    def _leave_unchecked(self) -> Any:
        if self._left == 0:
            self._left = -1
            self._mismatch("unchecked", (), None, f"at most {MAX_VALUES} values")
        return UNSET

    def _mismatch(self, kind: Kind, steps: tuple[str | int, ...], value: Any, expected: str) -> Any:
        self.found.append(Mismatch(kind=kind, steps=steps, value=value, expected=expected))
        return UNSET

    def _union(self, value: Any, info: inspect.UnionType, steps: tuple[str | int, ...], expected: str) -> Any:
        members = [each for each in info.types if not isinstance(each, inspect.NoneType)]
        if value is None and len(members) < len(info.types):
            return None
        if len(members) == 1:  # or null
            return self.value(value, members[0], steps, expected)
        kinds = {_EXPECTED[type(_bare(each))]: each for each in members}
        for (python_type, _), each in kinds.items():
            if _is_a(value, python_type):
                return self.value(value, each, steps)
        return self._mismatch("type", steps, value, expected or " or ".join(phrase for _, phrase in kinds))

    def _choice(self, value: Any, info: inspect.LiteralType, steps: tuple[str | int, ...]) -> Any:
        if isinstance(value, str | int) and not isinstance(value, bool) and value in info.values:
            return value
        return self._mismatch("choice", steps, value, ", ".join(map(str, info.values)))

    def _number(self, value: int, info: inspect.IntType, steps: tuple[str | int, ...]) -> Any:
        is_low, is_high = info.ge is not None and value < info.ge, info.le is not None and value > info.le
        if not (is_low or is_high):
            return value
        limits = (
            f"from {info.ge} to {info.le}" if info.ge is not None and info.le is not None else f"at least {info.ge}"
        )
        return self._mismatch("range", steps, value, limits)

    def _object(
        self, value: Mapping[str, Any], info: inspect.StructType, steps: tuple[str | int, ...]
    ) -> dict[str, Any]:
        fields = {field.encode_name: field for field in info.fields}
        kept: dict[str, Any] = {}
        for name, field in fields.items():
            member = value.get(name, UNSET)
            is_null = member is None and not _is_any(field.type) and (field.required or self._null_is_absent)
            is_absent = member is UNSET or is_null
            if is_absent and field.required:
                self._note("missing", (*steps, name), info, expected=_description(field.type))
            elif not is_absent and (found := self.value(member, field.type, (*steps, name))) is not UNSET:
                kept[name] = found
        for name in list(value)[:MAX_ELEMENTS]:
            if name not in fields:
                self._note("unknown", (*steps, name), info)
        return kept

    def _note(self, kind: Kind, steps: tuple[str | int, ...], info: inspect.StructType, expected: str = "") -> None:
        names = member_names(info.cls)
        self.found.append(Mismatch(kind=kind, steps=steps, expected=expected, owner=info.cls, names=names))

    def _map(self, value: Mapping[str, Any], info: inspect.DictType, steps: tuple[str | int, ...]) -> dict[str, Any]:
        if _is_any(info.value_type):
            return dict(value)
        self._check_size(value, steps)
        kept = {
            name: self.value(value[name], info.value_type, (*steps, name))
            for name in list(value)[:MAX_ELEMENTS]
            if self._left >= 0 and not (value[name] is None and self._null_is_absent)
        }
        return {name: each for name, each in kept.items() if each is not UNSET}

    def _array(self, value: Sequence[Any], info: inspect.ListType, steps: tuple[str | int, ...]) -> list[Any]:
        if _is_any(info.item_type):
            return list(value)
        self._check_size(value, steps)
        kept = [
            self.value(each, info.item_type, (*steps, n))
            for n, each in enumerate(value[:MAX_ELEMENTS])
            if self._left >= 0
        ]
        return [each for each in kept if each is not UNSET]

    def _check_size(self, value: Sized, steps: tuple[str | int, ...]) -> None:
        if len(value) > MAX_ELEMENTS:
            self._mismatch("size", steps, None, f"at most {MAX_ELEMENTS} elements")


def _is_a(value: object, python_type: type) -> bool:
    """Return whether the type is exactly this one: true and false are not numbers in JSON."""
    return type(value) is python_type


def _bare(info: inspect.Type) -> inspect.Type:
    while isinstance(info, inspect.Metadata):
        info = info.type
    return info


def _is_any(info: inspect.Type) -> bool:
    return isinstance(_bare(info), inspect.AnyType)


def _description(info: inspect.Type) -> str:
    said = info.extra_json_schema or {} if isinstance(info, inspect.Metadata) else {}
    return str(said.get("description", ""))
