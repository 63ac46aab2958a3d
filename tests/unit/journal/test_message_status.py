"""Message status, visible only to the message's client."""

from datetime import timedelta

import pytest

from relay.clients.registry import Client, Role
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


async def test_a_story_is_one_query(place: Place) -> None:
    own = await client(place)
    batch = await place.send(submission_of(), submission_of(message_of(subject="Second")))
    for index in (0, 1):
        event = RecordedEvent(index=index, kind="delivered", at=START, key=f"k{index}")
        await place.journal.note(batch, event)
    place.tables.calls.clear()
    story = await place.status_reader.history(own, name_of(batch, 1))
    assert place.tables.calls == {"query": 1}
    assert story.status is not None
    assert story.status.state is State.SENT
    assert story.submission is not None
    assert story.submission.message is not None
    assert story.submission.message.subject == "Second"
    assert [event.key for event in story.events] == ["k1"]


async def test_what_has_no_record_waits_on_the_queue_until_the_retention_is_over(place: Place) -> None:
    own = await client(place)
    batch = batch_id()
    assert await place.status_reader.history(own, name_of(batch)) == MessageHistory(name=ids.parse(name_of(batch)))
    place.time.move(14 * 86_400 + 1)
    assert await refused(place, own, name_of(batch)) == (404, "message_not_found")


async def test_what_waited_longer_than_the_retention_still_has_its_story(place: Place) -> None:
    own = await client(place)
    batch = await place.send(submission_of(send_at=START + timedelta(days=60), expires_at=START + timedelta(days=61)))
    place.time.move(30 * 86_400)
    story = await place.status_reader.history(own, name_of(batch))
    assert story.status is not None
    assert story.status.state is State.SCHEDULED


@pytest.mark.parametrize("text", ["", "x", "msg_" + "0" * 40, name_of("0" * 32)[:-1] + "z"])
async def test_what_is_no_name_of_the_clients_is_not_found(place: Place, text: str) -> None:
    own = await client(place)
    assert await refused(place, own, text) == (404, "message_not_found")


async def test_another_clients_message_looks_like_none(place: Place) -> None:
    await client(place)
    other = await client(place, "crm", mac_key=b"o" * 32)
    batch = await place.send()
    assert await refused(place, other, name_of(batch)) == (404, "message_not_found")


async def test_an_operator_sees_every_clients_messages_and_no_made_up_ones(place: Place) -> None:
    await client(place)
    operator = await client(place, "ops", Role.OPERATOR, b"o" * 32)
    batch = await place.send()
    assert (await place.status_reader.history(operator, name_of(batch))).record is not None
    made_up = ids.MessageId(batch=batch, index=0, mac="0" * 16)
    assert await refused(place, operator, str(made_up)) == (404, "message_not_found")
