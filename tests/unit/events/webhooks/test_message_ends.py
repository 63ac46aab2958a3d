"""Webhooks about messages that Relay ended without sending them."""

from typing import Any

import pytest
import pytest_asyncio

from relay.core.model import Attempt, Erased, MessageStatus, Part, State, Submission
from relay.core.parts import part_states, put_back
from relay.events.webhooks.delivery import Webhooks
from relay.events.webhooks.message_ends import MAX_RECIPIENTS
from relay.journal.record_rows import Record
from relay.platform.resources import WEBHOOKS_QUEUE
from tests.doubles import START, Place, batch_id, changed, entry_of, message_of, submission_of
from tests.unit.events.webhooks.receiving import Receiver, add_clients, subscribed, webhooks_of, work

REFUSED = Attempt(
    number=1, route="main", provider="sendgrid", at=START, outcome="rejected", code="policy_refused", reply="550 no"
)
FAILED = Part(route="main", state=State.FAILED, attempt=1, attempts=(REFUSED,), code="policy_refused")


@pytest.fixture
def receiver(place: Place) -> Receiver:
    return Receiver(place)


@pytest_asyncio.fixture
async def webhooks(place: Place, receiver: Receiver) -> Webhooks:
    await add_clients(place)
    return webhooks_of(place, receiver, place.storage.queues, place.storage.tables)


def submitted(*to: str) -> Submission:
    message = message_of(*to, tags=("order",), metadata={"order": "4711"})
    return submission_of(message, client="shop", client_id="shop")


def record(submission: Submission, *parts: Part, **fields: Any) -> Record:
    batch = batch_id()
    statuses = (MessageStatus(parts=parts, **fields),)
    content = entry_of(submission, batch=batch)
    return Record(batch=batch, lane="transactional", content=content, statuses=statuses, etag="e")


async def posts(place: Place, webhooks: Webhooks, receiver: Receiver, found: Record) -> list[dict[str, Any]]:
    """Notify of all parts of a record; the bodies that were posted."""
    await webhooks.follow_ends(found, [(0, part) for part in found.statuses[0].parts])
    await work(place, webhooks)
    return [body for _, _, body, _ in receiver.posted]


async def test_failed_message_is_posted_with_its_cause(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    await subscribed(webhooks, events=("failed",))
    failed = record(submitted(), FAILED)
    [body] = await posts(place, webhooks, receiver, failed)
    assert body == {
        "type": "message.failed",
        "timestamp": "2026-03-01T12:00:00.250000Z",
        "data": {
            "message": failed.message_id(0, failed.entry()),
            "at": "2026-03-01T12:00:00.250000Z",
            "code": "policy_refused",
            "reply": "550 no",
            "provider": "sendgrid",
            "route": "main",
            "attempt": 1,
            "recipients": ["ada@example.com"],
            "tags": ["order"],
            "metadata": {"order": "4711"},
        },
    }


@pytest.mark.parametrize("state", [State.EXPIRED, State.UNKNOWN, State.CANCELLED])
async def test_each_end_is_a_kind(place: Place, webhooks: Webhooks, receiver: Receiver, state: State) -> None:
    await subscribed(webhooks, events=(str(state),))
    [body] = await posts(place, webhooks, receiver, record(submitted(), changed(FAILED, state=state)))
    assert body["type"] == f"message.{state}"


async def test_subscription_to_other_kinds_gets_no_end(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    await subscribed(webhooks, events=("bounced",))
    assert await posts(place, webhooks, receiver, record(submitted(), FAILED)) == []


async def test_only_the_recipients_of_the_part_are_named(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    await subscribed(webhooks)
    emails = [f"u{number}@example.org" for number in range(MAX_RECIPIENTS + 2)]
    parts = [changed(FAILED, recipients=(1, 2)), changed(FAILED, recipients=tuple(range(1, MAX_RECIPIENTS + 2)))]
    some, too_many = await posts(place, webhooks, receiver, record(submitted(*emails), *parts))
    assert some["data"]["recipients"] == emails[1:3]
    assert "recipients" not in too_many["data"]


async def test_suppressed_recipients_are_not_named(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    await subscribed(webhooks)
    submission = changed(submitted("a@example.org", "b@example.org"), suppressed={0: "bounced"})
    [body] = await posts(place, webhooks, receiver, record(submission, FAILED))
    assert body["data"]["recipients"] == ["b@example.org"]


async def test_envelope_in_a_blob_is_left_out(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    await subscribed(webhooks)
    submission = changed(submitted(), message=None, blob="b1")
    [body] = await posts(place, webhooks, receiver, record(submission, FAILED))
    assert body["data"].keys() == {"message", "at", "code", "reply", "provider", "route", "attempt"}


async def ids_of(place: Place, webhooks: Webhooks, receiver: Receiver, found: Record) -> set[str]:
    await posts(place, webhooks, receiver, found)
    return {name for _, name, _, _ in receiver.posted}


async def test_repeated_end_has_the_same_id_and_a_later_end_another(
    place: Place, webhooks: Webhooks, receiver: Receiver
) -> None:
    await subscribed(webhooks)
    failed = record(submitted(), FAILED)
    first = await ids_of(place, webhooks, receiver, failed)
    place.time.move(300)
    assert await ids_of(place, webhooks, receiver, failed) == first
    redriven = put_back.redrive(FAILED, START, 3_600, None)
    assert redriven is not None
    again = changed(
        failed, statuses=(MessageStatus(parts=(part_states.end(redriven, State.FAILED, "policy_refused"),)),)
    )
    assert len(await ids_of(place, webhooks, receiver, again)) == 2


# ── what ends ──


async def queued(place: Place) -> int:
    return len(place.memory.queues.bodies(WEBHOOKS_QUEUE))


async def test_message_that_ends_is_enqueued_for_its_client_and_an_erased_one_is_not(place: Place) -> None:
    await add_clients(place)
    await subscribed(place.webhooks)
    sending = record(submitted(), part_states.begin(Part(route="", state=State.QUEUED), "main", START))
    failed = changed(sending, statuses=(MessageStatus(parts=(FAILED,)),))
    erased = MessageStatus(parts=(FAILED,), erased=Erased(at=START, recipients=1))
    await place.follow_up.run(sending, changed(sending, statuses=(erased,)), [0])
    assert await queued(place) == 0
    await place.follow_up.run(sending, failed, [0])
    assert await queued(place) == 1
    await place.follow_up.run(failed, failed, [0])
    assert await queued(place) == 1


async def test_sent_message_is_not_posted(place: Place) -> None:
    await add_clients(place)
    await subscribed(place.webhooks)
    sent = record(submitted(), changed(FAILED, state=State.SENT, code=""))
    await place.follow_up.run(None, sent, [0])
    assert await queued(place) == 0
