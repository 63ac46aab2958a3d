"""Who calls: a key (`Authorization: Bearer`, `x-api-key`), or Microsoft Entra by way of App Service authentication."""

import base64
import binascii
from collections.abc import Mapping, Sequence, Set
from urllib.parse import urlsplit

import msgspec

from relay.acceptance.policy import may_call_from
from relay.api.http import Request
from relay.api.login_throttle import LoginThrottle
from relay.clients.registry import Client, Clients, key_id_of
from relay.core.errors import Refusal

_OBJECT_CLAIMS = frozenset({"oid", "http://schemas.microsoft.com/identity/claims/objectidentifier"})
"""The user, or the service principal of an application."""
_APPLICATION_CLAIMS = frozenset({"appid", "azp"})
"""The application that asked for the token."""
_SCOPE_CLAIMS = frozenset({"scp", "http://schemas.microsoft.com/identity/claims/scope"})
"""Only tokens on behalf of a user have scopes
(learn.microsoft.com/entra/identity-platform/access-token-claims-reference, `scp`)."""
_TENANT_CLAIMS = frozenset({"tid", "http://schemas.microsoft.com/identity/claims/tenantid"})
"""The tenant that issued the token, under the name in the token or the one that App Service gives it
(learn.microsoft.com/entra/identity-platform/access-token-claims-reference, `tid`)."""
_PROVIDER = "aad"


class _Claim(msgspec.Struct, frozen=True):
    typ: str = ""
    val: str = ""


class _Principal(msgspec.Struct, frozen=True):
    auth_typ: str = ""
    claims: tuple[_Claim, ...] = ()


class Authentication:
    """Finds the client behind a request."""

    def __init__(
        self, clients: Clients, failures: LoginThrottle, *, trusts_entra: bool, tenants: Sequence[str] = ()
    ) -> None:
        """`trusts_entra`: App Service authentication is on (`WEBSITE_AUTH_ENABLED`), so its headers are not the caller's.

        `tenants` are the Entra tenants whose users and applications may call: ids are unique only within a tenant that is
        trusted.
        """
        self._clients = clients
        self._failures = failures
        self.trusts_entra = trusts_entra
        self._tenants = frozenset(tenant.lower() for tenant in tenants)

    async def client_of(self, request: Request) -> Client:
        """The client that calls.

        Raises `Refusal`: 401 without a valid key or principal, 403 from a wrong address or another site's page, 429 after
        many wrong keys.
        """
        key = _key_in(request.headers)
        client = await self._clients.by_key(key) if key else None
        if client is None and self.trusts_entra and not key:
            _refuse_other_sites(request)
            client = await self._clients.by_principal(_principals_in(request.headers, self._tenants))
        if client is None:
            if key:
                # Only wrong keys are slowed down: a right key from the same address (NAT, a front door) still works.
                self._failures.check(request.caller_address)
                self._failures.note(request.caller_address)
            raise _unauthenticated(has_key=bool(key))
        if key and (key_id := key_id_of(key)):
            await self._clients.note_use(key_id)
        if not may_call_from(client.policy, request.caller_address):
            raise Refusal(403, "address_not_allowed", "This client may not call from this address (policy: ip_ranges).")
        return client

    def credential_of(self, request: Request, client: Client) -> str:
        """Return what this client signed in with, for the audit log: the id of its key, or its Entra principal."""
        key = _key_in(request.headers)
        if key:
            return f"key:{key_id_of(key)}"
        named = {text.lower() for text in _principals_in(request.headers, self._tenants)}
        return next((f"entra:{text}" for text in client.principals if text.lower() in named), "")


def _refuse_other_sites(request: Request) -> None:
    """Refuse what another site's page makes a signed-in browser send: the browser adds the cookie, and says whose page it is.

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


def _principals_in(headers: Mapping[str, str], tenants: Set[str]) -> list[str]:
    """Return the Entra ids that App Service vouches for; none if they are another tenant's."""
    try:
        encoded = headers.get("x-ms-client-principal", "")
        principal = msgspec.json.decode(base64.b64decode(encoded, validate=True), type=_Principal)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return []
    issued_by = {claim.val.lower() for claim in principal.claims if claim.typ in _TENANT_CLAIMS}
    if principal.auth_typ != _PROVIDER or not issued_by or not issued_by <= tenants:
        return []
    # A user's token names the application too, but is not the application: whoever signs in to it would be its client.
    is_user = any(claim.typ in _SCOPE_CLAIMS for claim in principal.claims)
    wanted = _OBJECT_CLAIMS if is_user else _OBJECT_CLAIMS | _APPLICATION_CLAIMS
    return [claim.val for claim in principal.claims if claim.typ in wanted and claim.val]


def _unauthenticated(*, has_key: bool) -> Refusal:
    message = (
        "The key is not known, was removed or has expired."
        if has_key
        else "Send the client's key as `Authorization: Bearer <key>` (or `x-api-key: <key>`)."
    )
    return Refusal(401, "unauthenticated", message, headers={"WWW-Authenticate": "Bearer"})
