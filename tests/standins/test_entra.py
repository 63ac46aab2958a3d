"""The token endpoint works with azure-identity's credentials and refuses what Entra refuses."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity.aio import CertificateCredential, ClientSecretCredential, ManagedIdentityCredential

from standins.entra import DEFAULT_CLIENT, DEFAULT_IDENTITY_HEADER, DEFAULT_SECRET, DEFAULT_TENANT, EntraStandIn
from standins.tls import Authority

GRAPH = "https://graph.microsoft.com"


@pytest.fixture
async def entra(authority: Authority) -> AsyncIterator[EntraStandIn]:
    async with EntraStandIn(authority=authority) as standin:
        yield standin


@pytest.fixture
def surroundings(entra: EntraStandIn, authority: Authority, tmp_path: Path) -> dict[str, Any]:
    """Return the options with which a credential finds and trusts the stand-in."""
    return {
        "authority": entra.url,
        "disable_instance_discovery": True,
        "connection_verify": str(authority.write(tmp_path / "ca.pem")),
        "retry_total": 0,
    }


async def test_client_secret_gets_a_token_for_its_scope(entra: EntraStandIn, surroundings: dict[str, Any]) -> None:
    async with ClientSecretCredential(DEFAULT_TENANT, DEFAULT_CLIENT, DEFAULT_SECRET, **surroundings) as credential:
        token = (await credential.get_token(f"{GRAPH}/.default")).token
    assert entra.issuer.is_valid(token, GRAPH)
    assert not entra.issuer.is_valid(token, "https://vault.azure.net")
    entra.issuer.revoke()
    assert not entra.issuer.is_valid(token, GRAPH)


async def test_wrong_secret_is_refused_with_entras_error(surroundings: dict[str, Any]) -> None:
    async with ClientSecretCredential(DEFAULT_TENANT, DEFAULT_CLIENT, "wrong", **surroundings) as credential:
        with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
            await credential.get_token(f"{GRAPH}/.default")


async def test_only_the_registered_certificate_gets_a_token(entra: EntraStandIn, surroundings: dict[str, Any]) -> None:
    pem, certificate = Authority.client_credential("app")
    async with CertificateCredential(
        DEFAULT_TENANT, DEFAULT_CLIENT, certificate_data=pem, **surroundings
    ) as credential:
        with pytest.raises(ClientAuthenticationError):
            await credential.get_token(f"{GRAPH}/.default")
        entra.issuer.certificates[DEFAULT_CLIENT] = Authority.client_credential("other")[1]
        with pytest.raises(ClientAuthenticationError):
            await credential.get_token(f"{GRAPH}/.default")
        entra.issuer.certificates[DEFAULT_CLIENT] = certificate
        token = (await credential.get_token(f"{GRAPH}/.default")).token
    assert entra.issuer.is_valid(token, GRAPH)


async def test_managed_identity_gets_a_token_as_on_app_service(
    entra: EntraStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{entra.control_url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", DEFAULT_IDENTITY_HEADER)
    async with ManagedIdentityCredential() as credential:
        token = (await credential.get_token(f"{GRAPH}/.default")).token
    assert entra.issuer.is_valid(token, GRAPH)
    async with ManagedIdentityCredential(client_id="nobody", retry_total=0) as credential:
        with pytest.raises(ClientAuthenticationError):
            await credential.get_token(f"{GRAPH}/.default")


async def test_scripted_fault_applies_to_the_token_endpoint(entra: EntraStandIn, surroundings: dict[str, Any]) -> None:
    entra.script.respond(503, operation="token")
    async with ClientSecretCredential(DEFAULT_TENANT, DEFAULT_CLIENT, DEFAULT_SECRET, **surroundings) as credential:
        with pytest.raises(ClientAuthenticationError):
            await credential.get_token(f"{GRAPH}/.default")
        assert (await credential.get_token(f"{GRAPH}/.default")).token
