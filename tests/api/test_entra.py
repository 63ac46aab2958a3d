"""Sign-in with Microsoft Entra: the platform authenticates people and applications, and clients list their principals."""

import base64
import json
from collections.abc import AsyncIterator, Mapping

import pytest

from relay.clients.keys import Role
from tests.api.harness import Harness, message

ADA = "7d2c1a1e-3f51-4c7a-9a51-0c8b8e1f2a33"
TENANT = "0f4c9a3e-7b1d-4f57-8f0e-3f6d2c1b9a77"


@pytest.fixture
async def behind() -> AsyncIterator[Harness]:
    """A relay behind App Service authentication, whose operator `ada` signs in with Entra."""
    relay = await Harness({"WEBSITE_AUTH_ENABLED": "true", "RELAY_ENTRA_TENANTS": TENANT}).start()
    await relay.relay.clients.create("ada", role=Role.OPERATOR, principals=(ADA,))
    yield relay
    await relay.relay.close()


def signed_in(user: str = ADA, **more: str) -> Mapping[str, str]:
    """What App Service adds to the request of somebody who signed in, and what the browser says of itself."""
    claims = {"http://schemas.microsoft.com/identity/claims/objectidentifier": user}
    return {**principal(claims), **{name.replace("_", "-"): value for name, value in more.items()}}


def principal(claims: Mapping[str, str], provider: str = "aad") -> Mapping[str, str]:
    """What App Service adds to a request with these claims."""
    encoded = [{"typ": name, "val": value} for name, value in {"tid": TENANT, **claims}.items() if value]
    packed = base64.b64encode(json.dumps({"auth_typ": provider, "claims": encoded}).encode()).decode()
    return {"X-MS-CLIENT-PRINCIPAL": packed}


async def who(relay: Harness, headers: Mapping[str, str]) -> tuple[int, str]:
    response = await relay.call("GET", "/v1/me", headers=headers, client=None)
    return response.status, response.json["name"] if response.status == 200 else response.error["code"]


async def test_signed_in_user_needs_no_key(behind: Harness) -> None:
    assert await who(behind, signed_in()) == (200, "ada")
    assert await who(behind, signed_in(ADA.upper())) == (200, "ada")
    assert await who(behind, signed_in("somebody-else")) == (401, "unauthenticated")


async def test_principal_header_is_ignored_without_platform_sign_in(relay: Harness) -> None:
    await relay.relay.clients.create("ada", role=Role.OPERATOR, principals=(ADA,))
    assert await who(relay, signed_in()) == (401, "unauthenticated")


@pytest.mark.parametrize("text", ["", "!", "e30", base64.b64encode(b"[]").decode(), base64.b64encode(b"{").decode()])
async def test_unreadable_principal_is_refused(behind: Harness, text: str) -> None:
    assert await who(behind, {"X-MS-CLIENT-PRINCIPAL": text}) == (401, "unauthenticated")


async def test_wrong_key_is_refused_despite_a_sign_in(behind: Harness) -> None:
    headers = {**signed_in(), "Authorization": "Bearer relay_00000000_wrong"}
    assert await who(behind, headers) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 200), ("none", 200), ("cross-site", 403), ("same-site", 403)]
)
async def test_cross_site_request_with_a_sign_in_is_refused(behind: Harness, site: str, status: int) -> None:
    response = await behind.call("POST", "/v1/routes/capture/hold", headers=signed_in(Sec_Fetch_Site=site), client=None)
    assert response.status == status
    [route] = (await behind.call("GET", "/v1/routes", client="boss")).json["value"]
    assert route["state"] == ("held" if status == 200 else "active")


async def test_key_works_from_any_origin(behind: Harness) -> None:
    response = await behind.call("POST", "/v1/messages", json=message(), headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status == 202


@pytest.mark.parametrize("name", ["appid", "azp", "oid"])
async def test_application_token_authenticates_its_client(behind: Harness, name: str) -> None:
    assert await who(behind, principal({name: ADA, "roles": "Mail.Send"})) == (200, "ada")


@pytest.mark.parametrize("name", ["appid", "azp"])
@pytest.mark.parametrize("scope", ["scp", "http://schemas.microsoft.com/identity/claims/scope"])
async def test_user_token_does_not_authenticate_the_application(behind: Harness, name: str, scope: str) -> None:
    assert await who(behind, principal({name: ADA, scope: "user_impersonation"})) == (401, "unauthenticated")


@pytest.mark.parametrize("tenant", ["", "11111111-2222-3333-4444-555555555555", f"{TENANT},{TENANT}", "common"])
async def test_other_tenant_is_refused(behind: Harness, tenant: str) -> None:
    assert await who(behind, principal({"oid": ADA, "tid": tenant})) == (401, "unauthenticated")


async def test_tenant_in_the_platforms_spelling_is_accepted(behind: Harness) -> None:
    claims = {"oid": ADA, "tid": "", "http://schemas.microsoft.com/identity/claims/tenantid": TENANT.upper()}
    assert await who(behind, principal(claims)) == (200, "ada")


async def test_token_that_names_two_tenants_is_refused(behind: Harness) -> None:
    claims = {
        "oid": ADA,
        "http://schemas.microsoft.com/identity/claims/tenantid": "11111111-2222-3333-4444-555555555555",
    }
    assert await who(behind, principal(claims)) == (401, "unauthenticated")


async def test_no_tenant_may_sign_in_unless_one_is_named() -> None:
    relay = await Harness({"WEBSITE_AUTH_ENABLED": "true"}).start()
    await relay.relay.clients.create("ada", role=Role.OPERATOR, principals=(ADA,))
    assert await who(relay, signed_in()) == (401, "unauthenticated")


@pytest.mark.parametrize("provider", ["", "google", "facebook", "AAD "])
async def test_other_identity_provider_is_refused(behind: Harness, provider: str) -> None:
    assert await who(behind, principal({"oid": ADA}, provider)) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("origin", "status"), [("https://relay.example", 200), ("https://evil.example", 403), ("null", 403)]
)
async def test_cross_site_request_of_an_old_browser_is_refused(behind: Harness, origin: str, status: int) -> None:
    headers = {**signed_in(), "Origin": origin}
    response = await behind.call("POST", "/v1/routes/capture/hold", headers=headers, client=None)
    assert response.status == status


async def test_right_key_works_from_a_throttled_address(relay: Harness) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9"}
    wrong = {**headers, "Authorization": "Bearer relay_00000000_wrong"}
    statuses = [(await relay.call("GET", "/v1/me", headers=wrong, client=None)).status for _ in range(25)]
    assert (statuses[0], statuses[-1]) == (401, 429)
    assert (await relay.call("GET", "/v1/me", headers=headers)).status == 200


async def test_audit_log_names_the_principal(behind: Harness) -> None:
    made = await behind.call("POST", "/v1/resume", headers=signed_in(), client=None)
    assert made.status == 200
    [record] = (await behind.call("GET", "/v1/audit", headers=signed_in(), client=None)).json["value"]
    assert (record["client"], record["credential"]) == ("ada", f"entra:{ADA}")
