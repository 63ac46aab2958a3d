"""Stand-in for Microsoft Entra's token endpoint: client credentials by secret or certificate, and managed identity.

The stand-ins that accept its tokens (Graph, Key Vault, ACS, SMTP) mount it; several can share one
issuer. azure-identity requires https for an authority, so those stand-ins use TLS. Its
asynchronous credentials post directly to the token endpoint; the synchronous ones (msal) first read
the OpenID discovery document. Source: learn.microsoft.com/entra/identity-platform/
v2-oauth2-client-creds-grant-flow, reference-error-codes.

Script operation: `token` (of the stand-in that mounts it).
"""

import base64
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from standins.http import Acceptance, Clock, StandIn, json_response, utc_now
from standins.tls import Authority

DEFAULT_TENANT = "11111111-2222-3333-4444-555555555555"
DEFAULT_CLIENT = "66666666-7777-8888-9999-000000000000"
DEFAULT_SECRET = "standin-client-secret"  # noqa: S105 (a made-up credential of a local stand-in)
DEFAULT_IDENTITY_HEADER = "standin-identity-header"
_LIFETIME = timedelta(hours=1)


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """The claims of an issued token."""

    client_id: str
    audience: str
    expires_at: datetime


class TokenIssuer:
    """Issues opaque tokens and checks them. `revoke()` invalidates all issued tokens."""

    def __init__(
        self,
        *,
        tenant: str = DEFAULT_TENANT,
        secrets_by_client: Mapping[str, str] | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self.tenant = tenant
        self.clients = dict(secrets_by_client or {DEFAULT_CLIENT: DEFAULT_SECRET})
        self.certificates: dict[str, x509.Certificate] = {}
        self.identity_header = DEFAULT_IDENTITY_HEADER
        self.issued = 0
        self._clock = clock
        self._tokens: dict[str, Token] = {}

    def issue(self, audience: str, client_id: str = DEFAULT_CLIENT) -> str:
        """Issue a token for an audience (a resource, without `/.default`)."""
        text = f"eyJ0eXAiOiJKV1QifQ.{secrets.token_urlsafe(24)}.standin"
        self.issued += 1
        self.accept(text, audience, client_id)
        return text

    def accept(self, token: str, audience: str, client_id: str = DEFAULT_CLIENT) -> None:
        """Accept a token as if it had been issued."""
        self._tokens[token] = Token(
            client_id=client_id, audience=audience.rstrip("/"), expires_at=self._clock() + _LIFETIME
        )

    def revoke(self) -> None:
        self._tokens.clear()

    def is_valid(self, token: str, *audiences: str) -> bool:
        known = self._tokens.get(token)
        return known is not None and known.expires_at > self._clock() and known.audience in audiences

    def routes(self, standin: StandIn) -> list[web.RouteDef]:
        async def token(request: web.Request) -> web.StreamResponse:
            async def examine(_body: bytes) -> Acceptance | web.Response:
                return self._answer(request.match_info["tenant"], dict(await request.post()))

            return await standin.perform("token", request, examine)

        async def discovery(request: web.Request) -> web.Response:
            return self._discovery(request)

        return [
            web.post("/{tenant}/oauth2/v2.0/token", token),
            web.get("/{tenant}/v2.0/.well-known/openid-configuration", discovery),
            *self.identity_routes(standin),
        ]

    def identity_routes(self, standin: StandIn) -> list[web.RouteDef]:
        """Return App Service's managed identity endpoint: IDENTITY_ENDPOINT is its URL, IDENTITY_HEADER its secret."""

        async def identity(request: web.Request) -> web.StreamResponse:
            async def examine(_body: bytes) -> Acceptance | web.Response:
                return self._identity_answer(request)

            return await standin.perform("token", request, examine)

        return [web.get("/msi/token", identity)]

    def _identity_answer(self, request: web.Request) -> web.Response:
        """Respond as learn.microsoft.com/azure/app-service/overview-managed-identity says (REST endpoint reference)."""
        resource, client = request.query.get("resource", ""), request.query.get("client_id", DEFAULT_CLIENT)
        if request.headers.get("X-IDENTITY-HEADER") != self.identity_header:
            return json_response({"statusCode": 401, "message": "Unauthorized"}, 401)
        if request.query.get("api-version") != "2019-08-01" or not resource:
            return json_response({"statusCode": 400, "message": "Bad request"}, 400)
        if client not in self.clients:
            text = "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
            return json_response({"statusCode": 400, "message": text}, 400)
        return json_response(
            {
                "access_token": self.issue(resource, client),
                "expires_on": str(int((self._clock() + _LIFETIME).timestamp())),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": client,
            }
        )

    def _discovery(self, request: web.Request) -> web.Response:
        base = f"{request.scheme}://{request.host}/{request.match_info['tenant']}"
        return json_response(
            {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "issuer": f"{base}/v2.0",
                "response_types_supported": ["code", "id_token"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    def _answer(self, tenant: str, form: Mapping[str, Any]) -> web.Response:
        client, scope = str(form.get("client_id", "")), str(form.get("scope", ""))
        if tenant not in (self.tenant, "organizations"):
            return self._refuse(400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")
        if form.get("grant_type") != "client_credentials":
            return self._refuse(400, "unsupported_grant_type", 70003, "The grant type is not supported.")
        if client not in self.clients and client not in self.certificates:
            return self._refuse(400, "unauthorized_client", 700016, "Application was not found.")
        if not self._is_authentic(client, form):
            return self._refuse(401, "invalid_client", 7000215, "Invalid client secret provided.")
        audience, slash, default = scope.rpartition("/")
        if not slash or default != ".default":
            return self._refuse(400, "invalid_scope", 1002012, "The provided value for scope is not valid.")
        token = self.issue(audience, client)
        return json_response(
            {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token}
        )

    def _is_authentic(self, client: str, form: Mapping[str, Any]) -> bool:
        if "client_assertion" in form:
            certificate = self.certificates.get(client)
            return certificate is not None and _is_signed(str(form["client_assertion"]), certificate, self.tenant)
        return client in self.clients and form.get("client_secret") == self.clients[client]

    def _refuse(self, status: int, error: str, code: int, description: str) -> web.Response:
        moment = self._clock().strftime("%Y-%m-%d %H:%M:%SZ")
        trace = secrets.token_hex(16)
        return json_response(
            {
                "error": error,
                "error_description": f"AADSTS{code}: {description} Trace ID: {trace} Timestamp: {moment}",
                "error_codes": [code],
                "timestamp": moment,
                "trace_id": trace,
                "correlation_id": trace,
                "error_uri": f"https://login.microsoftonline.com/error?code={code}",
            },
            status,
        )


def _is_signed(assertion: str, certificate: x509.Certificate, tenant: str) -> bool:
    """Return whether a client assertion (a JWT, RS256 or PS256) is for this tenant and signed by the certificate's key."""
    signed, _, signature = assertion.rpartition(".")
    try:
        header, claims = (msgspec.json.decode(_unbase64(part), type=dict[str, Any]) for part in signed.split("."))
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey) or f"/{tenant}/" not in str(claims.get("aud")):
            return False
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        scheme = pss if header.get("alg") == "PS256" else padding.PKCS1v15()
        key.verify(_unbase64(signature), signed.encode(), scheme, hashes.SHA256())
    except (InvalidSignature, msgspec.MsgspecError, ValueError):
        return False
    return True


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class EntraStandIn(StandIn):
    """Entra alone, for tests without Graph. `url` is the authority, over TLS;
    `control_url` has the managed identity endpoint, `/msi/token`, without TLS as in App Service."""

    name = "entra"

    def __init__(
        self, *, authority: Authority | None = None, issuer: TokenIssuer | None = None, clock: Clock = utc_now
    ) -> None:
        self.authority = authority or Authority()
        super().__init__(clock=clock, tls=self.authority.server_context())
        self.issuer = issuer or TokenIssuer(clock=clock)

    def routes(self) -> list[web.RouteDef]:
        return self.issuer.routes(self)

    def control_routes(self) -> list[web.RouteDef]:
        return [*super().control_routes(), *self.issuer.identity_routes(self)]
