"""Log lines that alert rules count."""

import json
from datetime import UTC, datetime, timedelta
from unittest.mock import AsyncMock

import pytest

from relay.core import ids
from relay.core.model import DEAD, MessageStatus, Part, State
from relay.core.settings import DEFAULT_LANES
from relay.delivery.settlement import FollowUp
from relay.journal.dead_letters import DeadLetters
from relay.journal.pending import Pending
from relay.journal.record_rows import Record
from relay.platform.key_vault import log_expiry
from relay.platform.resources import TABLES, queues_of
from relay.platform.storage.memory.memory_storage import memory_storage

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def logged(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, object]]:
    texts = [record.getMessage() for record in caplog.records]
    return [json.loads(text.removeprefix(f"{event} ")) for text in texts if text.startswith(f"{event} ")]


async def follow_up() -> FollowUp:
    storage = memory_storage(lambda: NOW)
    for table in TABLES:
        await storage.tables.create(table)
    for queue in queues_of(DEFAULT_LANES):
        await storage.queues.create(queue)
    return FollowUp(
        queues=storage.queues,
        pending=Pending(storage.tables),
        dead_letters=DeadLetters(storage.tables, storage.blobs, lambda: NOW),
        lanes=DEFAULT_LANES,
        clock=lambda: NOW,
        notify=AsyncMock(),
    )


def record(*parts: Part) -> Record:
    statuses = tuple(MessageStatus(parts=(part,)) for part in parts)
    return Record(batch=ids.new_batch_id(), lane="bulk", content=b"", statuses=statuses, etag="1")


@pytest.mark.parametrize(
    ("state", "code", "said"),
    [
        (State.FAILED, "invalid_recipient", "invalid_recipient"),
        (State.EXPIRED, "", "expired"),
        (State.UNKNOWN, "response_lost", "response_lost"),
    ],
)
async def test_each_dead_letter_is_logged_once(
    state: State, code: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = record(Part(route="first", state=State.SENDING), Part(route="first", state=State.SENDING))
    dead = Part(route="first", state=state, code=code)
    after = Record(
        batch=before.batch,
        lane=before.lane,
        content=b"",
        statuses=(MessageStatus(parts=(Part(route="first", state=State.SENT),)), MessageStatus(parts=(dead,))),
        etag="2",
    )
    follower = await follow_up()
    await follower.run(before, after, [0, 1])
    await follower.run(after, after, [0, 1])
    assert logged(caplog, "dead_letter") == [
        {"batch": before.batch, "index": 1, "lane": "bulk", "state": str(state), "code": said}
    ]


def test_every_dead_state_is_covered_above() -> None:
    assert {State.FAILED, State.EXPIRED, State.UNKNOWN} == DEAD


@pytest.mark.parametrize(
    ("expires_in", "days"),
    [(timedelta(days=29, hours=23), 29), (timedelta(hours=1), 0), (timedelta(days=-2), -2)],
)
def test_expiring_secret_is_logged(expires_in: timedelta, days: int, caplog: pytest.LogCaptureFixture) -> None:
    log_expiry("sendgrid-api-key", NOW + expires_in, NOW)
    assert logged(caplog, "secret_expiring") == [{"secret": "sendgrid-api-key", "days": days}]


@pytest.mark.parametrize("expires_at", [None, NOW + timedelta(days=31)])
def test_long_lived_secret_is_not_logged(expires_at: datetime | None, caplog: pytest.LogCaptureFixture) -> None:
    log_expiry("sendgrid-api-key", expires_at, NOW)
    assert logged(caplog, "secret_expiring") == []
