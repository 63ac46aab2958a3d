"""The message trace over real HTTP against its stand-in: windows, pages, one Message-ID, reasons, and every refusal."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from relay.providers.contract import ProviderContext
from relay.providers.graph.message_trace import MessageTraceClient, TraceFault, TracePage, TraceRow, check_settings
from standins.entra import DEFAULT_CLIENT, DEFAULT_TENANT
from standins.graph.trace import PERMISSION
from standins.graph.trace import TraceRow as Seen
from standins.script import Act, Fault
from tests.unit.providers.graph.graph_route import Place, mail, place, send_request

HOUR = timedelta(hours=1)


@pytest.fixture
async def here() -> AsyncIterator[Place]:
    async with place() as opened:
        yield opened


def client(here: Place, **settings: Any) -> MessageTraceClient:
    identity = {
        "tenant_id": DEFAULT_TENANT,
        "client_id": DEFAULT_CLIENT,
        "client_secret": "setting:CLIENT_SECRET",
        "authority": here.standin.url,
        "base_url": here.standin.url,
    }
    context = ProviderContext(
        http=here.http, blobs=None, secrets=here.keys, clock=now_of(here), credential=here.credentials
    )
    return MessageTraceClient({**identity, **settings}, context)


def now_of(here: Place) -> Any:
    return here.standin.clock


def fill(here: Place, count: int, at: datetime) -> None:
    """Add rows of mail that is not Relay's."""
    here.standin.trace.others = [
        Seen(id=f"t{number}", message_id=f"<{number}@other>", recipient="x@other.example", received_at=at)
        for number in range(count)
    ]


async def window(here: Place, limit: int = 5_000) -> TracePage | TraceFault:
    now = here.standin.clock()
    return await client(here).window(now - HOUR, now, limit=limit)


async def test_sent_mail_is_traced_for_each_recipient_by_its_message_id(here: Place) -> None:
    here.standin.trace.statuses["bob@example.org"] = "quarantined"
    await here.send(send_request(mail()))
    in_mime = send_request(mail(text="hello"))
    await here.send(msgspec.structs.replace(in_mime, message_id_header="m2@example.com"))
    now = here.standin.clock()
    page = await client(here).window(now - HOUR, now + HOUR)
    assert isinstance(page, TracePage)
    assert sorted((row.message_id, row.recipient_address, row.status) for row in page.rows) == [
        ("<m1@example.com>", "ada@example.org", "delivered"),
        ("<m1@example.com>", "bob@example.org", "quarantined"),
        ("<m2@example.com>", "ada@example.org", "delivered"),
        ("<m2@example.com>", "bob@example.org", "quarantined"),
    ]
    found = await client(here).find("m2@example.com", now - HOUR, now + HOUR)
    assert isinstance(found, TracePage)
    assert {row.message_id for row in found.rows} == {"<m2@example.com>"}
    assert isinstance(other := await client(here).find("o'hara@example.com", now - HOUR, now + HOUR), TracePage)
    assert other.rows == []


async def test_pages_are_followed_to_the_last(here: Place) -> None:
    fill(here, 25, here.standin.clock() - timedelta(minutes=5))
    page = await window(here, limit=10)
    assert isinstance(page, TracePage)
    seen = list(page.rows)
    while page.link:
        page = await client(here).follow(page.link)
        assert isinstance(page, TracePage)
        seen += page.rows
    assert len({row.id for row in seen}) == 25


async def test_full_page_of_5000_rows_is_read(here: Place) -> None:
    fill(here, 5_001, here.standin.clock() - timedelta(minutes=5))
    page = await window(here)
    assert isinstance(page, TracePage)
    assert (len(page.rows), bool(page.link)) == (5_000, True)


async def test_link_to_another_server_gets_no_token(here: Place) -> None:
    fault = await client(here).follow("https://graph.microsoft.com.evil.example/v1.0/x")
    assert isinstance(fault, TraceFault)
    assert (fault.code, here.standin.issuer.issued) == ("link_refused", 0)


async def test_link_that_graph_no_longer_takes_is_refused(here: Place) -> None:
    here.standin.script.add(Fault(operation="trace", act=Act.RESPOND, status=410))
    fault = await client(here).follow(f"{here.standin.url}/v1.0/admin/exchange/tracing/messageTraces?$skiptoken=9")
    assert isinstance(fault, TraceFault)
    assert fault.code == "link_refused"


async def test_reason_of_a_failure_is_what_exchange_says(here: Place) -> None:
    row = TraceRow(id="t1", received_date_time=here.standin.clock(), recipient_address="o'hara@example.org")
    here.standin.trace.others = [
        Seen(
            id="t1",
            message_id="<m>",
            recipient="o'hara@example.org",
            status="failed",
            received_at=row.received_date_time,
            reason="550 5.7.1 TRANSPORT.RULES.RejectMessage",
        )
    ]
    reason = await client(here).reason(row)
    assert isinstance(reason, str)
    assert "550 5.7.1 TRANSPORT.RULES.RejectMessage" in reason


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ("principal", "missing_service_principal"),
        ("permission", "missing_permission"),
        ("secret", "bad_credentials"),
        ("limit", "rate_limited"),
        ("cut", "unreachable"),
        (503, "provider_unavailable"),
        (200, "provider_unavailable"),
        (404, "misconfigured"),
    ],
)
async def test_refusal_has_its_cause(here: Place, refusal: str | int, code: str) -> None:
    standin = here.standin
    match refusal:
        case "principal":
            standin.trace.has_service_principal = False
        case "permission":
            standin.permissions.discard(PERMISSION)
        case "secret":
            here.keys.value = "wrong"
        case "limit":
            for _ in range(100):
                standin.trace.limiter.take(standin.clock())
        case "cut":
            standin.script.add(Fault(operation="trace", act=Act.CUT_BEFORE_BODY, times=2))
        case int():
            standin.script.add(Fault(operation="trace", act=Act.RESPOND, status=refusal, body="<html>"))
    fault = await window(here)
    assert isinstance(fault, TraceFault)
    assert fault.code == code
    if refusal == "limit":
        assert fault.retry_after_seconds is not None
        assert 0 < fault.retry_after_seconds <= 300


async def test_unreadable_row_does_not_hide_the_others(here: Place) -> None:
    rows = [{"id": "t1"}, {"id": "t2", "receivedDateTime": "2026-03-01T12:00:00.1234567Z", "status": "delivered"}]
    here.standin.script.add(Fault(operation="trace", act=Act.RESPOND, status=200, body={"value": rows}))
    page = await window(here)
    assert isinstance(page, TracePage)
    assert [row.id for row in page.rows] == ["t2"]


def test_wrong_settings_are_named() -> None:
    assert check_settings({"managed_identity": True}) == []
    problems = check_settings({"mailbox": "a@b.example", "base_url": "https://graph.microsoft.us"})
    assert [problem.partition(":")[0] for problem in problems] == ["mailbox", "base_url", "managed_identity"]
