"""Read the form of a request to unsubscribe: as mail programs post it (RFC 8058 section 3.2), or as Relay's pages do."""

from collections.abc import Mapping, Sequence
from email import policy
from email.parser import BytesParser
from urllib.parse import parse_qs

MAX_BYTES = 65_536
MAX_FIELDS = 1000
MULTIPART = "multipart/form-data"


def read(content_type: str, body: bytes) -> Mapping[str, Sequence[str]]:
    """Return the values of each field; none if the body cannot be read."""
    if len(body) > MAX_BYTES:
        return {}
    if content_type.partition(";")[0].strip().lower() == MULTIPART:
        # The example in RFC 8058 section 8.3 names the boundary with the dashes of its lines (errata 5117).
        return _multipart(content_type, body) or _multipart(content_type.replace("boundary=--", "boundary="), body)
    try:
        return parse_qs(body.decode("ascii"), max_num_fields=MAX_FIELDS, keep_blank_values=True)
    except (UnicodeDecodeError, ValueError):
        return {}


def _multipart(content_type: str, body: bytes) -> Mapping[str, Sequence[str]]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("ascii", "replace")
    whole = BytesParser(policy=policy.HTTP).parsebytes(head + body)
    found: dict[str, list[str]] = {}
    for part in list(whole.iter_parts())[:MAX_FIELDS] if whole.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            found.setdefault(name, []).append(content.decode("utf-8", "replace").strip())
    return found
