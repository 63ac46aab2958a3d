"""Stand-in for Azure Key Vault's secrets over TLS, with Entra's token endpoint on the same port.

A request without a valid token gets the challenge with tenant and resource. Versions, disabled secrets and
refusals follow the vault's documentation: learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses,
/general/rest-error-codes, /secrets/about-secrets, /rest/api/keyvault/secrets/get-secret. A secret past its `exp` is
still returned: the field is informational.

Script operations: `token`, `get`. In the inbox, `accepted` counts the returned secrets; there are no mails.
Control (besides `standins.http`): `POST /__standin__/secrets` `{"name", "value", "enabled"?, "expires_at"?}` sets one.
"""

import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

from standins.entra import TokenIssuer
from standins.http import Acceptance, Clock, StandIn, json_response, utc_now
from standins.tls import Authority

AUDIENCE = "https://vault.azure.net"
RETRY_AFTER_SECONDS = 1
_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")
_API_VERSION = re.compile(r"(7\.[0-9]|20[0-9]{2}-[0-9]{2}-[0-9]{2})(-preview(\.[0-9])?)?")

# Status, code, inner code and text of each refusal.
_REFUSALS: Mapping[str, tuple[int, str, str, str]] = {
    "forbidden": (
        403,
        "Forbidden",
        "ForbiddenByRbac",
        "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions"
        " were changed recently, please observe propagation time.\r\nAction: 'Microsoft.KeyVault/vaults/secrets/getSecret/"
        "action'\r\nAssignment: (not found)\r\nDecisionReason: 'DeniedWithNoValidRBAC'",
    ),
    "firewalled": (
        403,
        "Forbidden",
        "ForbiddenByFirewall",
        "Client address is not authorized and caller is not a trusted service.",
    ),
    "throttled": (
        429,
        "Throttled",
        "",
        "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached",
    ),
}


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a secret. The repr hides the value."""

    id: str
    value: str
    is_enabled: bool
    created_at: datetime
    expires_at: datetime | None

    def __repr__(self) -> str:
        return f"Version(id={self.id!r})"


class _Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    value: str
    enabled: bool = True
    expires_at: datetime | None = None


class KeyVaultStandIn(StandIn):
    """A stand-in for a vault. `url` is https://localhost:port: both the vault and the authority for azure-identity. Clients must
    trust `authority`.

    `put` sets a secret's newest version. Account states other than `active` refuse every read.
    """

    name = "key_vault"
    account_states = ("active", *_REFUSALS)

    def __init__(
        self,
        *,
        authority: Authority | None = None,
        issuer: TokenIssuer | None = None,
        clock: Clock = utc_now,
        port: int = 0,
    ) -> None:
        self.authority = authority or Authority()
        super().__init__(clock=clock, port=port, tls=self.authority.server_context())
        self.issuer = issuer or TokenIssuer(clock=clock)
        self._secrets: dict[str, list[Version]] = {}

    def put(self, name: str, value: str, *, is_enabled: bool = True, expires_at: datetime | None = None) -> str:
        """Set the newest version of a secret. Return the version's id. Raises `ValueError` for an invalid name."""
        if not _NAME.fullmatch(name):
            raise ValueError("a secret's name must be 1 to 127 letters, digits and hyphens")
        version = Version(
            id=secrets.token_hex(16),
            value=value,
            is_enabled=is_enabled,
            created_at=self.clock(),
            expires_at=expires_at,
        )
        self._secrets.setdefault(name.lower(), []).append(version)
        return version.id

    def routes(self) -> list[web.RouteDef]:
        return [
            *self.issuer.routes(self),
            web.get("/secrets/{name}", self._get),
            web.get("/secrets/{name}/", self._get),
            web.get("/secrets/{name}/{version}", self._get),
        ]

    def control_routes(self) -> list[web.RouteDef]:
        return [
            *super().control_routes(),
            *self.issuer.identity_routes(self),
            web.post("/__standin__/secrets", self._put),
        ]

    def default_body(self, status: int) -> Any:
        known = next((refusal for refusal in _REFUSALS.values() if refusal[0] == status), None)
        return _error(*known[1:]) if known else _error("InternalServerError", "", f"scripted {status}")

    async def _get(self, request: web.Request) -> web.StreamResponse:
        async def examine(_body: bytes) -> Acceptance | web.Response:
            return self._refusal(request) or self._given(request)

        return await self.perform("get", request, examine)

    def _refusal(self, request: web.Request) -> web.Response | None:
        """Refuse a request for any secret: missing token, old API version, account without access."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return self._challenge("AKV10000: Request is missing a Bearer or PoP token.")
        if not self.issuer.is_valid(token, AUDIENCE):
            return self._challenge(
                "AKV10046: Unable to resolve the key used for signature validation.", "invalid_token"
            )
        if not _API_VERSION.fullmatch(request.query.get("api-version", "")):
            return json_response(_error("BadParameter", "", "The specified version is not recognized"), 400)
        if self.account != "active":
            status, *words = _REFUSALS[self.account]
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 429 else {}
            return json_response(_error(*words), status, headers)
        return None

    def _challenge(self, words: str, error: str = "") -> web.Response:
        parameters = {"authorization": f"{self.url}/{self.issuer.tenant}", "resource": AUDIENCE}
        if error:
            parameters |= {"error": error, "error_description": words}
        challenge = ", ".join(f'{key}="{value}"' for key, value in parameters.items())
        return json_response(_error("Unauthorized", "", words), 401, {"WWW-Authenticate": f"Bearer {challenge}"})

    def _given(self, request: web.Request) -> Acceptance | web.Response:
        name, wanted = request.match_info["name"], request.match_info.get("version", "")
        versions = self._secrets.get(name.lower(), [])
        version = next((known for known in reversed(versions) if wanted in ("", known.id)), None)
        if version is None:
            words = f"A secret with (name/id) {name}{'/' * bool(wanted)}{wanted} was not found in this key vault."
            return json_response(_error("SecretNotFound", "", words), 404)
        if not version.is_enabled:
            words = "Operation get is not allowed on a disabled secret."
            return json_response(_error("Forbidden", "SecretDisabled", words), 403)

        async def commit() -> None:
            self.inbox.count(None)

        return Acceptance(commit=commit, response=json_response(self._bundle(name, version)))

    def _bundle(self, name: str, version: Version) -> dict[str, Any]:
        created = int(version.created_at.timestamp())
        attributes: dict[str, Any] = {"enabled": True, "created": created, "updated": created}
        if version.expires_at is not None:
            attributes["exp"] = int(version.expires_at.timestamp())
        attributes |= {"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90}
        return {
            "value": version.value,
            "id": f"{self.url}/secrets/{name}/{version.id}",
            "attributes": attributes,
            "tags": {},
        }

    async def _put(self, request: web.Request) -> web.Response:
        try:
            order = msgspec.json.decode(await request.read(), type=_Order)
            version = self.put(order.name, order.value, is_enabled=order.enabled, expires_at=order.expires_at)
        except (msgspec.MsgspecError, ValueError) as error:
            return json_response({"error": str(error)}, 400)
        return json_response({"version": version}, 201)


def _error(code: str, inner: str, words: str) -> dict[str, Any]:
    body: dict[str, Any] = {"code": code, "message": words}
    if inner:
        body["innererror"] = {"code": inner}
    return {"error": body}
