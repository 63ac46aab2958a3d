"""Read mailboxes as callers write them: `a@example.com`, `Name <a@example.com>`, objects, lists, and strings with several.

Domains become lower-case A-labels, so that one address has one spelling in policies, suppressions and routing. No message or
exception repeats an address; it gives its place and what is wrong with it.
"""

import re
from functools import lru_cache
from typing import Any

import msgspec

from relay.acceptance.draft import Limits
from relay.api.problems import Problems
from relay.api.text_checks import control_problem, ordinal
from relay.core.model import Address

EMPTY_SENDER = "<>"
"""The empty envelope sender (RFC 5321 section 4.5.5): no bounces are sent for the message."""
_ANGLED = re.compile(r"([^<>]*)<([^<>]*)>\s*", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SPECIAL = re.compile(r'\\.|[",;<>]', re.DOTALL)
_PARENTHESES = re.compile(r" \(.*\)", re.DOTALL)
_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN = re.compile(
    rf"(?=.{{3,254}}\Z){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?!(?:arpa|invalid|local|localhost|onion|test)\Z)[a-z]{{2,63}}"
)
"""Addresses that the library accepts unchanged; a test checks this. They need no library, whose import would delay the first
message by 25 ms."""


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """A mailbox and its place: a target, and a phrase for it when a string has several."""

    address: Address
    target: str
    words: str


class Unreadable(msgspec.Struct, frozen=True):
    """Why a text is not a mailbox: an error code, and a sentence that does not repeat the text."""

    code: str
    reason: str


def read_mailbox(value: Any, target: str, problems: Problems, limits: Limits) -> Address | None:
    """Read one mailbox; note what is wrong and return None. The shape check has already noted a wrong type."""
    if isinstance(value, str):
        found = mailbox(value, limits)
    elif isinstance(value, dict) and isinstance(value.get("email"), str):
        return _read_object(value, target, problems, limits)
    else:
        return None
    if isinstance(found, Unreadable):
        problems.add(found.code, target, found.reason)
        return None
    return found


def read_mailboxes(
    value: Any, target: str, problems: Problems, limits: Limits, *, limit: int, code: str = "too_many"
) -> list[Located]:
    """Read all mailboxes of a field that may have several. More than `limit` are one problem (`code`) and are not read."""
    if isinstance(value, list):
        items = [(item, f"{target}[{number}]", f"{target}[{number}]") for number, item in enumerate(value[: limit + 1])]
    elif isinstance(value, str):
        texts = split_list(value, limit + 1)
        several = len(texts) > 1
        items = [
            (text, target, f"the {ordinal(number)} address of {target}" if several else target)
            for number, text in enumerate(texts, 1)
        ]
    else:
        items = [(value, target, target)]
    found: list[Located] = []
    for item, at, words in items[:limit]:
        address = _read_one_of_many(item, at, words, problems, limits)
        if address is not None:
            found.append(Located(address=address, target=at, words=words))
    if len(items) > limit:
        problems.add(code, target, f"Too many addresses (limit {limit}). Send several messages.")
    return found


def count_mailboxes(value: Any, limit: int) -> int:
    """Count the mailboxes of a field without reading them, up to one more than `limit`."""
    if isinstance(value, list):
        return min(len(value), limit + 1)
    if isinstance(value, str):
        return len(split_list(value, limit + 1))
    return 0 if value is None else 1


def mailbox(text: str, limits: Limits) -> Address | Unreadable:
    """Read the mailbox in a text, or say why it is not one."""
    if len(text) > limits.max_address:
        return Unreadable("too_long", _too_long(limits))
    return _mailbox(text, limits.max_display_name)


def email_address(text: str) -> str:
    """Normalize an address. Raises `ValueError` with a sentence that does not repeat it."""
    found, reason = _checked(text)
    if reason:
        raise ValueError(reason)
    return found


def same_mailbox(email: str) -> str:
    """Fold the case of an address, to compare mailboxes. Local parts differ by case in theory only (RFC 5321 section 2.4)."""
    return email.casefold()


def _read_one_of_many(item: Any, target: str, words: str, problems: Problems, limits: Limits) -> Address | None:
    if words == target:
        return read_mailbox(item, target, problems, limits)
    found = mailbox(item, limits)
    if isinstance(found, Unreadable):
        hint = " A display name with a comma must be in quotes." if "@" not in item else ""
        problems.add(found.code, target, f"{words[0].upper()}{words[1:]} is not valid. {found.reason}{hint}")
        return None
    return found


def _read_object(value: dict[str, Any], target: str, problems: Problems, limits: Limits) -> Address | None:
    text = value["email"]
    email, reason = _checked(text) if len(text) <= limits.max_address else ("", _too_long(limits))
    if reason:
        problems.add("invalid_address", f"{target}.email", reason)
    name = value.get("name")
    if not isinstance(name, str):
        name = ""
    code, name_problem = _name_problem(name, limits.max_display_name)
    if name_problem:
        problems.add(code, f"{target}.name", name_problem)
    return None if reason or name_problem else Address(email=email, name=name.strip())


def split_list(text: str, limit: int) -> list[str]:
    """Split at commas and semicolons outside of quotes and angle brackets, and drop empty pieces."""
    if "," not in text and ";" not in text:
        return [text] if text.strip() else []
    parts: list[str] = []
    begin, is_quoted, is_angled = 0, False, False
    for found in _SPECIAL.finditer(text):
        character = found[0]
        if character == '"':
            is_quoted = not is_quoted
        elif is_quoted:
            continue
        elif character in "<>":
            is_angled = character == "<"
        elif character in ",;" and not is_angled:
            parts.append(text[begin : found.start()])
            begin = found.end()
            if len(parts) > 2 * limit:
                break
    parts.append(text[begin:])
    return [part for part in parts if part.strip()][:limit]


@lru_cache(maxsize=4096)
def _mailbox(text: str, name_limit: int) -> Address | Unreadable:
    if "<" not in text and ">" not in text:
        email, reason = _checked(text.strip())
        if reason and text.count("@") > 1 and ("," in text or ";" in text):
            reason = "Several addresses where exactly one is allowed."
        return Unreadable("invalid_address", reason) if reason else Address(email=email)
    name, angled = _name_and_angled(text)
    if angled is None:
        return Unreadable("invalid_address", 'Not a valid mailbox. Use the form "Ada Lovelace" <ada@example.com>.')
    email, reason = _checked(angled.strip())
    if reason:
        return Unreadable("invalid_address", reason)
    code, reason = _name_problem(name, name_limit)
    return Unreadable(code, reason) if reason else Address(email=email, name=name.strip())


def _name_and_angled(text: str) -> tuple[str, str | None]:
    """Return the display name and the text in angle brackets; None if quotes or brackets do not match."""
    found = _ANGLED.fullmatch(text)
    if found is not None:
        name = _unquoted(found[1].strip())
        return (name, found[2]) if name is not None else ("", None)
    # A quoted name may contain angle brackets.
    text = text.strip()
    quoted = _QUOTED.match(text)
    found = _ANGLED.fullmatch(text, quoted.end()) if quoted else None
    if quoted is None or found is None or found[1].strip():
        return "", None
    return _ESCAPED.sub(r"\1", quoted[1]), found[2]


def _unquoted(name: str) -> str | None:
    """Remove the quotes of a display name; None if they do not enclose all of it."""
    if '"' not in name:
        return name
    quoted = _QUOTED.fullmatch(name)
    return _ESCAPED.sub(r"\1", quoted[1]) if quoted else None


def _name_problem(name: str, limit: int) -> tuple[str, str]:
    if len(name) > limit:
        return "too_long", f"The display name is too long: {len(name)} characters (limit {limit})."
    if name and (problem := control_problem(name)):
        return "invalid_text", f"The display name {problem}. Remove it: a header cannot contain it."
    return "", ""


def _too_long(limits: Limits) -> str:
    return f"The address with its display name is too long (limit {limits.max_address} characters)."


@lru_cache(maxsize=8192)
def _checked(text: str) -> tuple[str, str]:
    """Return the normalized address, or why the text is not one."""
    if _PLAIN.fullmatch(text):
        return text, ""
    validate_email, invalid = _library()
    try:
        # Addresses under .test are for tests. This makes no DNS query.
        found = validate_email(text, check_deliverability=False, test_environment=True)
    except invalid as error:
        # The text in parentheses may repeat part of the address.
        return "", _PARENTHESES.sub("", str(error))
    return f"{found.local_part}@{found.ascii_domain}", ""


@lru_cache(maxsize=1)
def _library() -> tuple[Any, type[Exception]]:
    import email_validator

    # A company's own Exchange may serve a .local domain. The library documents this way to change its list.
    if "local" in email_validator.SPECIAL_USE_DOMAIN_NAMES:
        email_validator.SPECIAL_USE_DOMAIN_NAMES.remove("local")
    return email_validator.validate_email, email_validator.EmailNotValidError
