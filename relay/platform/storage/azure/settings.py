"""Read the storage account and its credential from the Functions host's own connection, `AzureWebJobsStorage`.

Either a connection string, or an identity: `AzureWebJobsStorage__accountName` or one URL for each service
(`__queueServiceUri`, `__tableServiceUri`, `__blobServiceUri`), with `__credential` = `managedidentity` and, for a
user-assigned identity, `__clientId`. Without `__credential` the developer's own sign-in is used.
Source: learn.microsoft.com/azure/azure-functions/functions-reference, "Connecting to host storage with an identity".
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from relay.core.errors import SettingsError
from relay.platform.storage.azure.shared_key import SharedKey, read_connection_string

CONNECTION = "AzureWebJobsStorage"
_MANAGED_IDENTITY = "managedidentity"
_ENDPOINT_SUFFIX = "core.windows.net"


class Service(StrEnum):
    """A service of a storage account, by the name in its URL."""

    QUEUE = "queue"
    TABLE = "table"
    BLOB = "blob"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A storage account: its service URLs, and an identity or a connection string (key or shared access signature)."""

    addresses: Mapping[Service, str]
    connection_string: str = ""
    key: SharedKey | None = None
    signature: str = ""
    is_managed_identity: bool = False
    client_id: str = ""

    def __repr__(self) -> str:
        # The connection string holds the account's key.
        return f"Account(addresses={dict(self.addresses)})"


def find_account(environment: Mapping[str, str]) -> Account:
    """Return the account in the environment. Raises `SettingsError` with all problems."""
    # The host ignores the case of names, and empty values.
    values = {name.lower(): value.strip() for name, value in environment.items() if value.strip()}
    connection_string = values.get(CONNECTION.lower(), "")
    if connection_string:
        try:
            return read_account(connection_string)
        except ValueError as error:
            raise SettingsError([f"{CONNECTION}: {error}"]) from None
    credential = _part(values, "credential")
    addresses = {service: _address(values, service) for service in Service}
    problems = [
        f"{CONNECTION}: is missing; give a connection string, or {CONNECTION}__accountName or "
        f"{CONNECTION}__{service}ServiceUri for access by identity"
        for service, address in addresses.items()
        if not address
    ]
    problems += [
        f"{CONNECTION}__{service}ServiceUri: must begin with https://, as access by identity needs"
        for service, address in addresses.items()
        if address and not address.startswith("https://")
    ]
    if credential and credential != _MANAGED_IDENTITY:
        problems.append(
            f"{CONNECTION}__credential: must be {_MANAGED_IDENTITY}, or absent for a developer's own sign-in"
        )
    if problems:
        raise SettingsError(problems)
    return Account(
        addresses=addresses,
        is_managed_identity=credential == _MANAGED_IDENTITY,
        client_id=_part(values, "clientId"),
    )


def read_account(connection_string: str) -> Account:
    """Parse a connection string into its account. Raises `ValueError`, whose message omits the string: it contains the key."""
    found = read_connection_string(connection_string)
    return Account(
        addresses={service: found.endpoints[service] for service in Service},
        connection_string=connection_string,
        key=found.key,
        signature=found.signature,
    )


def _part(values: Mapping[str, str], name: str) -> str:
    return values.get(f"{CONNECTION}__{name}".lower(), "")


def _address(values: Mapping[str, str], service: Service) -> str:
    account = _part(values, "accountName")
    derived = f"https://{account}.{service}.{_ENDPOINT_SUFFIX}" if account else ""
    return (_part(values, f"{service}ServiceUri") or derived).rstrip("/")
