"""Read the claims of a Microsoft Entra principal that App Service authentication vouches for.

Sources: learn.microsoft.com/azure/app-service/configure-authentication-user-identities (the header),
learn.microsoft.com/entra/identity-platform/access-token-claims-reference (`roles`, `groups`, `scp`, `tid`).
"""

import base64
import binascii
from collections.abc import Mapping, Set

import msgspec

_OBJECT_CLAIMS = frozenset({"oid", "http://schemas.microsoft.com/identity/claims/objectidentifier"})
"""The user, or the service principal of an application."""
_APPLICATION_CLAIMS = frozenset({"appid", "azp"})
"""The application that requested the token."""
_SCOPE_CLAIMS = frozenset({"scp", "http://schemas.microsoft.com/identity/claims/scope"})
"""Only tokens on behalf of a user have scopes
(learn.microsoft.com/entra/identity-platform/access-token-claims-reference, `scp`)."""
_TENANT_CLAIMS = frozenset({"tid", "http://schemas.microsoft.com/identity/claims/tenantid"})
"""The tenant that issued the token, under the name in the token or the one that App Service gives it
(learn.microsoft.com/entra/identity-platform/access-token-claims-reference, `tid`)."""
_ROLE_CLAIMS = frozenset({"roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"})
_GROUP_CLAIMS = frozenset({"groups", "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups"})
_PROVIDER = "aad"


class _Claim(msgspec.Struct, frozen=True):
    typ: str = ""
    val: str = ""


class _Principal(msgspec.Struct, frozen=True):
    auth_typ: str = ""
    claims: tuple[_Claim, ...] = ()

    def values(self, names: Set[str]) -> list[str]:
        return [claim.val for claim in self.claims if claim.typ in names and claim.val]


class EntraCaller(msgspec.Struct, frozen=True, kw_only=True):
    """The signed-in caller. `ids` are object and application ids, the object's first. Of too many groups, a token lists none."""

    ids: tuple[str, ...]
    is_application: bool
    app_roles: frozenset[str]
    groups: frozenset[str]
    has_too_many_groups: bool


def caller_in(headers: Mapping[str, str], tenants: Set[str]) -> EntraCaller | None:
    """Return the signed-in caller; None without a sign-in, or if the header is malformed or names another tenant."""
    try:
        encoded = headers.get("x-ms-client-principal", "")
        principal = msgspec.json.decode(base64.b64decode(encoded, validate=True), type=_Principal)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return None
    issued_by = {text.lower() for text in principal.values(_TENANT_CLAIMS)}
    if principal.auth_typ != _PROVIDER or not issued_by or not issued_by <= tenants:
        return None
    # A user's token names the application too. It must not count as the application: else all its users would be its client.
    is_user = any(claim.typ in _SCOPE_CLAIMS for claim in principal.claims)
    applications = [] if is_user else principal.values(_APPLICATION_CLAIMS)
    return EntraCaller(
        ids=(*principal.values(_OBJECT_CLAIMS), *applications),
        is_application=bool(applications) or "app" in principal.values({"idtyp"}),
        app_roles=frozenset(principal.values(_ROLE_CLAIMS)),
        groups=frozenset(text.lower() for text in principal.values(_GROUP_CLAIMS)),
        has_too_many_groups=_has_too_many_groups(principal),
    )


def _has_too_many_groups(principal: _Principal) -> bool:
    """Return whether the token has a reference instead of the groups (learn.microsoft.com/entra/identity-platform/
    access-token-claims-reference, groups overage claim)."""
    return bool(principal.values({"hasgroups"})) or any("groups" in text for text in principal.values({"_claim_names"}))
