"""Parse connection strings of storage accounts, and sign requests with a shared key.

Sources: learn.microsoft.com/azure/storage/common/storage-configure-connection-string;
learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import msgspec

# Published by Microsoft for the emulators (learn.microsoft.com/azure/storage/common/storage-use-azurite).
_EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_EMULATOR = {
    "accountname": "devstoreaccount1",
    "accountkey": _EMULATOR_KEY,
    "blobendpoint": "http://127.0.0.1:10000/devstoreaccount1",
    "queueendpoint": "http://127.0.0.1:10001/devstoreaccount1",
    "tableendpoint": "http://127.0.0.1:10002/devstoreaccount1",
}
_SIGNED_FOR_ALL = ("content-md5", "content-type")
_SIGNED_FOR_QUEUES = (
    "content-encoding", "content-language", "content-length", "content-md5", "content-type", "date",
    "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range",
)  # fmt: skip


class SharedKey(msgspec.Struct, frozen=True):
    """An account's name and one of its keys."""

    account: str
    key: bytes

    def __repr__(self) -> str:
        return f"SharedKey(account={self.account!r})"

    def authorization(self, text: str) -> str:
        """Return the `Authorization` header of a request, from its string-to-sign."""
        signature = base64.b64encode(hmac.digest(self.key, text.encode(), hashlib.sha256)).decode()
        return f"SharedKey {self.account}:{signature}"


class ConnectionString(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a connection string: service URLs, and a key or a shared access signature (`k=v&…`)."""

    endpoints: Mapping[str, str]
    key: SharedKey | None = None
    signature: str = ""

    def __repr__(self) -> str:
        return f"Connection(endpoints={dict(self.endpoints)})"


def read_connection_string(text: str) -> ConnectionString:
    """Parse a connection string. Raises `ValueError`, whose message omits the text because it contains the key."""
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    if not all(separator for _, separator, _ in pairs):
        raise ValueError("is not a connection string (Name=value;Name=value)")
    values = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if values.get("usedevelopmentstorage", "").lower() == "true":
        values = {**_EMULATOR, **values}
    account, key = values.get("accountname", ""), values.get("accountkey", "")
    signature = values.get("sharedaccesssignature", "").removeprefix("?")
    if not signature and not (account and key):
        raise ValueError("has neither an AccountName with its AccountKey nor a SharedAccessSignature")
    endpoints = {service: _endpoint(values, service) for service in ("blob", "queue", "table")}
    if missing := [service for service, endpoint in endpoints.items() if not endpoint]:
        raise ValueError(f"has no AccountName and no address for: {', '.join(missing)}")
    if signature:
        return ConnectionString(endpoints=endpoints, signature=signature)
    try:
        return ConnectionString(endpoints=endpoints, key=SharedKey(account, base64.b64decode(key, validate=True)))
    except binascii.Error:
        # Without the cause: a traceback with locals would show the key.
        raise ValueError("has an AccountKey that is not base64") from None


def _endpoint(values: Mapping[str, str], service: str) -> str:
    account, suffix = values.get("accountname", ""), values.get("endpointsuffix", "core.windows.net")
    scheme = values.get("defaultendpointsprotocol", "https")
    derived = f"{scheme}://{account}.{service}.{suffix}" if account else ""
    return values.get(f"{service}endpoint", derived).rstrip("/")


def queue_text(key: SharedKey, method: str, target: str, headers: Mapping[str, str], length: int) -> str:
    """Return the string-to-sign of a request to a queue or blob service. Header names are in lower case."""
    sent = {**headers, "content-length": str(length) if length else ""}
    ours = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-ms-"))
    parts = urlsplit(target)
    resource = f"/{key.account}{parts.path}"
    resource += "".join(f"\n{name}:{value}" for name, value in sorted(parse_qsl(parts.query, keep_blank_values=True)))
    return "\n".join((method, *(sent.get(name, "") for name in _SIGNED_FOR_QUEUES), f"{ours}{resource}"))


def table_text(key: SharedKey, method: str, target: str, headers: Mapping[str, str]) -> str:
    """Return the string-to-sign of a request to a table service. Header names are in lower case."""
    signed = (headers.get(name, "") for name in _SIGNED_FOR_ALL)
    return "\n".join((method, *signed, headers["x-ms-date"], f"/{key.account}{urlsplit(target).path}"))
