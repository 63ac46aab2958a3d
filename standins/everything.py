"""Run all stand-ins in one process, with settings that point the app to them.

The recipients' domain selects the provider: `*@sendgrid.test` goes through SendGrid, and so on. Mail to other domains
stays in the app's own inbox. All keys are in the Key Vault stand-in, the certificate authority is in a file.
"""

import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from standins.acs.server import DEFAULT_KEY as ACS_KEY
from standins.acs.server import AcsStandIn
from standins.entra import DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT, TokenIssuer
from standins.graph.server import GraphStandIn
from standins.http import StandIn
from standins.key_vault import KeyVaultStandIn
from standins.sendgrid.server import DEFAULT_KEY as SENDGRID_KEY
from standins.sendgrid.server import SendGridStandIn
from standins.smtp.server import DEFAULT_PASSWORD, DEFAULT_USER, SmtpStandIn
from standins.tls import Authority

SECRETS: Mapping[str, str] = {
    "sendgrid-key": SENDGRID_KEY,
    "acs-key": ACS_KEY,
    "graph-client-secret": DEFAULT_SECRET,
    "smtp-password": DEFAULT_PASSWORD,
}
"""The vault's content."""
TOP_DOMAIN = "test"
"""Reserved for tests (RFC 6761 section 6.2); a provider's domain is a subdomain with its name."""


class Everything:
    """The stand-ins, listening for as long as the context is open. `folder` is for the authority's certificate."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority()
        issuer = TokenIssuer()
        self.sendgrid = SendGridStandIn()
        self.graph = GraphStandIn(authority=self.authority, issuer=issuer)
        self.acs = AcsStandIn(issuer=issuer)
        self.smtp = SmtpStandIn(authority=self.authority, issuer=issuer)
        self.vault = KeyVaultStandIn(authority=self.authority, issuer=issuer)
        self._bundle = folder / "authorities.pem"
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._bundle.write_bytes(_usual_authorities() + self.authority.pem)
        for name, value in SECRETS.items():
            self.vault.put(name, value)
        for standin in self._all():
            await self._exits.enter_async_context(standin)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    def settings(self) -> dict[str, str]:
        """Return application settings that point to the stand-ins."""
        routes, rules = self._routes(), [_rule(standin.name) for standin in self._providers()]
        return {
            "RELAY_ROUTES": msgspec.json.encode(routes).decode(),
            "RELAY_ROUTING": msgspec.json.encode(rules).decode(),
            "RELAY_KEY_VAULT_URL": self.vault.url,
            "AZURE_TENANT_ID": DEFAULT_TENANT,
            "AZURE_CLIENT_ID": DEFAULT_CLIENT,
            "AZURE_CLIENT_SECRET": DEFAULT_SECRET,
            "AZURE_AUTHORITY_HOST": self.vault.url,
            # OpenSSL's own variable: the authorities that every TLS client of the process trusts.
            "SSL_CERT_FILE": str(self._bundle),
        }

    def inboxes(self) -> dict[str, str]:
        """Return the URL of each provider's inbox, by provider."""
        return {standin.name: f"{standin.control_url}/__standin__/inbox" for standin in self._providers()}

    def _providers(self) -> tuple[StandIn, ...]:
        return (self.sendgrid, self.graph, self.acs, self.smtp)

    def _all(self) -> tuple[StandIn, ...]:
        return (*self._providers(), self.vault)

    def _routes(self) -> dict[str, dict[str, Any]]:
        """Return the routes. The first one is for mail that matches no rule."""
        return {
            "capture": {"provider": "capture"},
            "sendgrid": {"provider": "sendgrid", "base_url": self.sendgrid.url, "api_key": "vault:sendgrid-key"},
            "graph": {
                "provider": "graph",
                "base_url": self.graph.url,
                "authority": self.graph.url,
                "tenant_id": DEFAULT_TENANT,
                "client_id": DEFAULT_CLIENT,
                "client_secret": "vault:graph-client-secret",
            },
            "acs": {"provider": "acs", "endpoint": self.acs.url, "access_key": "vault:acs-key"},
            "smtp": {
                "provider": "smtp",
                "host": self.smtp.host,
                "port": self.smtp.port,
                "username": DEFAULT_USER,
                "password": "vault:smtp-password",
            },
        }


def domain_of(provider: str) -> str:
    """Return the domain whose mail goes through this provider."""
    return f"{provider}.{TOP_DOMAIN}"


def _rule(provider: str) -> dict[str, Any]:
    return {"when": {"recipient_domains": [domain_of(provider)]}, "routes": [provider]}


def _usual_authorities() -> bytes:
    """Return the authorities that the process trusts by default, so that real servers still work; empty without a file."""
    usual = ssl.get_default_verify_paths().cafile
    return Path(usual).read_bytes() + b"\n" if usual else b""
