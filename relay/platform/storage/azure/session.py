"""Share the account, one credential with its token, and the SDKs' HTTP session and options among the Azure adapters."""

import asyncio
import logging
import time
from typing import Any

from relay.platform.storage.azure.settings import Account, Service

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
"""Timeout for each read of a response."""
MAX_CONNECTIONS = 100
"""An instance has 128 outgoing ports for one destination on the smaller plans."""
API_VERSION = "2023-11-03"
"""The service version to request, where the SDK accepts one. Old enough for every Azurite in use."""

_SCOPE = "https://storage.azure.com/.default"
_RENEW_SECONDS = 300
"""A token is renewed this long before it expires. If that fails, it is used until it expires."""


class AzureSession:
    """Makes clients over one HTTP session. Nothing is imported or built before the first client is made."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._session: Any = None
        self._credential: Any = None
        self._options: dict[str, Any] | None = None
        self._token: Any = None
        self._renewing = asyncio.Lock()

    def client(self, kind: Any, service: Service, name: str, **options: Any) -> Any:
        """Make a client of the class `kind` (QueueClient, TableClient, ContainerClient) for the resource `name`."""
        options = {**self._shared_options(), **options}
        if self.account.connection_string:
            return kind.from_connection_string(self.account.connection_string, name, **options)
        return kind(self.account.addresses[service], name, credential=self._identity(), **options)

    async def token(self) -> str:
        """Return the bearer token for all services of the account. Raises azure-core's errors if there is none."""
        async with self._renewing:
            ends_in = 0.0 if self._token is None else self._token.expires_on - time.time()
            if ends_in < _RENEW_SECONDS:
                try:
                    self._token = await self._identity().get_token(_SCOPE)
                except Exception:
                    if ends_in <= 0:
                        raise
        return str(self._token.token)

    async def close(self) -> None:
        """Close the HTTP session and the credential."""
        session, credential = self._session, self._credential
        self._session = self._credential = self._options = None
        if session is not None:
            await session.close()
        if credential is not None:
            await credential.close()

    def _shared_options(self) -> dict[str, Any]:
        if self._options is None:
            import aiohttp
            from azure.core.pipeline.transport import AioHttpTransport

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS), auto_decompress=False, trust_env=False
            )
            transport: Any = AioHttpTransport
            self._options = {
                "transport": transport(
                    session=self._session,
                    session_owner=False,
                    connection_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                ),
                # Callers decide what to retry, and when.
                "retry_total": 0,
                "permit_redirects": False,
                "user_agent_use_env": False,
                # The SDKs log every request with its URL and headers. A logger without handlers is cheapest.
                "logger": logging.Logger("relay.platform.storage", logging.WARNING),
            }
        return self._options

    def _identity(self) -> Any:
        if self._credential is None:
            from relay.platform.entra_tokens import storage_credential

            account = self.account
            self._credential = storage_credential(account.client_id, is_managed_identity=account.is_managed_identity)
        return self._credential
