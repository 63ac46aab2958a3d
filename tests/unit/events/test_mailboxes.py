"""Reading mailboxes: events are enqueued before the cursor is stored; one failing mailbox does not stop the others."""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from relay.core.errors import Unavailable
from relay.core.outcomes import RouteFault
from relay.core.settings import BounceMailbox
from relay.events import dsn
from relay.events import mailboxes as mailboxes_module
from relay.events.mailboxes import MAX_PAGES, MAX_RUN, TABLE, Mailboxes
from relay.events.provider_events import QUEUE, decode
from relay.platform.storage.ports import Query
from relay.providers.contract import BounceReport, BounceReports, ReceivedAnswer
from tests.doubles import Place, Scripted

POSTFIX = (Path(__file__).parents[2] / "samples" / "bounces" / "postfix.eml").read_bytes()
REPORT = BounceReport(raw=POSTFIX)
SAMPLES = Path(__file__).parents[2] / "samples" / "replies"
ANSWER = ReceivedAnswer(raw=(SAMPLES / "gmail.eml").read_bytes())


class Reader(Scripted):
    """A provider whose mailboxes hold the given pages."""

    def __init__(self, *pages: BounceReports | RouteFault | Exception) -> None:
        super().__init__()
        self.pages = deque(pages)
        self.calls: list[tuple[str, str]] = []
        self.since: list[datetime | None] = []
        self.before_page: Callable[[], object] = lambda: None

    async def read_reports(
        self, mailbox: str, cursor: str, answers_since: datetime | None = None
    ) -> BounceReports | RouteFault:
        self.calls.append((mailbox, cursor))
        self.since.append(answers_since)
        self.before_page()
        page = self.pages.popleft() if self.pages else BounceReports(found=(), cursor=cursor or "c-0", is_more=False)
        if isinstance(page, Exception):
            raise page
        return page


def mailboxes(place: Place, *, replies: bool = False, **readers: Reader) -> Mailboxes:
    return Mailboxes(
        mailboxes=tuple(
            BounceMailbox(route=route, mailbox=f"{route}@example.com", replies=replies) for route in readers
        ),
        providers=readers.__getitem__,
        events=place.events,
        tables=place.storage.tables,
        retention=timedelta(days=14),
        clock=place.time,
    )


def queued(place: Place) -> int:
    return sum(len(decode(body).events) for body in place.memory.queues.bodies(QUEUE))


async def test_reports_are_enqueued_and_the_cursor_is_stored(place: Place) -> None:
    reader = Reader(
        BounceReports(found=(REPORT, BounceReport(raw=b"no report")), cursor="c-1", is_more=True),
        BounceReports(found=(), cursor="c-2", is_more=False),
    )
    timer = mailboxes(place, one=reader)
    assert await timer.read() == 2
    assert queued(place) == 2
    await timer.read()
    assert [cursor for _, cursor in reader.calls] == ["", "c-1", "c-2"]


async def test_idle_mailbox_writes_nothing(place: Place) -> None:
    timer = mailboxes(place, one=Reader())
    await timer.read()
    place.tables.calls.clear()
    await timer.read()
    assert set(place.tables.calls) == {"get"}


async def test_report_that_was_not_enqueued_is_read_again(place: Place) -> None:
    reader = Reader(*[BounceReports(found=(REPORT,), cursor="c-1", is_more=False)] * 2)
    timer = mailboxes(place, one=reader)
    place.queues.fail("put", Unavailable("away"))
    assert await timer.read() == 0
    assert await timer.read() == 1
    assert [cursor for _, cursor in reader.calls] == ["", ""]
    assert queued(place) == 2


async def test_crash_before_the_cursor_is_stored_reads_again_with_the_same_keys(place: Place) -> None:
    reader = Reader(*[BounceReports(found=(REPORT,), cursor="c-1", is_more=False)] * 2)
    timer = mailboxes(place, one=reader)
    place.tables.fail("upsert", Unavailable("away"))
    await timer.read()
    await timer.read()
    assert queued(place) == 4
    keys = {each.key for body in place.memory.queues.bodies(QUEUE) for each in decode(body).events}
    assert len(keys) == 2


async def test_report_that_cannot_be_read_is_skipped_and_the_cursor_moves_on(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A stranger can write to a bounce mailbox, and must not be able to stop it."""

    def read_report(raw: bytes, *rest: Any, **options: Any) -> Any:
        if raw == b"odd":
            raise TypeError("a bug")
        return dsn.read_report(raw, *rest, **options)

    monkeypatch.setattr(mailboxes_module, "dsn", SimpleNamespace(read_report=read_report))
    reader = Reader(BounceReports(found=(BounceReport(raw=b"odd"), REPORT), cursor="c-1", is_more=False))
    timer = mailboxes(place, one=reader)
    assert await timer.read() == 2
    assert queued(place) == 2
    assert 'report_skipped {"route":"one","error":"TypeError"}' in caplog.text
    await timer.read()
    assert [cursor for _, cursor in reader.calls] == ["", "c-1"]


async def test_failing_mailbox_does_not_stop_the_others(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    good = Reader(BounceReports(found=(REPORT,), cursor="c-1", is_more=False))
    closed = Reader(RouteFault(code="missing_permission"))
    timer = mailboxes(place, broken=Reader(ZeroDivisionError()), closed=closed, good=good)
    assert await timer.read() == 1
    assert "mailbox_failed" in caplog.text
    assert 'mailbox_unreadable {"route":"closed","code":"missing_permission"}' in caplog.text


async def test_page_limit_leaves_the_rest_to_the_next_run(place: Place) -> None:
    pages = [BounceReports(found=(), cursor=f"c-{number}", is_more=True) for number in range(MAX_PAGES + 5)]
    reader = Reader(*pages)
    await mailboxes(place, one=reader).read()
    assert len(reader.calls) == MAX_PAGES
    found = await place.memory.tables.query(TABLE, Query())
    assert found.entities[0].properties["cursor"] == f"c-{MAX_PAGES - 1}"


async def test_answers_are_asked_for_only_if_the_mailbox_says_so(place: Place) -> None:
    silent, answered = Reader(), Reader()
    await mailboxes(place, one=silent).read()
    await mailboxes(place, replies=True, two=answered).read()
    assert silent.since == [None]
    assert answered.since == [place.time() - timedelta(days=14)]


async def test_answers_are_enqueued_and_those_to_other_mail_are_not(place: Place) -> None:
    other = ReceivedAnswer(raw=(SAMPLES / "of-another-mail.eml").read_bytes())
    page = BounceReports(found=(REPORT,), cursor="c-1", is_more=False, answers=(ANSWER, other))
    assert await mailboxes(place, replies=True, one=Reader(page)).read() == 3
    kinds = [each.kind for body in place.memory.queues.bodies(QUEUE) for each in decode(body).events]
    assert kinds == ["bounced", "bounced", "replied"]


async def test_answer_that_cannot_be_read_is_skipped(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read_answer(*_: Any) -> Any:
        raise ValueError("a bug")

    monkeypatch.setattr(mailboxes_module, "read_answer", read_answer)
    page = BounceReports(found=(REPORT,), cursor="c-1", is_more=False, answers=(ANSWER,))
    await mailboxes(place, replies=True, one=Reader(page)).read()
    assert queued(place) == 2
    assert 'report_skipped {"route":"one","error":"ValueError"}' in caplog.text


async def test_long_run_ends_with_its_page_and_the_next_goes_on(place: Place) -> None:
    """Reading answers takes two requests each: a full mailbox must not run into the host's timeout."""
    reader = Reader(*[BounceReports(found=(), cursor=f"c-{number}", is_more=True) for number in range(9)])
    reader.before_page = lambda: place.time.move(MAX_RUN.total_seconds() / 3)
    timer = mailboxes(place, one=reader)
    await timer.read()
    assert [cursor for _, cursor in reader.calls] == ["", "c-0", "c-1"]
    await timer.read()
    assert reader.calls[3] == ("one@example.com", "c-2")


async def test_mailbox_that_takes_the_whole_run_leaves_a_page_to_the_next(place: Place) -> None:
    slow = Reader(*[BounceReports(found=(), cursor=f"c-{number}", is_more=True) for number in range(9)])
    slow.before_page = lambda: place.time.move(MAX_RUN.total_seconds())
    other = Reader(BounceReports(found=(REPORT,), cursor="c-1", is_more=False))
    assert await mailboxes(place, one=slow, two=other).read() == 1
