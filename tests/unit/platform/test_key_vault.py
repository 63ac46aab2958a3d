"""Secrets from Key Vault over real HTTPS: reads, caching, rotation, and no leaks."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from relay.bootstrap import Relay
from relay.bootstrap.configuration import load
from relay.core.errors import SettingsError
from relay.core.outcomes import RouteFault, Sent
from relay.platform.entra_tokens import application_credential
from relay.platform.http.client import HttpClient
from relay.platform.key_vault import KeyVault
from relay.platform.secrets import LIFETIME, REFRESH_PAUSE, SecretSource
from relay.platform.storage.memory.memory_storage import memory_storage
from relay.providers.contract import ProviderContext
from relay.providers.sendgrid import provider
from standins.entra import DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT
from standins.key_vault import KeyVaultStandIn
from standins.sendgrid.server import SendGridStandIn
from tests.send_requests import NOW
from tests.unit.providers.sendgrid.sendgrid_route import send_request

TOKEN_START = "eyJ0eXAi"
APPLICATION = {
    "AZURE_TENANT_ID": DEFAULT_TENANT,
    "AZURE_CLIENT_ID": DEFAULT_CLIENT,
    "AZURE_CLIENT_SECRET": DEFAULT_SECRET,
}


class Place:
    """A vault and secrets read from it. Tests move `now`."""

    def __init__(self, vault: KeyVaultStandIn, session: aiohttp.ClientSession) -> None:
        self.vault = vault
        self.http = HttpClient()
        self.session = session
        self.now = NOW
        self.application = {**APPLICATION, "AZURE_AUTHORITY_HOST": vault.url}
        self.reader = KeyVault(
            url=vault.url,
            credential=lambda: application_credential(self.application, session),
            http=lambda: session,
            clock=lambda: self.now,
        )
        self.secrets = SecretSource(application={}, clock=lambda: self.now, vault=self.reader)

    @property
    def readings(self) -> int:
        """Return the number of secrets that the vault returned."""
        return self.vault.inbox.accepted

    async def fault(self, name: str = "key") -> str:
        """Return why a secret cannot be read."""
        with pytest.raises(SettingsError) as caught:
            await self.reader.read(name)
        return str(caught.value)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with KeyVaultStandIn() as vault:
        connector = aiohttp.TCPConnector(ssl=vault.authority.client_context())
        async with aiohttp.ClientSession(connector=connector) as session:
            here = Place(vault, session)
            yield here
            here.http.close()
            await here.reader.close()
            assert not session.closed


async def test_vault_is_first_read_with_the_first_secret_and_then_cached(place: Place) -> None:
    place.vault.put("key", "one")
    assert place.vault.inbox.requests == 0
    assert [await place.secrets.get("vault:key") for _ in range(3)] == ["one"] * 3
    # The challenge, the token, the secret.
    assert (place.vault.inbox.requests, place.readings) == (3, 1)
    place.vault.put("key", "two")
    place.now += LIFETIME - timedelta(seconds=1)
    assert await place.secrets.get("vault:key") == "one"
    place.now += timedelta(seconds=1)
    assert await place.secrets.get("vault:key") == "two"
    assert (place.readings, place.vault.issuer.issued) == (2, 1)


async def test_managed_identity_reads_secrets(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{place.vault.control_url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", place.vault.issuer.identity_header)
    place.application.clear()
    place.vault.put("key", "one")
    assert await place.secrets.get("vault:key") == "one"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("forbidden", "Key Vault refuses Relay's identity; it needs the role Key Vault Secrets User"),
        ("firewalled", "Key Vault's network rules block Relay"),
    ],
)
async def test_vault_refusal_is_explained(place: Place, state: str, words: str) -> None:
    place.vault.put("key", "hush")
    place.vault.account = state
    assert (await place.fault()).startswith(f"key: {words}")


async def test_missing_or_disabled_secret_is_explained(place: Place) -> None:
    place.vault.put("off", "hush", is_enabled=False)
    assert await place.fault("none") == "none: Key Vault has no secret of that name"
    assert await place.fault("off") == "off: the secret is disabled in Key Vault"


async def test_missing_vault_token_is_explained(place: Place) -> None:
    place.application["AZURE_CLIENT_SECRET"] = "wrong"
    assert await place.fault() == "key: Relay's identity got no token for Key Vault"


async def test_vault_error_is_retried_once_and_then_reported(place: Place) -> None:
    place.vault.put("key", "one")
    place.vault.script.respond(503, operation="get", headers={"Retry-After": "0"})
    assert await place.reader.read("key") == "one"
    place.vault.script.respond(503, operation="get", headers={"Retry-After": "0"}, times=None)
    assert await place.fault() == "key: Key Vault returned 503"


async def test_unreachable_vault_is_reported(place: Place) -> None:
    await place.vault.stop()
    assert (await place.fault()).startswith("key: no response from Key Vault (")


async def test_invalid_vault_url_is_reported(place: Place) -> None:
    reader = KeyVault(
        url="vault",
        credential=lambda: application_credential(place.application, place.session),
        http=lambda: place.session,
        clock=lambda: NOW,
    )
    with pytest.raises(
        SettingsError, match=r"key: (RELAY_KEY_VAULT_URL is not the address|no response from Key Vault)"
    ):
        await reader.read("key")
    await reader.close()


async def test_expired_secret_is_used_and_logged(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.vault.put("key", "one", expires_at=NOW - timedelta(days=2))
    with caplog.at_level(logging.WARNING):
        assert await place.secrets.get("vault:key") == "one"
    assert "secret_expiring" in caplog.text


class TestRotation:
    """A SendGrid route whose key is in the vault."""

    @pytest.fixture
    async def mail(self) -> AsyncIterator[SendGridStandIn]:
        async with SendGridStandIn(keys=["SG.one"]) as standin:
            yield standin

    def route(self, place: Place, mail: SendGridStandIn, key: str = "vault:key") -> Any:
        surroundings = ProviderContext(
            http=place.http, blobs=None, secrets=place.secrets, clock=lambda: place.now, credential=None
        )
        return provider.create("mail", {"base_url": mail.url, "api_key": key}, surroundings)

    async def test_key_rotated_in_the_vault_is_used_without_a_restart(
        self, place: Place, mail: SendGridStandIn
    ) -> None:
        place.vault.put("key", "SG.one")
        route = self.route(place, mail)
        assert isinstance(await route.send(send_request()), Sent)
        mail.keys = {"SG.two"}
        place.vault.put("key", "SG.two")
        place.now += timedelta(seconds=1)
        assert isinstance(await route.send(send_request()), Sent)
        assert isinstance(await route.send(send_request()), Sent)
        assert (place.readings, mail.inbox.requests, mail.inbox.accepted) == (2, 4, 3)

    async def test_refused_key_is_reread_at_most_once_per_pause(self, place: Place, mail: SendGridStandIn) -> None:
        place.vault.put("key", "SG.wrong")
        route = self.route(place, mail)
        for _ in range(5):
            outcome = await route.send(send_request())
            assert isinstance(outcome, RouteFault)
            assert outcome.code == "bad_credentials"
        assert place.readings == 2
        place.now += REFRESH_PAUSE
        await route.send(send_request())
        assert place.readings == 3

    async def test_either_of_two_keys_works_during_rotation(self, place: Place, mail: SendGridStandIn) -> None:
        place.vault.put("key-1", "SG.one")
        place.vault.put("key-2", "SG.two")
        route = self.route(place, mail, "vault:key-1,vault:key-2")
        for valid in ("SG.one", "SG.two", "SG.one"):
            mail.keys = {valid}
            assert isinstance(await route.send(send_request()), Sent)
            place.now += REFRESH_PAUSE
        mail.keys = {"SG.three"}
        place.vault.put("key-2", "SG.three")
        assert isinstance(await route.send(send_request()), Sent)

    async def test_vault_ahead_of_the_provider_loses_no_mail(self, place: Place, mail: SendGridStandIn) -> None:
        place.vault.put("key", "SG.one")
        route = self.route(place, mail)
        await route.send(send_request())
        place.vault.put("key", "SG.not yet valid")
        place.now += LIFETIME
        assert isinstance(await route.send(send_request()), Sent)

    async def test_log_contains_no_secret_and_no_token(
        self, place: Place, mail: SendGridStandIn, caplog: pytest.LogCaptureFixture
    ) -> None:
        place.vault.put("key", "SG.refused")
        caplog.set_level(logging.DEBUG)
        await self.route(place, mail).send(send_request())
        place.vault.put("key", "SG.one")
        place.now += REFRESH_PAUSE
        await self.route(place, mail).send(send_request())
        assert mail.inbox.accepted == 1
        assert "secrets/key" in caplog.text
        for secret in ("SG.refused", "SG.one", DEFAULT_SECRET, TOKEN_START):
            assert secret not in caplog.text


async def test_closing_the_application_closes_the_vault(place: Place) -> None:
    """The session does not trust the stand-in, so nothing is read, but the client is opened."""
    relay = Relay(
        load({**place.application, "RELAY_KEY_VAULT_URL": place.vault.url}), memory_storage(lambda: place.now)
    )
    vault = relay.vault
    assert vault is not None
    with pytest.raises(SettingsError):
        await vault.read("key")
    before = vault.is_open
    await relay.close()
    await relay.close()
    assert (before, vault.is_open) == (True, False)


async def test_cached_secret_is_used_during_a_reread(place: Place) -> None:
    place.vault.put("key", "one")
    await place.secrets.get("vault:key")
    place.now += LIFETIME
    place.vault.script.hang(operation="get")
    reading = asyncio.create_task(place.secrets.get("vault:key"))
    await place.vault.inbox.wait_for_requests(4)
    assert await place.secrets.get("vault:key") == "one"
    assert not reading.done()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await place.secrets.get("vault:key") == "one"
