"""Doctor: SPF, DKIM and DMARC of sender domains."""

from collections.abc import Mapping, Sequence

import pytest

from relay.bootstrap.configuration import load
from relay.operations.doctor.domains import NoResponseError, domain, resolver, sender_domains
from relay.operations.doctor.findings import Health
from tests.unit.operations.doctor.dns_server import Zone, name_server

GOOD: Zone = {
    ("shop.de", "TXT"): ['"google-site-verification=x"', '"v=spf1 include:spf.protection.outlook.com " "-all"'],
    ("selector1._domainkey.shop.de", "CNAME"): ["selector1-shop-de._domainkey.tenant.onmicrosoft.com."],
    ("_dmarc.shop.de", "TXT"): ['"v=DMARC1; p=quarantine; rua=mailto:d@shop.de"'],
}


async def examined(zone: Zone, providers: set[str]) -> Mapping[str, Health]:
    async with name_server(zone) as port:
        findings = await domain("shop.de", providers, resolver(["127.0.0.1"], port))
    for finding in findings:
        assert finding.about == "domain shop.de"
        assert bool(finding.fix) == bool(finding.why) == (finding.health is not Health.OK)
    return {finding.what: finding.health for finding in findings}


async def test_authenticated_domain_has_no_problems() -> None:
    assert await examined(GOOD, {"graph", "capture"}) == {
        "SPF includes graph": Health.OK,
        "DKIM for graph is published (selector1)": Health.OK,
        "DMARC is published (p=quarantine)": Health.OK,
    }


async def test_domain_without_records_has_three_warnings() -> None:
    found = await examined({}, {"sendgrid"})
    assert list(found.values()) == [Health.WARNING] * 3


async def test_dkim_key_in_a_txt_record_is_found() -> None:
    zone = {**GOOD, ("s2._domainkey.shop.de", "TXT"): ['"k=rsa; p=MIGf"']}
    assert (await examined(zone, {"sendgrid"}))["DKIM for sendgrid is published (s2)"] is Health.OK


async def test_two_spf_records_are_a_fault() -> None:
    zone = {**GOOD, ("shop.de", "TXT"): ['"v=spf1 -all"', '"v=spf1 include:sendgrid.net -all"']}
    assert (await examined(zone, {"graph"}))["2 SPF records"] is Health.FAULT


async def test_providers_without_domain_authentication_need_no_records() -> None:
    assert await examined({}, {"capture", "smtp"}) == {}


async def test_unreachable_name_server_raises_instead_of_reporting_missing_records() -> None:
    async with name_server({}) as port:
        pass
    with pytest.raises(NoResponseError):
        await domain("shop.de", {"graph"}, resolver(["127.0.0.1"], port, timeout_seconds=0.2))


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["*"], ["routes.de"]),
        (["*@Shop.de", "a@shop.de", "b@other.de"], ["other.de", "routes.de", "shop.de"]),
        (["a@example.com", "*@relay.test"], ["routes.de"]),
    ],
)
def test_domains_come_from_policies_and_routes(patterns: Sequence[str], expected: Sequence[str]) -> None:
    settings = load({"RELAY_ROUTES": '{"r": {"provider": "capture", "senders": ["*@routes.de"]}}'})
    assert sender_domains(settings, patterns) == expected
