"""Secrets that expire are known before they do: dates of the vault and certificates, the log, the doctor, the overview."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from relay.core.errors import SettingsError
from relay.operations.doctor.findings import Finding, Health
from relay.operations.doctor.secret_expiry import SecretExpiry, uses_of
from relay.operations.doctor.secrets import secrets
from relay.platform.entra_tokens import certificate_expiry
from relay.platform.key_vault import KeyVault, SecretDates
from tests.api.harness import Harness

ROUTES = {
    "sendgrid": {"provider": "sendgrid", "api_key": "vault:sendgrid-key"},
    "graph": {
        "provider": "graph",
        "tenant_id": "t",
        "client_id": "c",
        "client_secret": "vault:graph-old,vault:graph-new",
    },
    "spare": {"provider": "graph", "tenant_id": "t", "client_id": "c", "client_secret": "vault:graph-new"},
    "cert": {"provider": "graph", "tenant_id": "t", "client_id": "c", "certificate": "setting:GRAPH_CERT"},
}


class VaultOfDates:
    """A vault that knows dates and counts reads; a name without dates cannot be read."""

    def __init__(self, known: Mapping[str, SecretDates]) -> None:
        self.known = known
        self.reads = 0

    async def dates(self, name: str) -> SecretDates:
        self.reads += 1
        if name not in self.known:
            raise SettingsError([f"{name}: Key Vault has no secret of that name"])
        return self.known[name]


def certificate(ends: datetime) -> str:
    """A new certificate with its key, as PEM text."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(ends - timedelta(days=365)).not_valid_after(ends)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    return (key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pem).decode()


async def place(**known: SecretDates) -> tuple[Harness, VaultOfDates]:
    ends = datetime(2026, 3, 11, tzinfo=UTC)
    settings = {
        "RELAY_ROUTES": json.dumps(ROUTES),
        "GRAPH_CERT": certificate(ends),
        "RELAY_EVENT_GRID_SECRET": "vault:grid",
    }
    relay = await Harness(settings).start()
    vault = VaultOfDates({name.replace("_", "-"): dates for name, dates in known.items()})
    services: Any = relay.relay
    services.secret_expiry = SecretExpiry(
        settings=services.settings,
        vault=cast(KeyVault, vault),
        tables=services.storage.tables,
        clock=lambda: relay.clock.now,
    )
    return relay, vault


async def findings(relay: Harness) -> Mapping[str, Finding]:
    found: Any = await secrets(cast(Any, relay.relay))
    return {finding.about: finding for finding in found}


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_each_secret_is_read_once_with_all_that_use_it() -> None:
    relay, vault = await place(
        sendgrid_key=SecretDates(), graph_old=SecretDates(), graph_new=SecretDates(), grid=SecretDates()
    )
    assert uses_of(relay.relay.settings) == {
        "vault:sendgrid-key": ("route sendgrid",),
        "vault:graph-old": ("route graph",),
        "vault:graph-new": ("route graph", "route spare"),
        "setting:GRAPH_CERT": ("route cert",),
        "vault:grid": ("RELAY_EVENT_GRID_SECRET",),
    }
    await relay.relay.secret_expiry.run()
    assert vault.reads == 4


async def test_secrets_that_expire_within_30_days_are_logged_and_need_attention(
    caplog: pytest.LogCaptureFixture,
) -> None:
    relay, _ = await place(
        sendgrid_key=SecretDates(created_at=NOW - timedelta(days=400)),
        graph_old=SecretDates(expires_at=NOW - timedelta(days=1)),
        graph_new=SecretDates(expires_at=NOW + timedelta(days=29)),
        grid=SecretDates(expires_at=NOW + timedelta(days=30)),
    )
    relay.clock.now = NOW
    with caplog.at_level(logging.WARNING):
        await relay.relay.secret_expiry.run()
    logged = [json.loads(text.partition(" ")[2]) for text in caplog.messages if text.startswith("secret_expiring")]
    assert {each["secret"]: each["days"] for each in logged} == {"graph-old": -1, "graph-new": 29, "GRAPH_CERT": 9}
    overview = (await relay.call("GET", "/v1/overview", client="boss")).json["secrets"]
    assert {each["name"]: each["used_by"] for each in overview} == {
        "graph-old": ["route graph"], "graph-new": ["route graph", "route spare"], "GRAPH_CERT": ["route cert"],
    }  # fmt: skip
    health = {about.removeprefix("secret "): finding.health for about, finding in (await findings(relay)).items()}
    assert health == {
        "sendgrid-key": Health.OK, "graph-old": Health.FAULT, "graph-new": Health.WARNING, "GRAPH_CERT": Health.WARNING,
        "grid": Health.OK,
    }  # fmt: skip


async def test_renewed_secret_leaves_the_overview_with_the_next_check() -> None:
    relay, vault = await place(graph_old=SecretDates(expires_at=NOW + timedelta(days=2)))
    relay.clock.now = NOW
    await relay.relay.secret_expiry.check()
    vault.known = {"graph-old": SecretDates(expires_at=NOW + timedelta(days=365))}
    await relay.relay.secret_expiry.check()
    assert [each.name for each in await relay.relay.secret_expiry.expiring()] == ["GRAPH_CERT"]


async def test_secret_without_a_date_says_how_old_it_is_and_one_that_cannot_be_read_is_a_fault() -> None:
    relay, _ = await place(sendgrid_key=SecretDates(created_at=NOW - timedelta(days=400)))
    relay.clock.now = NOW
    found = await findings(relay)
    assert found["secret sendgrid-key"].what.startswith("stored 400 days ago, without an expiry date")
    # The check of a route reports its secrets.
    assert {about for about, finding in found.items() if finding.health is Health.FAULT} == {"secret grid"}


@pytest.mark.parametrize(
    "secret", ["", "SG.no-certificate", "c2VjcmV0", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"]
)
def test_other_secrets_have_no_certificate_date(secret: str) -> None:
    assert certificate_expiry(secret) is None
