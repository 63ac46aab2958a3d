"""The vault's protocol, with the vendor's client and on the wire."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity.aio import ClientSecretCredential
from azure.keyvault.secrets.aio import SecretClient

from standins.entra import DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT
from standins.key_vault import AUDIENCE, KeyVaultStandIn
from standins.tls import Authority

API = {"api-version": "7.4"}


@pytest.fixture
async def vault(authority: Authority) -> AsyncIterator[KeyVaultStandIn]:
    async with KeyVaultStandIn(authority=authority) as standin:
        yield standin


@pytest.fixture
async def client(vault: KeyVaultStandIn, authority: Authority, tmp_path: Path) -> AsyncIterator[SecretClient]:
    trust: dict[str, Any] = {"connection_verify": str(authority.write(tmp_path / "ca.pem")), "retry_total": 0}
    credential = ClientSecretCredential(
        DEFAULT_TENANT, DEFAULT_CLIENT, DEFAULT_SECRET, authority=vault.url, disable_instance_discovery=True, **trust
    )
    async with credential, SecretClient(vault.url, credential, verify_challenge_resource=False, **trust) as opened:
        yield opened


async def get(
    vault: KeyVaultStandIn, https: aiohttp.ClientSession, path: str, token: str = "", **query: str
) -> tuple[int, Any, str]:
    """Return status, body and challenge."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with https.get(f"{vault.url}{path}", headers=headers, params=query or API) as response:
        return response.status, await response.json(), response.headers.get("WWW-Authenticate", "")


async def test_vendors_client_answers_the_challenge_and_reads_the_newest_version(
    vault: KeyVaultStandIn, client: SecretClient
) -> None:
    ends = datetime(2030, 1, 1, tzinfo=UTC)
    first = vault.put("key", "one")
    second = vault.put("key", "two", expires_at=ends)
    secret = await client.get_secret("key")
    assert (secret.value, secret.properties.version, secret.properties.expires_on) == ("two", second, ends)
    assert (await client.get_secret("KEY", first)).value == "one"
    assert (vault.issuer.issued, vault.inbox.accepted, vault.inbox.refused[401]) == (1, 2, 1)


async def test_vendors_client_raises_each_refusal(vault: KeyVaultStandIn, client: SecretClient) -> None:
    vault.put("off", "value", is_enabled=False)
    with pytest.raises(ResourceNotFoundError, match="SecretNotFound"):
        await client.get_secret("none")
    with pytest.raises(HttpResponseError, match="not allowed on a disabled secret") as disabled:
        await client.get_secret("off")
    assert disabled.value.error is not None
    assert disabled.value.error.innererror == {"code": "SecretDisabled"}
    for state, status in (("forbidden", 403), ("firewalled", 403), ("throttled", 429)):
        vault.account = state
        with pytest.raises(HttpResponseError) as refused:
            await client.get_secret("off")
        assert refused.value.status_code == status


async def test_revoked_token_is_challenged_again(vault: KeyVaultStandIn, client: SecretClient) -> None:
    vault.put("key", "one")
    await client.get_secret("key")
    vault.issuer.revoke()
    with pytest.raises(ClientAuthenticationError):
        # The credential caches its token: the vendor's client treats the second refusal as final.
        await client.get_secret("key")


async def test_challenge_has_tenant_and_resource(vault: KeyVaultStandIn, https: aiohttp.ClientSession) -> None:
    status, body, challenge = await get(vault, https, "/secrets/key")
    assert (status, body["error"]["code"]) == (401, "Unauthorized")
    assert challenge == f'Bearer authorization="{vault.url}/{DEFAULT_TENANT}", resource="{AUDIENCE}"'
    other = vault.issuer.issue("https://graph.microsoft.com")
    status, _, challenge = await get(vault, https, "/secrets/key", other)
    assert status == 401
    assert 'error="invalid_token"' in challenge


@pytest.mark.parametrize(
    ("version", "status"), [("", 400), ("1.0", 400), ("7.4", 404), ("7.6-preview.2", 404), ("2026-04-01", 404)]
)
async def test_missing_api_version_is_refused(
    vault: KeyVaultStandIn, https: aiohttp.ClientSession, version: str, status: int
) -> None:
    token = vault.issuer.issue(AUDIENCE)
    assert (await get(vault, https, "/secrets/none", token, **{"api-version": version}))[0] == status


async def test_expired_secret_is_still_returned(vault: KeyVaultStandIn, https: aiohttp.ClientSession) -> None:
    vault.put("key", "one", expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    status, body, _ = await get(vault, https, "/secrets/key/", vault.issuer.issue(AUDIENCE))
    assert (status, body["value"], body["attributes"]["exp"]) == (200, "one", 1_577_836_800)


async def test_throttling_has_retry_after(vault: KeyVaultStandIn, https: aiohttp.ClientSession) -> None:
    vault.account = "throttled"
    headers = {"Authorization": f"Bearer {vault.issuer.issue(AUDIENCE)}"}
    async with https.get(f"{vault.url}/secrets/key", headers=headers, params=API) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "1")
        assert (await response.json())["error"]["code"] == "Throttled"


async def test_scripted_fault_applies(vault: KeyVaultStandIn, https: aiohttp.ClientSession) -> None:
    token = vault.issuer.issue(AUDIENCE)
    for status, code in ((429, "Throttled"), (500, "InternalServerError")):
        vault.script.respond(status, operation="get")
        assert (await get(vault, https, "/secrets/none", token))[1]["error"]["code"] == code


async def test_control_route_sets_secrets_and_the_repr_hides_them(
    vault: KeyVaultStandIn, https: aiohttp.ClientSession
) -> None:
    url = f"{vault.control_url}/__standin__/secrets"
    async with https.post(url, json={"name": "key", "value": "hush"}) as response:
        assert response.status == 201
    async with https.post(url, json={"name": "under_score", "value": "hush"}) as response:
        assert response.status == 400
    assert (await get(vault, https, "/secrets/key", vault.issuer.issue(AUDIENCE)))[1]["value"] == "hush"
    assert "hush" not in repr(vars(vault))
