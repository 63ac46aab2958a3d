"""Get tokens from Microsoft Entra with azure-identity: managed identity, client secret or certificate.

All credentials are made here, so this is the only module that imports azure-identity. A credential is made when first used,
once for each identity, and uses the process's aiohttp session.
"""

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from relay.core.errors import SettingsError
from relay.core.outcomes import Deferred, RouteFault, reply_text
from relay.core.settings import RouteSettings
from relay.platform.secrets import Secrets, reference_problem

TIMEOUT_SECONDS = 30.0
"""Timeout for getting one token."""
KEYS = ("tenant_id", "client_id", "client_secret", "certificate", "managed_identity", "authority")
"""The keys of a route's settings that select the identity Relay uses."""
_TEXTS = ("tenant_id", "client_id", "authority")

type NoToken = Deferred | RouteFault
"""The reason for having no token. Nothing was sent."""


def identity_problems(settings: RouteSettings) -> Sequence[str]:
    """Return all problems of the identity in a route's settings, each as `key: sentence`."""
    problems = [f"{key}: must be text" for key in _TEXTS if not isinstance(settings.get(key, ""), str)]
    if settings.get("managed_identity") not in (None, True, False):
        problems.append("managed_identity: must be true or false; client_id names a user-assigned identity")
    if not str(settings.get("authority", "https://")).startswith("https://"):
        problems.append("authority: must begin with https://")
    kinds = [key for key in ("managed_identity", "client_secret", "certificate") if settings.get(key)]
    if not kinds:
        return [
            *problems,
            "managed_identity: must be true, or give tenant_id, client_id and client_secret or certificate",
        ]
    if len(kinds) > 1:
        problems.append(f"{kinds[1]}: cannot be used together with {kinds[0]}")
    if kinds[0] != "managed_identity":
        needed = (key for key in ("tenant_id", "client_id") if not settings.get(key))
        problems += [f"{key}: must be given with {kinds[0]}" for key in needed]
        problems += [f"{kinds[0]}: {problem}" for problem in (reference_problem(settings[kinds[0]]),) if problem]
    return problems


class Credentials:
    """One credential for each identity that routes use. azure-identity caches the tokens."""

    def __init__(self, *, http: Callable[[], Any], secrets: Secrets) -> None:
        """`http` returns the process's aiohttp session."""
        self._http = http
        self._secrets = secrets
        self._cached: dict[tuple[str, ...], _CachedCredential] = {}

    async def token(self, settings: RouteSettings, scope: str, *, refused: str = "") -> str | NoToken:
        """Return a token for `scope` (`https://…/.default`). With `refused`, reread the secret and get another token."""
        cached = self._cached.setdefault(_kind(settings), _CachedCredential())
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), cached.lock:
                return await self._token(cached, settings, scope, refused)
        except SettingsError as error:
            return RouteFault(code="secret_unavailable", reply=reply_text(str(error)))
        except TimeoutError:
            return Deferred(code="unreachable", reply="no token in time")

    async def close(self) -> None:
        """Close the credentials. The caller closes the session."""
        for cached in self._cached.values():
            await cached.replace(None, "")
        self._cached.clear()

    async def _token(
        self, cached: "_CachedCredential", settings: RouteSettings, scope: str, refused: str
    ) -> str | NoToken:
        reference = str(settings.get("client_secret") or settings.get("certificate") or "")
        secret = await self._secrets.get(reference) if reference else ""
        if cached.credential is None or secret != cached.secret:
            await self._make(cached, settings, secret)
        token_or_fault = await _request_token(cached.credential, scope)
        if not isinstance(token_or_fault, RouteFault) and (not refused or token_or_fault != refused):
            return token_or_fault
        # Entra refused the secret, or the service refused the token. The secret may have been rotated.
        renewed = await self._secrets.refresh(reference) if reference else ""
        if renewed == secret and not refused:
            return token_or_fault
        await self._make(cached, settings, renewed)
        return await _request_token(cached.credential, scope)

    async def _make(self, cached: "_CachedCredential", settings: RouteSettings, secret: str) -> None:
        try:
            await cached.replace(credential(settings, secret, self._http()), secret)
        except ValueError as error:
            # azure-identity's messages about unusable certificates and tenants contain no secret.
            raise SettingsError([f"the identity cannot be used: {error}"]) from error


class _CachedCredential:
    """A credential and the secret it was made with."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.credential: Any = None
        self.secret = ""

    async def replace(self, credential: Any, secret: str) -> None:
        before, self.credential, self.secret = self.credential, credential, secret
        if before is not None:
            await before.close()


def credential(settings: RouteSettings, secret: str, session: Any) -> Any:
    """Make the `azure.identity.aio` credential for a route's settings. `secret` is the client secret or the certificate.

    Raises `ValueError` when azure-identity cannot use them.
    """
    from azure.identity.aio import CertificateCredential, ClientSecretCredential, ManagedIdentityCredential

    options: dict[str, Any] = {"transport": transport(session), "retry_total": 1}
    if settings.get("managed_identity"):
        return ManagedIdentityCredential(client_id=settings.get("client_id"), **options)
    if settings.get("authority"):
        options["authority"] = settings["authority"]
    if settings.get("certificate"):
        options["certificate_data"] = _certificate(secret)
        return CertificateCredential(settings["tenant_id"], settings["client_id"], **options)
    return ClientSecretCredential(settings["tenant_id"], settings["client_id"], secret, **options)


def application_credential(application: Mapping[str, str], session: Any) -> Any:
    """Make the app's own credential, for Key Vault: its managed identity, or the client in the usual `AZURE_*` settings."""
    settings: dict[str, Any] = {"managed_identity": True, "client_id": application.get("AZURE_CLIENT_ID") or None}
    secret = application.get("AZURE_CLIENT_SECRET", "")
    if secret:
        settings = {
            "tenant_id": application.get("AZURE_TENANT_ID", ""),
            "client_id": application.get("AZURE_CLIENT_ID", ""),
            "client_secret": "setting:AZURE_CLIENT_SECRET",
            "authority": application.get("AZURE_AUTHORITY_HOST", ""),
        }
    return credential(settings, secret, session)


def blocking_credential(application: Mapping[str, str]) -> Any:
    """Make the app's own credential (managed identity) for an SDK that runs in its own thread."""
    from azure.identity import ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=application.get("AZURE_CLIENT_ID") or None)


def storage_credential(client_id: str, *, is_managed_identity: bool) -> Any:
    """Make the credential for storage: a managed identity, or any credential that azure-identity finds (for developers)."""
    from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

    if is_managed_identity:
        return ManagedIdentityCredential(client_id=client_id or None)
    return DefaultAzureCredential(managed_identity_client_id=client_id or None)


def transport(session: Any) -> Any:
    """Make an azure-core transport that uses the process's aiohttp session and does not close it."""
    from azure.core.pipeline.transport import AioHttpTransport

    return AioHttpTransport(session=session, session_owner=False, connection_timeout=10, read_timeout=20)


async def _request_token(credential: Any, scope: str) -> str | NoToken:
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

    try:
        return str((await credential.get_token(scope)).token)
    except ClientAuthenticationError as error:
        status = getattr(error.response, "status_code", 400)
        if status == 429 or status >= 500:
            return Deferred(code="provider_unavailable", reply=reply_text(f"token: {status}"))
        return RouteFault(code="bad_credentials", reply=reply_text(str(error.message)))
    except HttpResponseError as error:
        return Deferred(code="provider_unavailable", reply=reply_text(f"token: {error.status_code}"))
    except (AzureError, OSError) as error:
        return Deferred(code="unreachable", reply=f"token: {type(error).__name__}")


def _kind(settings: RouteSettings) -> tuple[str, ...]:
    return tuple(str(settings.get(key, "")) for key in KEYS)


def certificate_expiry(secret: str) -> datetime | None:
    """Return when the certificate in a secret expires: the first of a PEM text, or that of a PKCS #12. None for other secrets."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import pkcs12

    try:
        data = _certificate(secret)
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)[0].not_valid_after_utc
        found = pkcs12.load_key_and_certificates(data, None)[1]
        return None if found is None else found.not_valid_after_utc
    except ValueError:
        return None


def _certificate(secret: str) -> bytes:
    """Return the bytes of a certificate with its key, from PEM text or from base64 PKCS #12 (the form Key Vault returns)."""
    if "-----BEGIN" in secret:
        return secret.encode()
    try:
        return base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("the certificate is neither PEM nor base64 PKCS #12") from error
