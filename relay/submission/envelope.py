"""Write the envelope of a message that is posted to a relay: in the query if it fits there, else in a header."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec

MAX_QUERY = 3_000
"""Length of the envelope in the query string; the Functions host accepts 4,096 characters in all."""
MAX_RECIPIENTS = 1_000
"""Recipients of a message, as the relay limits them."""
MAX_RECIPIENTS_BYTES = 24_000
"""Length of the envelope in headers, with its commas; a web server accepts 32 KiB of headers."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The query and the headers that carry an envelope."""

    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}


def fits(sender: str | None, recipients: Sequence[str]) -> bool:
    """Return whether one call can carry this envelope."""
    if len(recipients) > MAX_RECIPIENTS:
        return False
    addresses = ",".join(recipients)
    if addresses.isascii() and len(addresses) <= MAX_RECIPIENTS_BYTES:
        return True
    return len(addresses) <= MAX_QUERY and len(quote(f"{sender or ''}{addresses}")) <= MAX_QUERY


def envelope_of(sender: str | None, recipients: Sequence[str]) -> Envelope:
    """Return the envelope for a call. Without `recipients` the relay takes them from the message's header.

    Bounces go to `sender`; to From when it is None; nowhere when it is empty. Raises `ValueError` if no call can carry it.
    """
    addresses = ",".join(recipients)
    query = {} if sender is None else {"from": sender or "<>"}
    if len(quote(f"{sender or ''}{addresses}")) <= MAX_QUERY:
        return Envelope(query=query | ({"to": addresses} if addresses else {}))
    if not addresses.isascii():
        raise ValueError("Non-ASCII recipients do not fit into the query of one request. Send several messages.")
    if len(addresses) > MAX_RECIPIENTS_BYTES:
        text = f"The recipients have {len(addresses):,} bytes (limit {MAX_RECIPIENTS_BYTES:,}). Send several messages."
        raise ValueError(text)
    return Envelope(query=query, headers={"X-Relay-Rcpt-To": addresses})
