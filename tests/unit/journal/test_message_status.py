"""Message status, visible only to the message's client."""

from datetime import timedelta

import pytest

from relay.clients.keys import Role
from relay.clients.registry import Client
from relay.core import ids
from relay.core.errors import Refusal
from relay.core.events import RecordedEvent
from relay.core.model import State
from relay.journal.message_status import MessageHistory
from tests.doubles import MAC_KEY, START, Place, batch_id, changed, message_of, submission_of


async def client(place: Place, name: str = "shop", role: Role = Role.CLIENT, mac_key: bytes = MAC_KEY) -> Client:
    await place.clients.create(name, role=role)
    return await place.clients.change(name, lambda known: changed(known, mac_key=mac_key))


def name_of(batch: str, index: int = 0) -> str:
    return str(ids.MessageId(batch=batch, index=index, mac=ids.mac(MAC_KEY, batch, index)))


async def refused(place: Place, who: Client, text: str) -> tuple[int, str]:
    with pytest.raises(Refusal) as refusal:
        await place.status_reader.history(who, text)
    return refusal.value.status, refusal.value.code


async def test_history_costs_one_query(place: Place) -> None:
    own = await client(place)
    batch = await place.send(submission_of(), submission_of(message_of(subject="Second")))
    for index in (0, 1):
        event = RecordedEvent(index=index, kind="delivered", at=START, key=f"k{index}")
        await place.journal.note(batch, event)
    place.tables.calls.clear()
    history = await place.status_reader.history(own, name_of(batch, 1))
    assert place.tables.calls == {"query": 1}
    assert history.status is not None
    assert history.status.state is State.SENT
    assert history.submission is not None
    assert history.submission.message is not None
    assert history.submission.message.subject == "Second"
    assert [event.key for event in history.events] == ["k1"]


async def test_message_without_a_record_is_queued_until_its_retention_ends(place: Place) -> None:
    own = await client(place)
    batch = batch_id()
    assert await place.status_reader.history(own, name_of(batch)) == MessageHistory(name=ids.parse(name_of(batch)))
    place.time.move(14 * 86_400 + 1)
    assert await refused(place, own, name_of(batch)) == (404, "message_not_found")


async def test_message_that_waited_longer_than_the_retention_has_its_history(place: Place) -> None:
    own = await client(place)
    batch = await place.send(submission_of(send_at=START + timedelta(days=60), expires_at=START + timedelta(days=61)))
    place.time.move(30 * 86_400)
    history = await place.status_reader.history(own, name_of(batch))
    assert history.status is not None
    assert history.status.state is State.SCHEDULED


@pytest.mark.parametrize("text", ["", "x", "msg_" + "0" * 40, name_of("0" * 32)[:-1] + "z"])
async def test_foreign_or_invalid_id_is_not_found(place: Place, text: str) -> None:
    own = await client(place)
    assert await refused(place, own, text) == (404, "message_not_found")


async def test_other_clients_message_is_not_found(place: Place) -> None:
    await client(place)
    other = await client(place, "crm", mac_key=b"o" * 32)
    batch = await place.send()
    assert await refused(place, other, name_of(batch)) == (404, "message_not_found")


async def test_operator_finds_messages_of_all_clients_and_no_forged_ids(place: Place) -> None:
    await client(place)
    operator = await client(place, "ops", Role.OPERATOR, b"o" * 32)
    batch = await place.send()
    assert (await place.status_reader.history(operator, name_of(batch))).record is not None
    made_up = ids.MessageId(batch=batch, index=0, mac="0" * 16)
    assert await refused(place, operator, str(made_up)) == (404, "message_not_found")
