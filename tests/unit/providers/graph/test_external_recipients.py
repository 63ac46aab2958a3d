"""The setting `external_recipients`: the vendor's formula, every problem by name, and which routes share a budget."""

import json
from typing import Any

import pytest

from relay.bootstrap import configuration
from relay.core.errors import SettingsError
from relay.providers.graph.external_recipients import TRIAL, recipient_budget, tenant_limit
from relay.providers.graph.settings import check_settings

IDENTITY = {"managed_identity": True}
LIMITED = {"licenses": 25}


def budget(given: dict[str, Any], **settings: Any) -> Any:
    found = recipient_budget({**IDENTITY, **settings, "external_recipients": given})
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("licenses", "limit"),
    # techcommunity.microsoft.com/blog/exchange/introducing-exchange-online-tenant-outbound-email-limits/4372797, which rounds
    [(1, 10_000), (2, 10_312), (10, 12_006), (25, 14_259), (100, 22_059), (1_000, 72_446), (10_000, 324_979)],
)
def test_tenant_limit_follows_the_licenses(licenses: int, limit: int) -> None:
    assert limit - 1 <= tenant_limit(licenses) <= limit


def test_limits_are_read() -> None:
    assert recipient_budget(IDENTITY) is None
    assert budget(LIMITED).per_tenant == 14_259
    assert budget({"trial": True}).per_tenant == TRIAL
    found = budget({"per_tenant": 900, "per_mailbox": 50, "internal_domains": ["Contoso.com"], "when_spent": "hold"})
    assert (found.per_tenant, found.per_mailbox, found.internal_domains) == (900, 50, ("contoso.com",))
    assert (found.reroutes, budget(LIMITED).reroutes) == (False, True)


def test_routes_of_a_tenant_share_its_budget() -> None:
    one, same = budget(LIMITED, mailbox="a@x.org"), budget(LIMITED, mailbox="b@x.org")
    other = budget(LIMITED, tenant_id="t")
    named, also = budget({**LIMITED, "tenant": "contoso"}), budget({**LIMITED, "tenant": "Contoso"}, tenant_id="t")
    assert one.tenant == same.tenant != other.tenant
    assert named.tenant == also.tenant not in (one.tenant, other.tenant)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (7, "external_recipients"),
        ({}, "external_recipients"),
        ({"trial": False}, "external_recipients.trial"),
        ({"licenses": 0}, "external_recipients.licenses"),
        ({"licenses": True}, "external_recipients.licenses"),
        ({"per_mailbox": "many"}, "external_recipients.per_mailbox"),
        ({"licenses": 5, "per_tenant": 7}, "external_recipients.per_tenant"),
        ({**LIMITED, "licences": 5}, "external_recipients.licences"),
        ({**LIMITED, "internal_domains": "contoso.com"}, "external_recipients.internal_domains"),
        ({**LIMITED, "internal_domains": ["a@b.c"]}, "external_recipients.internal_domains[0]"),
        ({**LIMITED, "when_spent": "drop"}, "external_recipients.when_spent"),
        ({**LIMITED, "tenant": 7}, "external_recipients.tenant"),
    ],
)
def test_invalid_budget_is_named(given: Any, key: str) -> None:
    faults = check_settings({**IDENTITY, "external_recipients": given})
    assert [fault.partition(":")[0] for fault in faults] == [key]


def test_all_problems_of_a_budget_are_reported_together() -> None:
    given = {"licenses": 0, "per_mailbox": -1, "internal_domains": [7, "x.org"], "when_spent": "", "x": 1}
    faults = check_settings({**IDENTITY, "external_recipients": given})
    keys = [fault.partition(":")[0].removeprefix("external_recipients.") for fault in faults]
    assert keys == ["x", "licenses", "per_mailbox", "internal_domains[0]", "when_spent"]


def test_routes_that_share_a_budget_must_agree_about_it() -> None:
    routes = {
        "one": {"provider": "graph", **IDENTITY, "external_recipients": LIMITED},
        "two": {"provider": "graph", **IDENTITY, "external_recipients": {"trial": True, "internal_domains": ["x.org"]}},
        "other": {"provider": "graph", **IDENTITY, "external_recipients": {"trial": True, "tenant": "fabrikam"}},
    }
    with pytest.raises(SettingsError) as error:
        configuration.load({"RELAY_ROUTES": json.dumps(routes)})
    assert [problem.partition(";")[0] for problem in error.value.problems] == [
        f"RELAY_ROUTES.two.external_recipients: {key} differs from that of route one, which shares the budget"
        for key in ("per_tenant", "internal_domains")
    ]
    del routes["two"]
    assert list(configuration.load({"RELAY_ROUTES": json.dumps(routes)}).routes) == ["one", "other"]
