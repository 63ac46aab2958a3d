"""Name the content that a finished message would lose as text, HTML and files."""

from relay.mime.parts import Part

MAX_LOSSES = 20
"""Maximum number of losses named. Each has at most `MAX_LOSS` characters, because a message keeps them on the queue."""
MAX_LOSS = 100
SIGNATURES = {"dkim-signature": "DKIM signature", "domainkey-signature": "DomainKeys signature"}
"""Header fields that are signatures."""
_SIGNED = {
    "application/pkcs7-signature": "S/MIME",
    "application/x-pkcs7-signature": "S/MIME",
    "application/pgp-signature": "PGP",
}
ENCRYPTED = {
    "application/pkcs7-mime": "S/MIME content (application/pkcs7-mime)",
    "application/x-pkcs7-mime": "S/MIME content (application/x-pkcs7-mime)",
}
"""Media types that look like files, and are the content of the message."""


class Losses:
    """Collects the names of losses, each once."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, name: str) -> None:
        """Add a loss, cut to `MAX_LOSS` characters."""
        self._names[name[:MAX_LOSS]] = None

    def named(self) -> tuple[str, ...]:
        """Return the first names, and the number of the others."""
        found = tuple(self._names)
        return found if len(found) <= MAX_LOSSES else (*found[:MAX_LOSSES], f"{len(found) - MAX_LOSSES} more")


def name_of(part: Part) -> str:
    """Name a part that is neither text nor a file."""
    if part.type in ENCRYPTED:
        return ENCRYPTED[part.type]
    if part.type == "multipart/signed":
        protocol = _SIGNED.get(part.content_type.parameters.get("protocol", "").lower(), "")
        return f"{protocol} signature (multipart/signed)".strip()
    return f"nested {part.type} part" if part.type.startswith("message/") else part.type
