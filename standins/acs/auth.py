"""Authenticate callers of Azure Communication Services: access keys by HMAC-SHA256, and Entra tokens.

Source: learn.microsoft.com/azure/communication-services/tutorials/hmac-header-tutorial, and the policy in
azure-communication-email. The signed text: method, path with query, then date, host and the body's
SHA-256 joined by `;`.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Collection
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from aiohttp import web

from standins.entra import TokenIssuer

AUDIENCE = "https://communication.azure.com"
_SIGNED = {"x-ms-date", "host", "x-ms-content-sha256"}
# Not documented for this service; App Configuration has the same scheme with this limit.
_MAX_SKEW = timedelta(minutes=15)


def is_authentic(
    request: web.Request, body: bytes, *, keys: Collection[str], issuer: TokenIssuer, now: datetime
) -> bool:
    """Return whether a request has a valid signature by one of the keys (base64), or a valid token."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return issuer.is_valid(value, AUDIENCE)
    return scheme == "HMAC-SHA256" and any(_is_signed(request, body, value, key, now) for key in keys)


def _is_signed(request: web.Request, body: bytes, value: str, key: str, now: datetime) -> bool:
    fields = dict(field.partition("=")[::2] for field in value.split("&"))
    names = fields.get("SignedHeaders", "").lower().split(";")
    if not _SIGNED.issubset(names) or not _is_recent(request.headers.get("x-ms-date", ""), now):
        return False
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    if request.headers.get("x-ms-content-sha256") != digest:
        return False
    signed = ";".join(request.headers.get(name, "") for name in names)
    return hmac.compare_digest(sign(request.method, request.raw_path, signed, key), fields.get("Signature", ""))


def sign(method: str, path_and_query: str, signed_values: str, key: str) -> str:
    """Return the signature of a request; `signed_values` are its signed headers' values joined by `;`."""
    text = f"{method.upper()}\n{path_and_query}\n{signed_values}"
    return base64.b64encode(hmac.digest(base64.b64decode(key), text.encode(), "sha256")).decode()


def _is_recent(date: str, now: datetime) -> bool:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return False
    return moment.tzinfo is not None and abs(moment - now) <= _MAX_SKEW


def is_key(text: str) -> bool:
    """Return whether a text can be an access key: base64."""
    try:
        return bool(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return False
