"""A storage account's address and key, and the signature that its REST services ask of every request.

Source: "Authorize with Shared Key" (learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import msgspec

from devhost.settings import FunctionConfigurationError

# Published by Microsoft for the emulators (learn.microsoft.com/azure/storage/common/storage-use-azurite).
DEVELOPMENT_STORAGE = (
    "AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1"
)
VERSION = "2021-12-02"
CONTENT_TYPE = "application/octet-stream"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A storage account. The end points have no slash at their end."""

    name: str
    key: bytes
    blob_endpoint: str
    queue_endpoint: str

    def __repr__(self) -> str:
        return f"Account(name={self.name!r})"


def parse_account(connection_string: str) -> Account:
    """Reads a connection string with an account key. Raises FunctionConfigurationError, which does not repeat it."""
    parts = _parts(connection_string)
    if parts.get("usedevelopmentstorage", "").lower() == "true":
        parts = _parts(DEVELOPMENT_STORAGE)
    name, key = parts.get("accountname"), parts.get("accountkey")
    if not name or not key:
        raise FunctionConfigurationError(
            "the storage connection string must have an AccountName and an AccountKey, or be UseDevelopmentStorage=true."
        )
    try:
        decoded = base64.b64decode(key, validate=True)
    except binascii.Error as error:
        raise FunctionConfigurationError("the storage connection string's AccountKey is not base64.") from error
    suffix = parts.get("endpointsuffix", "core.windows.net")
    scheme = parts.get("defaultendpointsprotocol", "https")
    return Account(
        name=name,
        key=decoded,
        blob_endpoint=parts.get("blobendpoint", f"{scheme}://{name}.blob.{suffix}").rstrip("/"),
        queue_endpoint=parts.get("queueendpoint", f"{scheme}://{name}.queue.{suffix}").rstrip("/"),
    )


def _parts(connection_string: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in connection_string.split(";") if part.strip())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def request_url(endpoint: str, path: str, query: Mapping[str, str]) -> str:
    """The URL of `path` (not yet encoded) below an end point."""
    url = f"{endpoint}/{quote(path)}"
    if not query:
        return url
    return f"{url}?{'&'.join(f'{name}={quote(value, safe="")}' for name, value in query.items())}"


def signed_headers(
    account: Account,
    *,
    method: str,
    endpoint: str,
    path: str,
    query: Mapping[str, str],
    body: bytes,
    date: str,
    headers: Mapping[str, str],
) -> dict[str, str]:
    """`headers` (x-ms-* in lower case, no others) with version, date (RFC 1123) and Authorization added."""
    sent = {**headers, "x-ms-date": date, "x-ms-version": VERSION}
    canonical_headers = "".join(f"{name}:{sent[name]}\n" for name in sorted(sent))
    resource = f"/{account.name}{urlsplit(endpoint).path}/{quote(path)}"
    resource += "".join(f"\n{name}:{query[name]}" for name in sorted(query))
    # Verb, then eleven standard headers of which only the length and the type are ever sent from here.
    length, content_type = (str(len(body)), CONTENT_TYPE) if body else ("", "")
    to_sign = f"{method}\n\n\n{length}\n\n{content_type}\n\n\n\n\n\n\n{canonical_headers}{resource}"
    signature = base64.b64encode(hmac.digest(account.key, to_sign.encode(), hashlib.sha256)).decode()
    if body:
        sent["Content-Type"] = CONTENT_TYPE
    sent["Authorization"] = f"SharedKey {account.name}:{signature}"
    return sent
