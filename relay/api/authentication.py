"""Authenticate callers: by key (`Authorization: Bearer`, `x-api-key`), or by Microsoft Entra through App Service."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from relay.acceptance.policy import may_call_from
from relay.api.entra.principal import caller_in
from relay.api.entra.roles import role_of
from relay.api.http import Request
from relay.api.login_throttle import LoginThrottle
from relay.clients.keys import Role, key_id_of
from relay.clients.registry import Client, Clients
from relay.core.errors import Refusal


class Authentication:
    """Finds the client behind a request."""

    def __init__(
        self,
        clients: Clients,
        failures: LoginThrottle,
        *,
        trusts_entra: bool,
        tenants: Sequence[str] = (),
        roles: Mapping[str, Role] | None = None,
    ) -> None:
        """`trusts_entra`: App Service authentication is on (`WEBSITE_AUTH_ENABLED`), so callers cannot set its headers.

        `tenants` are the Entra tenants whose users and applications may call: ids are unique only within a trusted tenant.
        `roles` are the roles of people, by app role or group.
        """
        self._clients = clients
        self._failures = failures
        self.trusts_entra = trusts_entra
        self._tenants = frozenset(tenant.lower() for tenant in tenants)
        self._roles = roles or {}

    async def client_of(self, request: Request) -> Client:
        """Return the client that calls.

        Raises `Refusal`: 401 without a valid key or principal, 403 from a wrong address or another site's page or without a
        role, 429 after many wrong keys.
        """
        key = _key_in(request.headers)
        client = await self._clients.by_key(key) if key else None
        if client is None and self.trusts_entra and not key:
            _refuse_other_sites(request)
            client = await self._entra_client(request.headers)
        if client is None:
            if key:
                # Only wrong keys are limited: a valid key from the same address (NAT, a front door) still works.
                self._failures.check(request.caller_address)
                self._failures.note(request.caller_address)
            raise _unauthenticated(has_key=bool(key))
        if key and (key_id := key_id_of(key)):
            await self._clients.note_use(key_id)
        if not may_call_from(client.policy, request.caller_address):
            raise Refusal(403, "address_not_allowed", "This client may not call from this address (policy: ip_ranges).")
        return client

    def credential_of(self, request: Request, client: Client) -> str:
        """Return the credential of this call, for the audit log: the id of the client's key, or its Entra principal."""
        key = _key_in(request.headers)
        if key:
            return f"key:{key_id_of(key)}"
        caller = caller_in(request.headers, self._tenants)
        if caller is None or not caller.ids:
            return ""
        named = {text.lower() for text in caller.ids}
        return "entra:" + next((text for text in client.principals if text.lower() in named), caller.ids[0])

    async def _entra_client(self, headers: Mapping[str, str]) -> Client | None:
        """Return the client mapped to the principal, or the one for a person's role. Raises `Refusal` (403) without a role."""
        caller = caller_in(headers, self._tenants)
        if caller is None or not caller.ids:
            return None
        client = await self._clients.by_principal(caller.ids)
        if client is not None or caller.is_application or not self._roles:
            return client
        role = role_of(caller, self._roles)
        client = await self._clients.of_role(role)
        # The setting decides the role, even if the row was changed.
        return None if client.is_disabled else msgspec.structs.replace(client, role=role)


def _refuse_other_sites(request: Request) -> None:
    """Refuse requests that another site's page makes in a signed-in browser: the browser adds the cookie, and names the site.

    Sources: Fetch Metadata Request Headers (W3C), `Sec-Fetch-Site`; a browser that does not send it sends `Origin` with
    every request that may change something (RFC 6454 section 7). Programs send neither.
    """
    site = request.headers.get("sec-fetch-site", "").lower()
    if site not in ("", "same-origin", "none") or (not site and not _is_own_origin(request)):
        raise Refusal(
            403, "cross_site", "Cross-site request blocked: only Relay's own pages may use the browser's sign-in."
        )


def _is_own_origin(request: Request) -> bool:
    origin = request.headers.get("origin", "")
    return not origin or urlsplit(origin).netloc.lower() == urlsplit(request.url).netloc.lower()


def _key_in(headers: Mapping[str, str]) -> str:
    scheme, _, value = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return headers.get("x-api-key", "").strip()


def _unauthenticated(*, has_key: bool) -> Refusal:
    message = (
        "The key is not known, was removed or has expired."
        if has_key
        else "Send the client's key as `Authorization: Bearer <key>` (or `x-api-key: <key>`)."
    )
    return Refusal(401, "unauthenticated", message, headers={"WWW-Authenticate": "Bearer"})
