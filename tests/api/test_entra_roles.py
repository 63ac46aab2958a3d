"""Roles by app roles and groups of Microsoft Entra."""

import json
from collections.abc import AsyncIterator

import pytest

from relay.bootstrap.configuration import load
from relay.clients.keys import Role
from relay.clients.policy import Policy
from relay.core.errors import SettingsError
from tests.api.entra import DESK, PERSON, ROLES, TENANT, person
from tests.api.harness import Harness

type Claims = list[tuple[str, str]]
OTHER = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
async def behind() -> AsyncIterator[Harness]:
    """A relay behind App Service authentication, in which app roles and a group have roles."""
    relay = await Harness(ROLES).start()
    yield relay
    await relay.relay.close()


@pytest.mark.parametrize(
    ("claims", "outcome"),
    [
        ([("roles", "Relay.Viewer")], "viewer"),
        ([("roles", "Relay.Auditor")], "auditor"),
        ([("http://schemas.microsoft.com/ws/2008/06/identity/claims/role", "Relay.Operator")], "operator"),
        ([("groups", DESK)], "support"),
        ([("groups", DESK.upper())], "support"),
        ([("groups", OTHER), ("groups", DESK)], "support"),
        # the highest wins, in any order
        ([("roles", "Relay.Viewer"), ("groups", DESK)], "support"),
        ([("groups", DESK), ("roles", "Relay.Operator"), ("roles", "Relay.Viewer")], "operator"),
        ([("roles", "Relay.Auditor"), ("roles", "Relay.Viewer")], "viewer"),
        # nothing that is mapped
        ([], "no_role"),
        ([("roles", "relay.viewer")], "no_role"),
        ([("roles", "Relay.Viewer,Relay.Operator")], "no_role"),
        ([("roles", '["Relay.Viewer"]')], "no_role"),
        ([("groups", OTHER)], "no_role"),
        ([("role", "Relay.Viewer")], "no_role"),
        ([("wids", DESK)], "no_role"),
        # a group does not stand for an app role of its name, nor an app role for a group
        ([("groups", "Relay.Operator")], "no_role"),
        ([("roles", DESK)], "no_role"),
        # more groups than a token lists
        ([("_claim_names", '{"groups":"src1"}')], "too_many_groups"),
        ([("hasgroups", "true")], "too_many_groups"),
        ([("_claim_names", '{"groups":"src1"}'), ("roles", "Relay.Viewer")], "viewer"),
        ([("_claim_names", '{"other":"src1"}')], "no_role"),
        # an application is named by its client; its app roles are permissions of another kind
        ([("azp", OTHER), ("roles", "Relay.Operator")], "unauthenticated"),
        ([("idtyp", "app"), ("roles", "Relay.Operator")], "unauthenticated"),
        ([("azp", OTHER), ("scp", "user_impersonation"), ("roles", "Relay.Viewer")], "viewer"),
    ],
)
async def test_claims_decide_about_the_role(behind: Harness, claims: Claims, outcome: str) -> None:
    response = await behind.call("GET", "/v1/me", headers=person(*claims), client=None)
    if response.status == 200:
        assert (response.json["name"], response.json["role"]) == (f"entra-{outcome}", outcome)
    else:
        assert (response.status, response.error["code"]) == (401 if outcome == "unauthenticated" else 403, outcome)


@pytest.mark.parametrize("changed", [{"tenant": OTHER}, {"tenant": ""}, {"tenant": f"{TENANT},{OTHER}"}, {"oid": ""}])
async def test_role_of_an_unknown_tenant_or_without_an_object_id_is_refused(
    behind: Harness, changed: dict[str, str]
) -> None:
    headers = person(("roles", "Relay.Operator"), **changed)
    response = await behind.call("GET", "/v1/me", headers=headers, client=None)
    assert (response.status, response.error["code"]) == (401, "unauthenticated")


async def test_role_of_a_second_tenant_claim_is_refused(behind: Harness) -> None:
    headers = person(("roles", "Relay.Operator"), ("http://schemas.microsoft.com/identity/claims/tenantid", OTHER))
    assert (await behind.call("GET", "/v1/me", headers=headers, client=None)).status == 401


async def test_role_is_ignored_without_platform_sign_in(relay: Harness) -> None:
    response = await relay.call("GET", "/v1/me", headers=person(("roles", "Relay.Operator")), client=None)
    assert (response.status, response.error["code"]) == (401, "unauthenticated")


async def test_client_that_names_the_person_comes_first(behind: Harness) -> None:
    await behind.relay.clients.create("ada", role=Role.VIEWER, principals=(PERSON,))
    response = await behind.call("GET", "/v1/me", headers=person(("roles", "Relay.Operator")), client=None)
    assert (response.json["name"], response.json["role"]) == ("ada", "viewer")


async def test_people_of_a_role_share_a_client_without_a_key_whose_policy_counts(behind: Harness) -> None:
    sent = {client: await behind.send(client) for client in ("app", "boss")}
    await behind.deliver()
    desk = person(("groups", DESK))
    assert (await behind.call("GET", f"/v1/messages/{sent['boss']}", headers=desk, client=None)).status == 200
    shared = (await behind.call("GET", "/v1/clients/entra-support", client="boss")).json
    assert (shared["role"], shared["keys"], shared["policy"]["senders"]) == ("support", [], [])
    body = {"policy": {"sees": ["app"]}}
    assert (await behind.call("PATCH", "/v1/clients/entra-support", json=body, client="boss")).status == 200
    for client, status in (("app", 200), ("boss", 404)):
        assert (await behind.call("GET", f"/v1/messages/{sent[client]}", headers=desk, client=None)).status == status


async def test_two_first_sign_ins_make_one_client(behind: Harness) -> None:
    first, second = await behind.relay.clients.of_role(Role.VIEWER), await behind.relay.clients.of_role(Role.VIEWER)
    behind.relay.clients._cached = {}  # Another process, which has not read the row.
    assert first == second == await behind.relay.clients.of_role(Role.VIEWER)


async def test_disabled_role_is_refused_and_a_changed_one_stays_what_the_setting_says(behind: Harness) -> None:
    viewer = person(("roles", "Relay.Viewer"))
    assert (await behind.call("GET", "/v1/me", headers=viewer, client=None)).status == 200
    await behind.call("PATCH", "/v1/clients/entra-viewer", json={"role": "operator"}, client="boss")
    assert (await behind.call("GET", "/v1/me", headers=viewer, client=None)).json["role"] == "viewer"
    await behind.call("PATCH", "/v1/clients/entra-viewer", json={"is_disabled": True}, client="boss")
    assert (await behind.call("GET", "/v1/me", headers=viewer, client=None)).status == 401


async def test_policy_of_a_role_limits_addresses(behind: Harness) -> None:
    await behind.add_client("entra-viewer", role=Role.VIEWER, policy=Policy(ip_ranges=("10.0.0.0/8",)))
    headers = {**person(("roles", "Relay.Viewer")), "X-Forwarded-For": "203.0.113.9"}
    response = await behind.call("GET", "/v1/me", headers=headers, client=None)
    assert response.error["code"] == "address_not_allowed"


async def test_audit_log_names_the_person_and_not_the_group(behind: Harness) -> None:
    name = await behind.send(to="rejected@relay.test")
    await behind.deliver()
    desk = person(("groups", DESK))
    assert (await behind.call("POST", f"/v1/messages/{name}/redrive", headers=desk, client=None)).status == 202
    auditor = person(("roles", "Relay.Auditor"), oid=OTHER)
    [record] = (await behind.call("GET", "/v1/audit", headers=auditor, client=None)).json["value"]
    assert (record["client"], record["credential"]) == ("entra-support", f"entra:{PERSON}")


async def test_html_opens_for_a_person_with_the_role_support(behind: Harness) -> None:
    name = await behind.send(html="<p>Hello</p>")
    await behind.deliver()
    shown = await behind.call("GET", f"/v1/messages/{name}/content", headers=person(("groups", DESK)), client=None)
    assert (await behind.call("GET", shown.json["html_url"], client=None)).status == 200


@pytest.mark.parametrize(
    ("roles", "problem"),
    [
        ('{"Relay.Operator": "client"}', "Invalid enum value 'client'"),
        ('{"Relay.Operator": "admin"}', "Invalid enum value 'admin'"),
        ('["Relay.Operator"]', "Expected `object`"),
        ("Relay.Operator=operator", "not JSON"),
    ],
)
def test_invalid_setting_is_refused(roles: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        load({**ROLES, "RELAY_ENTRA_ROLES": roles})


def test_roles_without_a_tenant_are_refused() -> None:
    with pytest.raises(SettingsError, match="RELAY_ENTRA_TENANTS is empty"):
        load({"RELAY_ENTRA_ROLES": json.dumps({"Relay.Viewer": "viewer"})})
