"""Erasure deletes a message from every storage, and only that message of a batch."""

import msgspec
import pytest

from relay.bootstrap import Relay, configuration
from relay.core import ids
from relay.core.events import RecordedEvent
from relay.core.model import State
from relay.platform.storage.ports import Storage
from tests.doubles import entry_of, ids_of, message_of, submission_of
from tests.traces import traces


@pytest.fixture
async def relay(storage: Storage) -> Relay:
    """Return a relay over the storage with a `capture` route."""
    relay = Relay(configuration.load({}), storage)
    await relay.create_storage()
    return relay


async def erase(relay: Relay, recipient: str) -> int:
    """Erase until nothing is left, and return the number of messages."""
    erased, cursor = 0, None
    while True:
        step = await relay.erasure.step(recipient, cursor)
        erased, cursor = erased + step.erased, step.cursor
        if cursor is None:
            return erased


async def test_erasure_deletes_everything_but_other_messages(relay: Relay, name: str) -> None:
    hers, his = f"ada.{name}@relay.test", f"bob.{name}@relay.test"
    # An erasure that another test left unfinished would be finished, and counted, by the one below.
    await erase(relay, f"nobody.{name}@relay.test")
    large = f"20260301/{name}"
    await relay.storage.blobs.put("content", large, msgspec.json.encode(message_of(hers, text="long " * 20_000)))
    later = relay.clock().replace(year=2999)
    sent = [
        submission_of(message_of(his, subject="件名"), expires_at=later),
        submission_of(message_of(hers, his), expires_at=later),
        submission_of(message_of(hers), expires_at=later, blob=large),
        submission_of(message_of(his, bcc=message_of(hers).to), expires_at=later, send_at=later),
    ]
    body = entry_of(*sent, batch=ids.new_batch_id())
    await relay.delivery.deliver("relay-transactional", body)
    events = [
        RecordedEvent(index=index, kind="delivered", at=relay.clock(), key=str(index), recipient=(his, hers)[index])
        for index in (0, 1)
    ]
    await relay.journal.note_all(ids_of(body), events)
    assert await erase(relay, hers) == 3
    # What the route has caught lies where a provider would have it.
    assert [place for place in await traces(relay.storage, hers) if not place.startswith("inbox: ")] == []
    record, history = await relay.journal.history(ids_of(body))
    assert [status.state for status in record.statuses] == [State.SENT, State.SENT, State.SENT, State.CANCELLED]
    assert [status.erased is not None for status in record.statuses] == [False, True, True, True]
    assert record.entry().messages[0] == sent[0]
    assert list(history) == events[:1]
    assert await erase(relay, hers) == 0
