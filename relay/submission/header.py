"""Complete the header of mail from programs that rely on the local mail server for it: missing From, missing domains."""

from collections.abc import Sequence

import msgspec

from relay.core.model import Address
from relay.mime.addresses import Mailbox, mailboxes
from relay.mime.fields import address_field
from relay.mime.raw import Field

_ADDRESSES = frozenset(("from", "sender", "reply-to", "to", "cc", "bcc"))


def qualify(email: str, domain: str) -> str:
    """Complete an address, if a domain is given: `root`, `root@localhost` and `root@web1` (as Postfix's append_dot_mydomain)."""
    local, at, host = email.rpartition("@")
    if not email or not domain or "." in host or host.startswith("["):
        return email
    if not at:
        return f"{host}@{domain}"
    return f"{local}@{domain}" if host.lower() == "localhost" else f"{local}@{host}.{domain}"


def complete(fields: Sequence[Field], *, author: str, name: str, domain: str) -> list[Field]:
    """Complete the addresses in a header, and add From if it is missing and the author is an address."""
    completed = [_with_domain(field, domain) for field in fields]
    author = qualify(author, domain)
    if "@" not in author or any(field.name == "from" for field in fields):
        return completed
    try:
        line = address_field("From", [Address(email=author, name=name)])
    except ValueError:
        return completed  # the relay reports that From is missing
    return [Field(name="from", line=line), *completed]


def mailboxes_of(field: Field) -> list[Mailbox]:
    """Return the mailboxes of a field."""
    return mailboxes(field.value.decode("utf-8", "replace"))


def _with_domain(field: Field, domain: str) -> Field:
    if not domain or field.name not in _ADDRESSES:
        return field
    found = mailboxes_of(field)
    completed = [msgspec.structs.replace(each, email=qualify(each.email, domain)) for each in found]
    if completed == found:
        return field
    people = [Address(email=each.email, name=each.name) for each in completed]
    try:
        return Field(name=field.name, line=address_field(field.spelling, people))
    except ValueError:
        return field  # the relay reports the problem
