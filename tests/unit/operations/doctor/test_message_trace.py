"""The doctor's check of a message trace, against the stand-in: permission, service principal, budget, and how late it is."""

import base64
import json
from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest

from relay.events.message_trace.budget import LIMIT
from relay.operations.doctor.findings import Finding, Health
from relay.operations.doctor.message_trace import trace
from relay.providers.graph.message_trace import MessageTraceClient
from standins.graph.server import AUDIENCE
from standins.graph.trace import PERMISSION, SERVICE_PRINCIPAL
from tests.unit.events.message_trace.tenant import Tenant, tenant_of


@pytest.fixture
async def tenant() -> AsyncIterator[Tenant]:
    async with tenant_of() as opened:
        yield opened


async def check(tenant: Tenant) -> Sequence[Finding]:
    return await trace(tenant.place, tenant.place.message_traces.readers[0])


async def test_readable_trace_is_ok(tenant: Tenant) -> None:
    (found,) = await check(tenant)
    assert (found.about, found.health) == ("message trace of exchange", Health.OK)


async def test_missing_service_principal_is_named_with_its_command(tenant: Tenant) -> None:
    tenant.trace.has_service_principal = False
    (found,) = await check(tenant)
    assert found.health is Health.FAULT
    assert SERVICE_PRINCIPAL in found.fix


async def test_missing_permission_is_named(tenant: Tenant) -> None:
    tenant.standin.permissions.discard(PERMISSION)
    (found,) = await check(tenant)
    assert found.health is Health.FAULT
    assert PERMISSION in found.what


async def test_refused_request_blocks_the_budget(tenant: Tenant) -> None:
    for _ in range(100):
        tenant.trace.limiter.take(tenant.clock())
    assert [found.health for found in await check(tenant)] == [Health.FAULT]
    assert not await tenant.place.message_traces.readers[0].budget.take()


async def test_used_up_budget_is_not_exceeded(tenant: Tenant) -> None:
    for _ in range(LIMIT):
        assert await tenant.place.message_traces.readers[0].budget.take()
    assert [found.health for found in await check(tenant)] == [Health.OK]
    assert tenant.trace.requests == []


async def test_trace_that_is_read_late_is_a_warning(tenant: Tenant) -> None:
    await tenant.run(minutes=3)
    tenant.clock.move(2 * 3600)
    assert [found.health for found in await check(tenant)] == [Health.OK, Health.WARNING]


async def test_identity_that_can_read_every_mailbox_is_a_warning(tenant: Tenant) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"roles": [PERMISSION, "Mail.Send"]}).encode()).decode().rstrip("=")
    token = f"e30.{claims}.sig"
    tenant.standin.issuer.accept(token, AUDIENCE)

    class Wide:
        async def token(self, *_: object, **__: object) -> str:
            return token

    context = msgspec.structs.replace(tenant.place.provider_context, credential=Wide())
    reader = tenant.place.message_traces.readers[0]
    settings = tenant.place.settings.message_traces[0].settings
    reader.client = MessageTraceClient(settings, context)
    found = await trace(tenant.place, reader)
    assert [(each.health, "Mail.Send" in each.what) for each in found] == [(Health.OK, False), (Health.WARNING, True)]
