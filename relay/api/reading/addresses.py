"""Read mailboxes as callers write them: `a@example.com`, `Name <a@example.com>`, objects, lists, and strings with several.

Domains become lower-case A-labels, so that an address has one spelling in policies, suppressions and routing. No message or
exception repeats an address: it gives the place and the problem.
"""

import re
from functools import lru_cache
from typing import Any

import msgspec

from relay.acceptance.draft import Limits
from relay.api.problems import Problems
from relay.api.text_checks import control_problem, ordinal
from relay.core.model import Address
from relay.mime.addresses import CARRIERS, local_part, mailboxes, split_list

EMPTY_SENDER = "<>"
"""The empty envelope sender (RFC 5321 section 4.5.5): no bounces are sent for the message."""
_NARROW = {wide: wide - 0xFEE0 for wide in map(ord, "＠．－＿＋０１２３４５６７８９")} | {
    wide: wide - 0xFEE0 for first in "Ａａ" for wide in range(ord(first), ord(first) + 26)
}
"""Full-width characters, which Japanese input methods write, as ASCII. No mailbox is known to have them."""
_PARENTHESES = re.compile(r" \(.*\)", re.DOTALL)
_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN = re.compile(
    rf"(?=.{{3,254}}\Z)(?![^@]*=\?){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?!(?:arpa|invalid|local|localhost|onion|test)\Z)[a-z]{{2,63}}"
)
"""Addresses that the library accepts unchanged; a test checks this. They are not passed to the library, whose import would delay
the first message by 25 ms."""


class Located(msgspec.Struct, frozen=True, kw_only=True):
    """A mailbox and its place: a target, and a phrase for it when a string has several."""

    address: Address
    target: str
    words: str


class Unreadable(msgspec.Struct, frozen=True):
    """The reason why a text is not a mailbox: an error code, and a sentence that does not repeat the text."""

    code: str
    reason: str


def read_mailbox(value: Any, target: str, problems: Problems, limits: Limits) -> Address | None:
    """Read one mailbox, or note a problem and return None. The shape check has already noted a wrong type."""
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
    if value is None:
        return []
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
    """Return the mailbox in a text, or the reason why it is not one."""
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


@lru_cache(maxsize=4096)
def _mailbox(text: str, name_limit: int) -> Address | Unreadable:
    found = mailboxes(text, limit=2, decodes=False)
    if len(found) > 1:
        return Unreadable("invalid_address", "Several addresses where exactly one is allowed.")
    if not found or found[0].is_odd:
        return Unreadable("invalid_address", 'Not a valid mailbox. Use the form "Ada Lovelace" <ada@example.com>.')
    email, reason = _checked(found[0].email)
    if reason:
        return Unreadable("invalid_address", reason)
    code, reason = _name_problem(found[0].name, name_limit)
    return Unreadable(code, reason) if reason else Address(email=email, name=found[0].name)


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
    """Return the normalized address and "", or "" and the reason why the text is not an address."""
    if _PLAIN.fullmatch(text):
        return text, ""
    validate_email, invalid = _library()
    local, at, domain = text.translate(_NARROW).rpartition("@")
    if "=?" in local:
        return "", "An encoded word is allowed in a display name only (RFC 2047 section 5)."
    if domain.lower() in CARRIERS:
        local = local_part(local)
    try:
        # Addresses under .test are for tests. This makes no DNS query.
        found = validate_email(
            f"{local}{at}{domain}", check_deliverability=False, test_environment=True, allow_quoted_local=True
        )
    except invalid as error:
        # The text in parentheses may repeat part of the address.
        return "", _PARENTHESES.sub("", str(error))
    return f"{local_part(found.local_part)}@{found.ascii_domain}", ""


@lru_cache(maxsize=1)
def _library() -> tuple[Any, type[Exception]]:
    import email_validator

    # A company's own Exchange may serve a .local domain. The library documents this way to change its list.
    if "local" in email_validator.SPECIAL_USE_DOMAIN_NAMES:
        email_validator.SPECIAL_USE_DOMAIN_NAMES.remove("local")
    return email_validator.validate_email, email_validator.EmailNotValidError
