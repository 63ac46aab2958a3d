"""Read bounce reports from a mailbox: pages, expired links, other messages, unreadable mailboxes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from relay.core.outcomes import Deferred, RouteFault
from relay.events.dsn import read_report
from relay.providers.contract import BounceReport, BounceReports
from relay.providers.graph.mailbox import Mailbox
from relay.providers.http_exchange import HttpResponse
from standins.bounces import FLAVORS, Bounce
from tests.send_requests import NOW
from tests.unit.providers.graph.graph_route import SENDER, Place, mail, place

NAME = "msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735"


@pytest.fixture
async def here() -> AsyncIterator[Place]:
    async with place(mailboxes=[SENDER]) as opened:
        yield opened


async def read(here: Place, cursor: str = "", mailbox: str = SENDER) -> Any:
    provider: Any = here.route()
    return await provider.read_reports(mailbox, cursor)


async def whole_round(here: Place, cursor: str = "") -> tuple[list[BounceReport], str]:
    """Return all pages."""
    found: list[BounceReport] = []
    while True:
        page = await read(here, cursor)
        assert isinstance(page, BounceReports)
        found += page.found
        cursor = page.cursor
        if not page.is_more:
            return found, cursor


@pytest.mark.parametrize("flavor", FLAVORS)
async def test_report_is_found_once_and_readable(here: Place, flavor: str) -> None:
    await here.send(mail(headers={"X-Note": f"{NAME}"}))
    (sent,) = here.standin.inbox.messages
    _, cursor = await whole_round(here)
    here.standin.deliver(SENDER, b"From: ada@example.org\r\nSubject: thanks\r\n\r\nThanks.")
    here.standin.bounce(sent, Bounce(address="ada@example.org", status="5.1.10"), flavor=flavor)
    found, cursor = await whole_round(here, cursor)
    assert len(found) == 1
    raw = found[0].raw.replace(b"X-Relay-Id: m1", f"X-Relay-Id: {NAME}".encode())
    [event] = read_report(raw, NOW, provider="graph")
    assert (event.message, event.recipient, event.code) == (NAME, "ada@example.org", "5.1.10")
    assert await whole_round(here, cursor) == ([], cursor)


async def test_many_messages_are_read_in_pages(here: Place) -> None:
    for number in range(25):
        here.standin.deliver(SENDER, f"From: postmaster@example.org\r\nSubject: {number}\r\n\r\n".encode())
    first = await read(here)
    assert first.is_more
    found, _ = await whole_round(here)
    assert len(found) == 25


async def test_expired_link_restarts_the_query(here: Place) -> None:
    here.standin.deliver(SENDER, b"From: MAILER-DAEMON@x.example\r\n\r\n")
    _, cursor = await whole_round(here)
    found, _ = await whole_round(here, cursor.replace("deltatoken=1", "deltatoken=99"))
    assert len(found) == 1


async def test_link_to_another_server_is_not_followed(here: Place) -> None:
    here.standin.deliver(SENDER, b"From: MAILER-DAEMON@x.example\r\n\r\n")
    found, _ = await whole_round(here, "https://elsewhere.example/v1.0/users/a/mailFolders/inbox/messages/delta")
    assert len(found) == 1


async def test_unreadable_mailbox_is_a_route_fault(here: Place) -> None:
    assert isinstance(await read(here, mailbox="nobody@example.com"), RouteFault)
    here.standin.permissions.clear()
    assert isinstance(await read(here), RouteFault | Deferred)


async def test_message_that_the_mailbox_cannot_return_is_skipped(
    here: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One message must not keep all later reports from being read; if none can be read, the mailbox is at fault."""
    for number in range(2):
        here.standin.deliver(SENDER, f"From: MAILER-DAEMON@x.example\r\nSubject: {number}\r\n\r\n".encode())
    answer = Mailbox.download
    broken: list[str] = []

    async def download(self: Mailbox, message_id: str, *rest: Any) -> Any:
        if len(broken) < 1:
            broken.append(message_id)
        return HttpResponse(status=500, headers={}) if message_id in broken else await answer(self, message_id, *rest)

    monkeypatch.setattr(Mailbox, "download", download)
    found, cursor = await whole_round(here)
    assert len(found) == 1
    assert 'report_skipped {"status":500}' in caplog.text
    assert await whole_round(here, cursor) == ([], cursor)


async def test_page_without_a_list_of_messages_is_empty(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def request(*_: Any) -> HttpResponse:
        return HttpResponse(status=200, headers={}, body=b'{"value": null, "@odata.deltaLink": "d"}')

    monkeypatch.setattr(Mailbox, "request", request)
    assert await read(here) == BounceReports(found=(), cursor="d", is_more=False)
