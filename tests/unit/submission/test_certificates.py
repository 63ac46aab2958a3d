"""Certificates from files and Key Vault, renewed without a restart."""

import asyncio
import base64
import ssl
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from relay.core.errors import SettingsError
from relay.submission import certificates
from relay.submission.certificates import Certificates, of_files, pem_of
from relay.submission.settings import Endpoint, Settings
from standins.key_vault import KeyVaultStandIn
from standins.tls import Authority
from tests.unit.submission.kit import KEY, place_with

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def of_file(path: Path) -> Certificates:
    return Certificates(of_files(str(path)), clock=lambda: NOW)


def as_pkcs12(pem: bytes, password: bytes = b"") -> bytes:
    key, leaf = load_pem_private_key(pem, None), x509.load_pem_x509_certificate(pem)
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return pkcs12.serialize_key_and_certificates(b"smtp", key, leaf, None, encryption)  # type: ignore[arg-type] # an EC key


async def test_new_file_is_used_for_the_next_connection(tmp_path: Path) -> None:
    async with place_with(folder=tmp_path) as place:
        old = await place.tls_client()
        other = Authority()
        (tmp_path / "server.pem").write_bytes(other.server_pem())
        assert place.server.certificates is not None
        await place.server.certificates.load()
        with pytest.raises(ssl.SSLCertVerificationError):
            await place.tls_client()
        place.authority = other
        assert (await (await place.tls_client()).sign_in("app", KEY)).startswith("235 ")
        starting = await place.client()
        await starting.start_tls(other)
        assert (await old.sign_in("app", KEY)).startswith("235 ")


@pytest.mark.parametrize("damage", ["missing", "half", "other key", "password"])
async def test_unusable_file_leaves_the_certificate_before_in_use(tmp_path: Path, damage: str) -> None:
    authority, path = Authority(), tmp_path / "a.pem"
    pem = authority.server_pem()
    path.write_bytes(pem)
    loaded = of_file(path)
    await loaded.load()
    before = loaded.context
    key = load_pem_private_key(pem, None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    certificate = pem[pem.index(b"-----BEGIN CERTIFICATE") :]
    match damage:
        case "missing":
            path.unlink()
        case "half":
            path.write_bytes(pem[: len(pem) // 2])
        case "other key":
            path.write_bytes(Authority().server_pem().partition(b"-----BEGIN CERTIFICATE")[0] + certificate)
        case _:
            path.write_bytes(locked + certificate)
    with pytest.raises(SettingsError):
        await loaded.load()
    assert loaded.context is before is not None


async def test_key_may_be_in_a_file_of_its_own(tmp_path: Path) -> None:
    key, mark, certificate = Authority().server_pem().partition(b"-----BEGIN CERTIFICATE")
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "cert.pem").write_bytes(mark + certificate)
    loaded = Certificates(of_files(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")), clock=lambda: NOW)
    await loaded.load()
    assert loaded.context is not None


async def test_certificate_in_memory_is_loaded_where_the_system_has_no_such_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("os.memfd_create")
    assert certificates.context_of(Authority().server_pem()).get_ca_certs() == []


@pytest.mark.parametrize("form", ["pem", "pkcs12", "base64"])
def test_certificate_is_read_in_every_form(form: str) -> None:
    pem = Authority().server_pem()
    content = {"pem": pem, "pkcs12": as_pkcs12(pem), "base64": base64.b64encode(as_pkcs12(pem))}[form]
    assert x509.load_pem_x509_certificate(pem_of(content)) == x509.load_pem_x509_certificate(pem)
    assert certificates.context_of(pem_of(content)).get_ca_certs() == []


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x00\xff", base64.b64encode(b"no"), as_pkcs12(Authority().server_pem(), b"x")]
)
def test_content_that_is_no_certificate_is_refused_without_showing_it(content: bytes) -> None:
    with pytest.raises(SettingsError) as refused:
        pem_of(content)
    assert str(refused.value) == "the certificate is neither PEM nor PKCS #12 without a password"


@pytest.mark.parametrize("form", ["pem", "base64"])
async def test_certificate_comes_from_key_vault_and_is_renewed(form: str) -> None:
    def secret(authority: Authority) -> str:
        pem = authority.server_pem()
        return pem.decode() if form == "pem" else base64.b64encode(as_pkcs12(pem)).decode()

    async with KeyVaultStandIn() as vault:
        vault.put("smtp", secret(Authority()))
        settings = Settings(
            url="http://127.0.0.1:9",
            listen=(Endpoint(host="127.0.0.1", port=0),),
            certificate="vault:smtp",
            vault_url=vault.url,
        )
        [(client, password)] = vault.issuer.clients.items()
        environment = {
            "AZURE_TENANT_ID": vault.issuer.tenant,
            "AZURE_CLIENT_ID": client,
            "AZURE_CLIENT_SECRET": password,
            "AZURE_AUTHORITY_HOST": vault.url,
        }
        connector = aiohttp.TCPConnector(ssl=vault.authority.client_context())
        async with aiohttp.ClientSession(connector=connector) as http:
            opened = certificates.vault_of(settings, environment, http, lambda: NOW)
            loaded = Certificates(certificates.of_vault(settings.vault_secret, opened), clock=lambda: NOW)
            await loaded.load()
            first = loaded.context
            await loaded.load()
            assert loaded.context is first is not None
            vault.put("smtp", secret(Authority()))
            await loaded.load()
            assert loaded.context is not first
            vault.account = "forbidden"
            with pytest.raises(SettingsError, match="Key Vault Secrets User"):
                await loaded.load()
            await opened.close()


async def test_certificate_is_read_again_and_again_also_after_a_failure() -> None:
    old, new, is_over = Authority().server_pem(), Authority().server_pem(), asyncio.Event()
    found: list[bytes | Exception] = [old, old, SettingsError(["vault"]), RuntimeError("no such thing"), new]

    async def read() -> bytes:
        if not found:
            is_over.set()
            await asyncio.Event().wait()
        content = found.pop(0)
        if isinstance(content, Exception):
            raise content
        return content

    loaded = Certificates(read, clock=lambda: NOW)
    await loaded.load()
    before = loaded.context
    watching = asyncio.create_task(loaded.watch(0))
    await is_over.wait()
    watching.cancel()
    assert loaded.context is not before
