"""Mailboxes as callers write them: `a@example.com`, `Name <a@example.com>`, objects, lists, and texts with several.

Domains become lower-case A-labels, so that one address has one spelling in policies, suppressions and routing. Nothing
here puts an address into a message or an exception: only where it stands, and what is wrong with it.
"""

import re
from functools import lru_cache
from typing import Any

import msgspec

from relay.acceptance.draft import Limits
from relay.api.problems import Problems
from relay.api.text_checks import control_fault, ordinal
from relay.core.model import Address

NOBODY = "<>"
"""The empty sender of an envelope: bounces go to nobody."""
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
"""Addresses that the library takes as they stand; tests hold it to that. Without them the first message would wait 25 ms for
the library's import."""


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """A mailbox and where it stands: a target, and the words for it when a text has several."""

    address: Address
    target: str
    words: str


class Unreadable(msgspec.Struct, frozen=True):
    """Why a text is no mailbox: an error code, and a sentence that does not repeat it."""

    code: str
    reason: str


def read_mailbox(value: Any, target: str, faults: Problems, limits: Limits) -> Address | None:
    """One mailbox; None after noting what is wrong. What has the wrong type was noted by the shape already."""
    if isinstance(value, str):
        found = mailbox(value, limits)
    elif isinstance(value, dict) and isinstance(value.get("email"), str):
        return _read_object(value, target, faults, limits)
    else:
        return None
    if isinstance(found, Unreadable):
        faults.add(found.code, target, found.reason)
        return None
    return found


def read_mailboxes(
    value: Any, target: str, faults: Problems, limits: Limits, *, limit: int, code: str = "too_many"
) -> list[Located]:
    """Every mailbox of a field that may have several. More than `limit` are one fault (`code`), and are not looked at."""
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
        address = _read_one_of_many(item, at, words, faults, limits)
        if address is not None:
            found.append(Located(address=address, target=at, words=words))
    if len(items) > limit:
        faults.add(code, target, f"There are more than {limit} addresses here. Send several messages.")
    return found


def mailbox(text: str, limits: Limits) -> Address | Unreadable:
    """The mailbox a text names, or why it names none."""
    if len(text) > limits.max_address:
        return Unreadable("too_long", _too_long(limits))
    return _mailbox(text, limits.max_display_name)


def email_address(text: str) -> str:
    """The address in its one spelling. Raises `ValueError` with a sentence that does not repeat it."""
    found, reason = _checked(text)
    if reason:
        raise ValueError(reason)
    return found


def same_mailbox(email: str) -> str:
    """What two spellings of one mailbox have in common. Local parts differ by case in theory only (RFC 5321 2.4)."""
    return email.casefold()


def _read_one_of_many(item: Any, target: str, words: str, faults: Problems, limits: Limits) -> Address | None:
    if words == target:
        return read_mailbox(item, target, faults, limits)
    found = mailbox(item, limits)
    if isinstance(found, Unreadable):
        hint = " A display name that has a comma must be in quotes." if "@" not in item else ""
        faults.add(found.code, target, f"{words[0].upper()}{words[1:]} is wrong. {found.reason}{hint}")
        return None
    return found


def _read_object(value: dict[str, Any], target: str, faults: Problems, limits: Limits) -> Address | None:
    text = value["email"]
    email, reason = _checked(text) if len(text) <= limits.max_address else ("", _too_long(limits))
    if reason:
        faults.add("invalid_address", f"{target}.email", reason)
    name = value.get("name")
    if not isinstance(name, str):
        name = ""
    code, fault = _name_fault(name, limits.max_display_name)
    if fault:
        faults.add(code, f"{target}.name", fault)
    return None if reason or fault else Address(email=email, name=name.strip())


def split_list(text: str, limit: int) -> list[str]:
    """The texts between commas and semicolons outside of quotes and angle brackets; empty ones are left out."""
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
def _mailbox(text: str, max_name: int) -> Address | Unreadable:
    if "<" not in text and ">" not in text:
        email, reason = _checked(text.strip())
        if reason and text.count("@") > 1 and ("," in text or ";" in text):
            reason = "This names several addresses; exactly one belongs here."
        return Unreadable("invalid_address", reason) if reason else Address(email=email)
    name, angled = _name_and_angled(text)
    if angled is None:
        return Unreadable("invalid_address", 'Write it like this: "Ada Lovelace" <ada@example.com>.')
    email, reason = _checked(angled.strip())
    if reason:
        return Unreadable("invalid_address", reason)
    code, reason = _name_fault(name, max_name)
    return Unreadable(code, reason) if reason else Address(email=email, name=name.strip())


def _name_and_angled(text: str) -> tuple[str, str | None]:
    """The display name and what the angle brackets hold; None when quotes and brackets do not fit."""
    found = _ANGLED.fullmatch(text)
    if found is not None:
        name = _unquoted(found[1].strip())
        return (name, found[2]) if name is not None else ("", None)
    # A quoted name may have angle brackets in it.
    text = text.strip()
    quoted = _QUOTED.match(text)
    found = _ANGLED.fullmatch(text, quoted.end()) if quoted else None
    if quoted is None or found is None or found[1].strip():
        return "", None
    return _ESCAPED.sub(r"\1", quoted[1]), found[2]


def _unquoted(name: str) -> str | None:
    """A display name without its quotes; None when they are not around the whole of it."""
    if '"' not in name:
        return name
    quoted = _QUOTED.fullmatch(name)
    return _ESCAPED.sub(r"\1", quoted[1]) if quoted else None


def _name_fault(name: str, limit: int) -> tuple[str, str]:
    if len(name) > limit:
        return "too_long", f"The display name has {len(name)} characters; {limit} are possible."
    if name and (fault := control_fault(name)):
        return "invalid_text", f"The display name {fault}, which a header cannot hold."
    return "", ""


def _too_long(limits: Limits) -> str:
    return f"The address with its display name has more than {limits.max_address} characters."


@lru_cache(maxsize=8192)
def _checked(text: str) -> tuple[str, str]:
    """The address in its one spelling, or why it is none."""
    if _PLAIN.fullmatch(text):
        return text, ""
    validate_email, invalid = _library()
    try:
        # Addresses under .test are for tests, and nothing is asked of the DNS here.
        found = validate_email(text, check_deliverability=False, test_environment=True)
    except invalid as error:
        # What stands in parentheses may repeat part of the address.
        return "", _PARENTHESES.sub("", str(error))
    return f"{found.local_part}@{found.ascii_domain}", ""


@lru_cache(maxsize=1)
def _library() -> tuple[Any, type[Exception]]:
    import email_validator

    # A company's own Exchange may well serve a .local domain; the library's list is meant to be changed like this.
    if "local" in email_validator.SPECIAL_USE_DOMAIN_NAMES:
        email_validator.SPECIAL_USE_DOMAIN_NAMES.remove("local")
    return email_validator.validate_email, email_validator.EmailNotValidError
