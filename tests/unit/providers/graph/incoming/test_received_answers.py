"""Find answers in a mailbox over HTTP: only those to Relay's mail are downloaded, and nothing in the mailbox changes."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from relay.core.outcomes import Deferred
from relay.providers.contract import MAX_ANSWER_BYTES, BounceReports
from relay.providers.graph.mailbox import Mailbox
from relay.providers.http_exchange import HttpResponse
from tests.unit.providers.graph.graph_route import SENDER, Place, place

NAME = "msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735"
PERSON = b"From: ada@example.org\r\nSubject: Re: order\r\n"
ANSWER = PERSON + f"In-Reply-To: <{NAME}@example.com>\r\n\r\nYes.".encode()


@pytest.fixture
async def here() -> AsyncIterator[Place]:
    async with place(mailboxes=[SENDER]) as opened:
        yield opened


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The requests to the mailbox."""
    found: list[tuple[str, str]] = []
    request: Any = Mailbox._request

    async def watched(self: Mailbox, method: str, url: str, *rest: Any, **more: Any) -> Any:
        found.append((method, url))
        return await request(self, method, url, *rest, **more)

    monkeypatch.setattr(Mailbox, "_request", watched)
    return found


async def read(here: Place, since: datetime | None, cursor: str = "") -> BounceReports:
    provider: Any = here.route()
    page = await provider.read_reports(SENDER, cursor, since)
    assert isinstance(page, BounceReports)
    return page


def long_ago(here: Place) -> datetime:
    return here.standin.clock() - timedelta(days=14)


async def test_answer_is_read_with_its_time_and_kind_of_item(here: Place) -> None:
    here.standin.deliver(SENDER, ANSWER, message_class="IPM.Note.Rules.OofTemplate.Microsoft")
    page = await read(here, long_ago(here))
    [answer] = page.answers
    assert answer.raw.endswith(b"Yes.")
    assert answer.message_class == "IPM.Note.Rules.OofTemplate.Microsoft"
    assert answer.received_at is not None
    assert abs(answer.received_at - here.standin.clock()) < timedelta(minutes=1)
    assert page.found == ()


async def test_earlier_mail_of_a_thread_counts(here: Place) -> None:
    references = f"In-Reply-To: <other@example.org>\r\nReferences: <{NAME}@example.com> <other@example.org>\r\n\r\nYes."
    here.standin.deliver(SENDER, PERSON + references.encode())
    assert len((await read(here, long_ago(here))).answers) == 1


async def test_mail_of_people_is_not_downloaded(here: Place, asked: list[tuple[str, str]]) -> None:
    for more in (b"\r\nHello.", b"In-Reply-To: <lunch@example.org>\r\n\r\nYes."):
        here.standin.deliver(SENDER, PERSON + more)
    assert (await read(here, long_ago(here))).answers == ()
    assert len([path for _, path in asked if "$expand" in path]) == 2
    assert [path for _, path in asked if path.endswith("/$value")] == []


async def test_without_the_setting_nothing_more_is_asked(here: Place, asked: list[tuple[str, str]]) -> None:
    here.standin.deliver(SENDER, ANSWER)
    assert (await read(here, None)).answers == ()
    assert len(asked) == 1


async def test_mail_before_the_retention_is_not_looked_at(here: Place, asked: list[tuple[str, str]]) -> None:
    """A mailbox that was used for years is read through once."""
    here.standin.deliver(SENDER, ANSWER)
    assert (await read(here, here.standin.clock() + timedelta(minutes=5))).answers == ()
    assert len(asked) == 1


async def test_mailbox_is_only_read(here: Place, asked: list[tuple[str, str]]) -> None:
    here.standin.deliver(SENDER, ANSWER)
    before = list(here.standin.boxes[SENDER].changes["inbox"])
    page = await read(here, long_ago(here))
    assert {method for method, _ in asked} == {"GET"}
    assert here.standin.boxes[SENDER].changes["inbox"] == before
    assert (await read(here, long_ago(here), page.cursor)).answers == ()


async def test_long_mail_is_cut(here: Place) -> None:
    here.standin.deliver(SENDER, ANSWER + b"a" * MAX_ANSWER_BYTES)
    [answer] = (await read(here, long_ago(here))).answers
    assert len(answer.raw) == MAX_ANSWER_BYTES


@pytest.mark.parametrize(("status", "is_skipped"), [(404, True), (500, True), (429, False), (503, False)])
@pytest.mark.parametrize("end", ["/$value", "$expand"])
async def test_message_at_fault_is_skipped_and_a_busy_mailbox_is_read_again(
    here: Place, monkeypatch: pytest.MonkeyPatch, status: int, is_skipped: bool, end: str
) -> None:
    for _ in range(2):
        here.standin.deliver(SENDER, ANSWER)
    request: Any = Mailbox._request
    failed: list[str] = []

    async def failing(self: Mailbox, method: str, url: str, *rest: Any, **more: Any) -> Any:
        if end in url and len(failed) < 1:
            failed.append(url)
            return HttpResponse(status=status, headers={})
        return await request(self, method, url, *rest, **more)

    monkeypatch.setattr(Mailbox, "_request", failing)
    provider: Any = here.route()
    page = await provider.read_reports(SENDER, "", long_ago(here))
    assert len(page.answers) == 1 if is_skipped else isinstance(page, Deferred)


async def test_properties_that_cannot_be_read_name_nothing(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    here.standin.deliver(SENDER, ANSWER)
    request = Mailbox.request

    async def odd(self: Mailbox, method: str, path: str, *rest: Any) -> Any:
        if "$expand" in path:
            return HttpResponse(status=200, headers={}, body=b'{"singleValueExtendedProperties": [{"id": "x"}]}')
        return await request(self, method, path, *rest)

    monkeypatch.setattr(Mailbox, "request", odd)
    assert (await read(here, long_ago(here))).answers == ()
