"""Read secrets from Azure Key Vault with its SDK, which is loaded with the first secret."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec

from relay.core.errors import SettingsError
from relay.platform.entra_tokens import certificate_expiry, transport
from relay.platform.log import log_event
from relay.platform.settings_checks import LOOPBACK_NAMES

TIMEOUT_SECONDS = 30.0
"""Timeout for reading one secret, including its token."""
EXPIRES_SOON = timedelta(days=30)
"""A secret whose expiry date is closer than this is logged each time it is read."""


class SecretDates(msgspec.Struct, frozen=True, kw_only=True):
    """The dates when the newest version of a secret was stored and when it expires; None if not known."""

    created_at: datetime | None = None
    expires_at: datetime | None = None


class KeyVault:
    """The `Vault` of `relay.platform.secrets` over Azure Key Vault. Connects with the first read."""

    def __init__(
        self, *, url: str, credential: Callable[[], Any], http: Callable[[], Any], clock: Callable[[], datetime]
    ) -> None:
        """`credential` makes an `azure.identity.aio` credential. `http` returns the process's aiohttp session."""
        self._url = url
        self._clock = clock
        self._make_credential = credential
        self._http = http
        self._client: Any = None
        self._credential: Any = None

    async def read(self, name: str) -> str:
        """Return the newest value of a secret. Raises `SettingsError` with the reason, without the value."""
        secret = await self._secret(name)
        log_expiry(name, secret.properties.expires_on, self._clock())
        return secret.value or ""

    async def dates(self, name: str) -> SecretDates:
        """Return the dates of a secret; a certificate's own expiry if the vault has none. Raises `SettingsError`."""
        secret = await self._secret(name)
        expires_at = secret.properties.expires_on or certificate_expiry(secret.value or "")
        return SecretDates(created_at=secret.properties.created_on, expires_at=expires_at)

    async def _secret(self, name: str) -> Any:
        from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._open().get_secret(name)
        except ClientAuthenticationError as error:
            raise SettingsError([f"{name}: Relay's identity got no token for Key Vault"]) from error
        except HttpResponseError as error:
            raise SettingsError([f"{name}: {_reason(error)}"]) from error
        except (AzureError, TimeoutError, OSError) as error:
            raise SettingsError([f"{name}: no response from Key Vault ({type(error).__name__})"]) from error
        except ValueError as error:
            raise SettingsError([f"{name}: RELAY_KEY_VAULT_URL is not the address of a vault"]) from error

    @property
    def is_open(self) -> bool:
        """True if a client and a credential are held, which `close` releases."""
        return self._client is not None

    async def close(self) -> None:
        """Close the client and its credential. The caller closes the session."""
        if self._client is not None:
            await self._client.close()
            await self._credential.close()
            self._client = None

    def _open(self) -> Any:
        if self._client is None:
            from azure.keyvault.secrets.aio import SecretClient

            self._credential = self._make_credential()
            self._client = SecretClient(
                self._url,
                self._credential,
                transport=transport(self._http()),
                retry_total=1,
                # The challenge of a local stand-in names the real Key Vault resource, which differs from its own domain.
                verify_challenge_resource=urlsplit(self._url).hostname not in LOOPBACK_NAMES,
            )
        return self._client


def log_expiry(name: str, expires_at: datetime | None, now: datetime) -> None:
    """Log the days until a secret expires, if fewer than `EXPIRES_SOON`. Negative: it has expired."""
    if expires_at is not None and expires_at - now < EXPIRES_SOON:
        log_event("secret_expiring", level=logging.WARNING, secret=name, days=(expires_at - now).days)


def _reason(error: Any) -> str:
    """Explain a vault's error response (learn.microsoft.com/azure/key-vault/general/rest-error-codes)."""
    inner = getattr(error.error, "innererror", None) or {}
    if inner.get("code") == "SecretDisabled":
        return "the secret is disabled in Key Vault"
    if str(inner.get("code", "")).startswith(("ForbiddenByFirewall", "ForbiddenByConnection")):
        return "Key Vault's network rules block Relay; allow its virtual network or a private endpoint"
    if error.status_code == 404:
        return "Key Vault has no secret of that name"
    if error.status_code in (401, 403):
        return "Key Vault refuses Relay's identity; it needs the role Key Vault Secrets User"
    return f"Key Vault returned {error.status_code}"
