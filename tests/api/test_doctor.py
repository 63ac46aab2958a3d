"""GET /v1/doctor: checks of settings, storage, providers and host.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from relay.bootstrap.configuration import load
from relay.operations.doctor import host
from relay.operations.doctor.findings import Finding, Health
from relay.providers.graph import account_check
from relay.providers.http_exchange import HttpResponse
from relay.providers.sendgrid import account_check as sendgrid_checkup
from standins.sendgrid.server import SendGridStandIn
from tests.api.harness import Harness


async def examined(relay: Harness) -> tuple[str, list[dict[str, Any]]]:
    response = await relay.call("GET", "/v1/doctor", client="boss")
    assert response.status == 200, response.body
    return response.json["health"], response.json["value"]


def faults(findings: list[dict[str, Any]]) -> list[tuple[str, str]]:
    for finding in findings:
        assert bool(finding["why"]) == bool(finding["fix"]) == (finding["health"] != "ok"), finding
    return [(finding["about"], finding["what"]) for finding in findings if finding["health"] != "ok"]


async def test_healthy_relay_has_no_problems(relay: Harness) -> None:
    health, findings = await examined(relay)
    assert (health, faults(findings)) == ("ok", [])
    assert {finding["about"] for finding in findings} == {
        "settings", "host.json", "storage", "clock", "queues", "route capture",
    }  # fmt: skip


async def test_doctor_leaves_nothing_in_storage(relay: Harness) -> None:
    await examined(relay)
    assert relay.memory.tables.rows("pacing") == []
    assert (await relay.memory.blobs.list("unreadable"))[0] == []
    assert relay.waiting == 0


async def test_unavailable_blobs_are_reported_with_the_missing_role(relay: Harness) -> None:
    relay.blobs.is_away = True
    health, findings = await examined(relay)
    assert health == "fault"
    problems = faults(findings)
    assert [about for about, _ in problems] == ["storage", "clock"]
    assert "Storage Blob Data Owner" in str(findings)


async def test_wrong_clock_is_reported() -> None:
    relay = Harness()
    await relay.start()
    now = relay.clock.now
    relay.relay.clock = lambda: now.replace(hour=now.hour + 1)
    _, findings = await examined(relay)
    assert ("clock", "differs from storage by 3600 seconds") in faults(findings)
    await relay.relay.close()


async def test_old_and_poison_queue_entries_are_reported(relay: Harness) -> None:
    await relay.send()
    await relay.memory.queues.put("relay-bulk-poison", b"{}")
    relay.clock.move(3600)
    _, findings = await examined(relay)
    assert faults(findings) == [
        ("queues", "the oldest entry on relay-transactional has waited 60 minutes"),
        ("queues", "1 entries on relay-bulk-poison"),
    ]


async def test_held_route_is_reported_with_its_cause(relay: Harness) -> None:
    await relay.relay.holds.hold("capture", "credits_exhausted")
    _, findings = await examined(relay)
    [(about, what)] = faults(findings)
    assert about == "route capture"
    assert "credits are exhausted" in what


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("revoked_key", "key, certificate or identity"),
        ("missing_scope", "may not send"),
        ("credits_exhausted", "credits are exhausted"),
    ],
)
async def test_provider_refusal_is_reported(state: str, expected: str) -> None:
    async with SendGridStandIn() as sendgrid:
        relay = await Harness(_to(sendgrid)).start()
        sendgrid.account = state
        health, findings = await examined(relay)
        await relay.relay.close()
    assert health == "fault"
    assert expected in str(faults(findings))


async def test_missing_key_is_reported_without_a_probe() -> None:
    relay = await Harness({"RELAY_ROUTES": '{"sg": {"provider": "sendgrid", "api_key": "setting:NOWHERE"}}'}).start()
    health, findings = await examined(relay)
    await relay.relay.close()
    assert health == "fault"
    assert [about for about, _ in faults(findings)] == ["route sg"]
    assert "api_key" in faults(findings)[0][1]


def _to(sendgrid: SendGridStandIn) -> dict[str, str]:
    route = {"sg": {"provider": "sendgrid", "base_url": sendgrid.url}}
    return {"RELAY_ROUTES": json.dumps(route), "SENDGRID_API_KEY": "SG.standin.key"}


def _answer(content: object) -> HttpResponse:
    return HttpResponse(status=200, headers={}, body=json.dumps(content).encode())


def test_sendgrid_domains_and_credits_are_reported() -> None:
    found = sendgrid_checkup.account_remarks(
        ["a.de", "mail.a.de", "b.de", "c.de"],
        _answer({"results": [{"from_email": "me@b.de", "verified": True}]}),
        _answer([{"domain": "a.de", "valid": True}, {"domain": "c.de", "valid": False}]),
        _answer({"remain": 12, "overage": 0, "next_reset": "2026-04-01"}),
    )
    assert [remark.health for remark in found] == ["ok", "ok", "warning", "fault", "warning"]


def test_sendgrid_key_without_read_permission_is_ok() -> None:
    refused = HttpResponse(status=403, headers={})
    assert [remark.health for remark in sendgrid_checkup.account_remarks(["a.de"], refused, refused, refused)] == ["ok"]


@pytest.mark.parametrize(
    ("token", "health"),
    [
        ("e30.eyJyb2xlcyI6WyJNYWlsLlNlbmQiXX0.x", "warning"),
        ("e30.eyJyb2xlcyI6W119.x", "ok"),
        ("opaque", "ok"),
        ("a.!.c", "ok"),
    ],
)
def test_permission_for_every_mailbox_is_a_warning(token: str, health: str) -> None:
    assert [remark.health for remark in account_check.account_remarks(token)] == [health]


async def test_unsafe_host_json_is_reported(tmp_path: Path) -> None:
    assert [finding.health for finding in await host.host_json(host.FOLDER)] == [Health.OK]
    (tmp_path / "host.json").write_text('{"extensions": {"queues": {"maxDequeueCount": 1}}}')
    found = await host.host_json(tmp_path)
    assert [finding.health for finding in found] == [Health.FAULT, Health.FAULT, Health.WARNING]
    (tmp_path / "host.json").write_text("{")
    assert [finding.health for finding in await host.host_json(tmp_path)] == [Health.FAULT]


async def test_unintended_settings_are_reported(relay: Harness) -> None:
    application = {"SENDGRID_API_KEY": "@Microsoft.KeyVault(VaultName=v;SecretName=s)", "WEBSITE_INSTANCE_ID": "1"}
    relay.relay.settings = load({**application, "RELAY_ROUTES": '{"c": {"provider": "capture"}}'})
    found: list[Finding] = list(await host.settings(relay.relay))
    assert [finding.health for finding in found] == [Health.FAULT, Health.FAULT]


async def test_proxy_that_is_not_used_is_reported(relay: Harness) -> None:
    relay.relay.settings = load({"https_proxy": "http://user:secret@proxy.example:3128"})
    [found] = await host.settings(relay.relay)
    assert (found.health, found.what) == (Health.WARNING, "https_proxy is set, but Relay uses no proxy")
