"""Look at the DKIM signatures of a mail that was received: do they cover the unsubscribe link (RFC 8058 section 4)?

This module reads which fields a signature names. The receiver's `Authentication-Results` says whether it is valid.
"""

from collections.abc import Sequence

import msgspec

from relay.mime.raw import fields_of, split
from relay.unsubscribe.links import LINK, POST

_WANTED = (LINK, POST)


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A signature of a domain, and which of the two fields it does not cover."""

    domain: str
    missing: tuple[str, ...]


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that a mail lacks, and its signatures. The mail is correct if one signature covers both fields."""

    absent: tuple[str, ...]
    signatures: tuple[Signature, ...]

    @property
    def is_covered(self) -> bool:
        """Whether both fields are there, and a signature covers both."""
        return not self.absent and any(not each.missing for each in self.signatures)


def inspect(mail: bytes) -> Inspection:
    """Read the header of a mail."""
    fields = fields_of(split(mail)[0])
    names = {field.name for field in fields}
    found = [_signature(field.value.decode("ascii", "replace")) for field in fields if field.name == "dkim-signature"]
    return Inspection(absent=tuple(each for each in _WANTED if each.lower() not in names), signatures=tuple(found))


def _signature(value: str) -> Signature:
    """Read the tags of a signature (RFC 6376 section 3.2)."""
    tags: dict[str, str] = {}
    for part in value.split(";"):
        name, _, text = part.partition("=")
        tags[name.strip()] = "".join(text.split())
    signed: Sequence[str] = tags.get("h", "").lower().split(":")
    return Signature(domain=tags.get("d", ""), missing=tuple(each for each in _WANTED if each.lower() not in signed))
