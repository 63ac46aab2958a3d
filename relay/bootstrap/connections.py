"""Network connections other than storage: providers, Key Vault, Entra ID, webhook receivers, telemetry."""

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING, Any

from relay.bootstrap.stores import Stores
from relay.platform.telemetry import OFF, Telemetry

if TYPE_CHECKING:
    from relay.events.webhooks.http_post import Poster
    from relay.platform.entra_tokens import Credentials
    from relay.platform.http.client import HttpClient
    from relay.platform.key_vault import KeyVault
    from relay.platform.secrets import SecretSource
    from relay.providers.contract import Provider, ProviderContext


class Connections(Stores):
    """Opens each connection when it is first used, and closes all."""

    @cached_property
    def http(self) -> "HttpClient":
        """Sends requests to providers."""
        from relay.platform.http.client import HttpClient

        return HttpClient()

    @cached_property
    def _azure_session(self) -> Any:
        import aiohttp

        return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())

    def azure_session(self) -> Any:
        """Return the `aiohttp.ClientSession` of Azure's libraries: azure-identity, and the SDK of Key Vault."""
        return self._azure_session

    @cached_property
    def secrets(self) -> "SecretSource":
        """Keys and passwords from settings or Key Vault."""
        from relay.platform.secrets import SecretSource

        return SecretSource(application=self.settings.application, clock=self.clock, vault=self.vault)

    @cached_property
    def vault(self) -> "KeyVault | None":
        """Key Vault, if the settings name one."""
        if not self.settings.key_vault_url:
            return None
        from relay.platform.entra_tokens import application_credential
        from relay.platform.key_vault import KeyVault

        application = self.settings.application
        return KeyVault(
            url=self.settings.key_vault_url,
            credential=lambda: application_credential(application, self.azure_session()),
            http=self.azure_session,
            clock=self.clock,
        )

    @cached_property
    def credentials(self) -> "Credentials":
        """Tokens from Microsoft Entra."""
        from relay.platform.entra_tokens import Credentials

        return Credentials(http=self.azure_session, secrets=self.secrets)

    @cached_property
    def provider_context(self) -> "ProviderContext":
        """The dependencies of providers."""
        from relay.providers.contract import ProviderContext

        return ProviderContext(
            http=self.http,
            blobs=self.storage.blobs,
            secrets=self.secrets,
            clock=self.clock,
            credential=self.credentials,
            sleep=self.sleep,
        )

    @cached_property
    def _providers(self) -> "dict[str, Provider]":
        return {}

    def provider(self, route: str) -> "Provider":
        """Return the provider of a route. Raises `KeyError` for a route that is not configured."""
        if route not in self._providers:
            from relay.providers.registry import provider_module

            configured = self.settings.routes[route]
            module = provider_module(configured.provider)
            self._providers[route] = module.create(route, configured.settings, self.provider_context)
        return self._providers[route]

    @cached_property
    def poster(self) -> "Poster":
        """Sends webhook requests to URLs that callers chose."""
        from relay.events.webhooks.address_guard import Guard
        from relay.events.webhooks.http_post import Poster

        return Poster(Guard(allows_loopback=self.settings.webhooks_allow_loopback), self.clock)

    @cached_property
    def telemetry(self) -> Telemetry:
        """Metrics and traces, if RELAY_TELEMETRY enables them."""
        if not self.settings.telemetry:
            return OFF
        from relay.platform.entra_tokens import blocking_credential
        from relay.platform.exporters import telemetry_of

        application = self.settings.application
        return telemetry_of(self.settings.telemetry, application, self.clock, lambda: blocking_credential(application))

    async def close(self) -> None:
        """Close all connections."""
        for provider in self._providers.values():
            await provider.close()
        if "telemetry" in self.__dict__:
            await asyncio.to_thread(self.telemetry.close)
        if "poster" in self.__dict__:
            self.poster.close()
        if "credentials" in self.__dict__:
            await self.credentials.close()
        if "vault" in self.__dict__ and self.vault is not None:
            await self.vault.close()
        if "http" in self.__dict__:
            self.http.close()
        if "_azure_session" in self.__dict__:
            await self._azure_session.close()
        close = getattr(self.storage, "close", None)
        if close is not None:
            await close()
