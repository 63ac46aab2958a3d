"""Read the server's certificate from files or Key Vault, and renew it without a restart."""

import asyncio
import logging
import os
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from relay.core.errors import SettingsError
from relay.platform.key_vault import KeyVault, log_expiry
from relay.platform.log import log_event
from relay.submission.settings import Settings

FILE_SECONDS = 60.0
VAULT_SECONDS = 600.0
"""How often the certificate is read again."""

type Read = Callable[[], Awaitable[bytes]]
"""Returns a certificate with its key: PEM, or PKCS #12. Raises `SettingsError`."""


class Certificates:
    """Keeps a TLS context with the newest certificate that is valid together with its key."""

    def __init__(self, read: Read, *, clock: Callable[[], datetime]) -> None:
        self._read = read
        self._clock = clock
        self._loaded = b""
        self._context: ssl.SSLContext | None = None

    @property
    def context(self) -> ssl.SSLContext | None:
        """The context for new connections."""
        return self._context

    async def load(self) -> None:
        """Read the certificate, and use it if it is new. Raises `SettingsError`; then the one before stays in use."""
        content = await self._read()
        if content == self._loaded:
            return
        pem = pem_of(content)
        self._context = await asyncio.to_thread(context_of, pem)
        self._loaded = content
        self._log_expiry(pem)

    async def watch(self, seconds: float) -> None:
        """Read the certificate again and again, until the task is cancelled."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.load()
            except Exception as error:
                # Whatever the fault, the next certificate may be valid.
                problem = str(error) if isinstance(error, SettingsError) else type(error).__name__
                log_event("certificate_not_renewed", level=logging.ERROR, problem=problem)

    def _log_expiry(self, pem: bytes) -> None:
        from relay.platform.entra_tokens import certificate_expiry

        log_expiry("certificate", certificate_expiry(pem.decode("ascii", "replace")), self._clock())


def context_of(pem: bytes) -> ssl.SSLContext:
    """Return a server context for a certificate with its chain and key. Raises `SettingsError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        _load(context, pem)
    except (ssl.SSLError, ValueError) as error:
        text = "the certificate cannot be used: it needs a key without a password that belongs to it, both as PEM or PKCS #12"
        raise SettingsError([text]) from error
    return context


def pem_of(content: bytes) -> bytes:
    """Return a certificate with chain and key as PEM, from PEM or PKCS #12 (also in base64, as Key Vault returns it)."""
    if b"-----BEGIN" in content:
        return content
    import base64
    import binascii

    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

    try:
        found = pkcs12.load_pkcs12(base64.b64decode(content, validate=True) if content.isascii() else content, None)
    except (binascii.Error, ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(["the certificate is neither PEM nor PKCS #12 without a password"]) from error
    if found.key is None or found.cert is None:
        raise SettingsError(["the PKCS #12 file has no certificate with its key"])
    chain = [found.cert, *found.additional_certs]
    key = found.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key + b"".join(each.certificate.public_bytes(Encoding.PEM) for each in chain)


def of_files(certificate: str, key: str = "") -> Read:
    """Read a certificate from files. `key` is the path of the key, if it is in another file."""

    def content() -> bytes:
        try:
            return b"\n".join(Path(each).read_bytes() for each in (certificate, key) if each)
        except OSError as error:
            raise SettingsError([f"{error.filename}: {error.strerror}"]) from error

    return partial(asyncio.to_thread, content)


def of_vault(name: str, vault: KeyVault) -> Read:
    """Read a certificate from a secret in Key Vault: a certificate of the vault has a secret of its name."""

    async def content() -> bytes:
        return (await vault.read(name)).strip().encode()

    return content


def vault_of(settings: Settings, environment: Mapping[str, str], http: Any, clock: Callable[[], datetime]) -> KeyVault:
    """Open the vault of the settings, as the identity in the environment (`AZURE_CLIENT_ID` and others)."""
    from relay.platform.entra_tokens import application_credential

    return KeyVault(
        url=settings.vault_url,
        credential=lambda: application_credential(environment, http),
        http=lambda: http,
        clock=clock,
    )


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """Load a certificate. The ssl module loads files only: this one is in memory if the system has such files."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("certificate")
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(pem)
            context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_password)
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "certificate.pem"
        path.touch(mode=0o600)
        path.write_bytes(pem)
        context.load_cert_chain(path, password=_no_password)


def _no_password() -> str:
    """Answer OpenSSL, which would ask on the terminal for the password of an encrypted key."""
    raise ValueError("the key has a password")
