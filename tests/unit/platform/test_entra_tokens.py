"""Tokens from azure-identity over real HTTPS, against a stand-in of Entra's token endpoint."""

import asyncio
import base64
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from relay.core.errors import SettingsError
from relay.core.outcomes import Deferred, RouteFault
from relay.platform.entra_tokens import Credentials, identity_problems
from standins.entra import DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT
from standins.graph.server import AUDIENCE, GraphStandIn

SCOPE = f"{AUDIENCE}/.default"


class Secrets:
    """Secrets by reference. `refresh` returns the value in `renewed`, if any."""

    def __init__(self, **values: str) -> None:
        self.values = {f"setting:{name}": value for name, value in values.items()}
        self.renewed: dict[str, str] = {}
        self.refreshed = 0

    async def get(self, reference: str) -> str:
        if reference not in self.values:
            raise SettingsError([f"{reference}: missing"])
        return self.values[reference]

    async def refresh(self, reference: str) -> str:
        self.refreshed += 1
        self.values |= self.renewed
        return await self.get(reference)


class Place:
    """A stand-in, credentials that use it, and the settings of such a route."""

    def __init__(self, entra: GraphStandIn, session: aiohttp.ClientSession) -> None:
        self.entra = entra
        self.secrets = Secrets(CLIENT_SECRET=DEFAULT_SECRET)
        self.credentials = Credentials(http=lambda: session, secrets=self.secrets)
        self.settings: dict[str, Any] = {
            "tenant_id": DEFAULT_TENANT,
            "client_id": DEFAULT_CLIENT,
            "client_secret": "setting:CLIENT_SECRET",
            "authority": entra.url,
        }

    async def token(self, refused: str = "") -> str:
        token = await self.credentials.token(self.settings, SCOPE, refused=refused)
        assert isinstance(token, str), token
        return token

    async def fault(self) -> Deferred | RouteFault:
        token = await self.credentials.token(self.settings, SCOPE)
        assert not isinstance(token, str)
        return token


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    async with GraphStandIn() as entra:
        connector = aiohttp.TCPConnector(ssl=entra.authority.client_context())
        async with aiohttp.ClientSession(connector=connector) as session:
            here = Place(entra, session)
            yield here
            await here.credentials.close()
            assert not session.closed


async def test_client_secret_gets_a_cached_token(place: Place) -> None:
    tokens = await asyncio.gather(*(place.token() for _ in range(10)))
    assert len(set(tokens)) == 1
    assert place.entra.issuer.issued == 1
    assert place.entra.issuer.is_valid(tokens[0], AUDIENCE)


async def test_concurrent_refusals_replace_the_token_once(place: Place) -> None:
    first = await place.token()
    tokens = await asyncio.gather(*(place.token(refused=first) for _ in range(10)))
    assert len(set(tokens)) == 1
    assert tokens[0] != first
    assert (place.entra.issuer.issued, place.secrets.refreshed) == (2, 1)


async def test_rotated_secret_is_used_without_a_restart(place: Place) -> None:
    place.entra.issuer.clients[DEFAULT_CLIENT] = "new"
    place.secrets.renewed = {"setting:CLIENT_SECRET": "new"}
    assert await place.token()
    assert place.secrets.refreshed == 1


async def test_wrong_secret_is_a_route_fault_and_not_shown(place: Place) -> None:
    place.secrets.values["setting:CLIENT_SECRET"] = "wrong-secret"
    fault = await place.fault()
    assert isinstance(fault, RouteFault)
    assert fault.code == "bad_credentials"
    assert "AADSTS7000215" in fault.reply
    assert "wrong-secret" not in fault.reply


async def test_unreadable_secret_is_a_route_fault(place: Place) -> None:
    place.secrets.values.clear()
    assert (await place.fault()).code == "secret_unavailable"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_failing_token_endpoint_defers(place: Place, status: int) -> None:
    place.entra.script.respond(status, operation="token", times=None, headers={"Retry-After": "0"})
    fault = await place.fault()
    assert isinstance(fault, Deferred)
    assert fault.code == "provider_unavailable"


async def test_unreachable_token_endpoint_defers(place: Place) -> None:
    place.settings["authority"] = "https://localhost:1"
    fault = await place.fault()
    assert isinstance(fault, Deferred)
    assert fault.code == "unreachable"


async def test_managed_identity_gets_a_token(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{place.entra.control_url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", place.entra.issuer.identity_header)
    place.settings = {"managed_identity": True}
    assert place.entra.issuer.is_valid(await place.token(), AUDIENCE)
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    place.settings = {"managed_identity": True, "client_id": DEFAULT_CLIENT}
    assert (await place.fault()).code == "bad_credentials"


def certificate() -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    return key, builder.sign(key, hashes.SHA256())


@pytest.mark.parametrize("form", ["pem", "pkcs12"])
async def test_certificate_gets_a_token(place: Place, form: str) -> None:
    key, public = certificate()
    plain = serialization.NoEncryption()
    if form == "pem":
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        secret = (pem + public.public_bytes(serialization.Encoding.PEM)).decode()
    else:
        secret = base64.b64encode(pkcs12.serialize_key_and_certificates(b"relay", key, public, None, plain)).decode()
    place.entra.issuer.certificates["app"] = public
    place.secrets.values["setting:CERTIFICATE"] = secret
    del place.settings["client_secret"]
    place.settings |= {"certificate": "setting:CERTIFICATE", "client_id": "app"}
    assert await place.token()


@pytest.mark.parametrize("text", ["no certificate", "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----"])
async def test_invalid_certificate_is_a_route_fault(place: Place, text: str) -> None:
    del place.settings["client_secret"]
    place.settings["certificate"] = "setting:CERTIFICATE"
    place.secrets.values["setting:CERTIFICATE"] = text
    assert (await place.fault()).code == "secret_unavailable"


GOOD = {"tenant_id": "t", "client_id": "c", "client_secret": "setting:S"}


@pytest.mark.parametrize("settings", [GOOD, {"managed_identity": True}, {"managed_identity": True, "client_id": "c"}])
def test_valid_identity_has_no_problems(settings: dict[str, Any]) -> None:
    assert identity_problems(settings) == []


@pytest.mark.parametrize(
    ("settings", "beginning"),
    [
        ({}, "managed_identity: must be true"),
        ({"managed_identity": "yes"}, "managed_identity: must be true or false"),
        ({**GOOD, "managed_identity": True}, "client_secret: cannot be used together"),
        ({**GOOD, "client_secret": "the-secret"}, "client_secret: must name a secret"),
        ({**GOOD, "tenant_id": ""}, "tenant_id: must be given"),
        ({**GOOD, "client_id": 5}, "client_id: must be text"),
        ({**GOOD, "authority": "http://x"}, "authority: must begin with https"),
    ],
)
def test_invalid_identity_setting_is_named(settings: dict[str, Any], beginning: str) -> None:
    faults = identity_problems(settings)
    assert [fault for fault in faults if fault.startswith(beginning)]
    assert "the-secret" not in "".join(faults)
