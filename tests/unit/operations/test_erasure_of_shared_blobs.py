"""Erasure of one of the messages that share a blob: its content goes, that of the others stays."""

import asyncio

import pytest

from relay.core.errors import NotFound, Unavailable
from relay.core.model import Message, Submission
from relay.platform.resources import CONTENT_CONTAINER
from tests.doubles import CLIENT, Place, ids_of, message_of, submission_of
from tests.traces import traces

ADA, BOB, CY = "ada@example.com", "bob@example.org", "cy@example.net"
SECRET = {ADA: "Ada's diagnosis", BOB: "Bob's diagnosis"}


@pytest.fixture
async def batch(place: Place) -> str:
    """Messages to three people, and many to others, sent from one entry and one blob."""
    people = [ADA, BOB, CY, *(f"{number}@example.com" for number in range(8))]
    await asyncio.gather(*(place.acceptance.accept(CLIENT, "transactional", _submission(each)) for each in people))
    [body] = place.memory.queues.bodies("relay-transactional")
    await place.work()
    return ids_of(body)


def _submission(email: str) -> Submission:
    return submission_of(_message(email))


def _message(email: str) -> Message:
    return message_of(email, text=f"{SECRET.get(email, 'News')}. " * 2_000)


async def erase(place: Place, email: str) -> None:
    assert (await place.erasure.step(email)).in_progress == 0


async def kept(place: Place, batch: str) -> set[str]:
    """Check that the messages that are not erased have their content, and return their recipients."""
    found = set()
    for submission in (await place.journal.read(batch)).entry().messages:
        if not submission.is_bare:
            assert submission.message is not None
            [recipient] = submission.message.recipients
            assert await place.content.message(submission) == _message(recipient.email)
            found.add(recipient.email)
    return found


async def remains(place: Place, *emails: str) -> list[str]:
    return await traces(place.memory, *emails, *(SECRET[email] for email in emails))


async def test_content_of_the_erased_message_goes_and_the_others_stay(place: Place, batch: str) -> None:
    everybody = await kept(place, batch)
    await erase(place, ADA)
    assert await remains(place, ADA) == []
    assert await kept(place, batch) == everybody - {ADA}


async def test_blob_is_deleted_with_its_last_message(place: Place, batch: str) -> None:
    for email in await kept(place, batch):
        await erase(place, email)
    assert (await place.memory.blobs.list(CONTENT_CONTAINER))[0] == []


async def test_blob_is_purged_with_its_record(place: Place, batch: str) -> None:
    place.time.move(15 * 86_400)
    await place.purge.run()
    assert (await place.memory.blobs.list(CONTENT_CONTAINER))[0] == []
    with pytest.raises(NotFound):
        await place.journal.read(batch)


@pytest.mark.parametrize("name", ["read", "replace"])
async def test_interrupted_erasure_is_finished_by_any_scan(place: Place, batch: str, name: str) -> None:
    everybody = await kept(place, batch)
    place.blobs.fail(name, Unavailable("away"))
    with pytest.raises(Unavailable):
        await erase(place, ADA)
    await erase(place, "another@example.com")
    assert await remains(place, ADA) == []
    assert await kept(place, batch) == everybody - {ADA}


async def test_concurrent_erasures_of_a_blob_leave_nothing_of_either(place: Place, batch: str) -> None:
    everybody = await kept(place, batch)
    # Bob's erasure is complete between the read and the write of Ada's, which writes his content back.
    place.blobs.before("replace", lambda: erase(place, BOB))
    await erase(place, ADA)
    assert await remains(place, ADA, BOB) == []
    assert await kept(place, batch) == everybody - {ADA, BOB}


async def test_blob_that_is_purged_during_an_erasure_is_not_written_again(place: Place, batch: str) -> None:
    place.time.move(15 * 86_400)
    place.blobs.before("replace", place.purge.run)
    await erase(place, ADA)
    assert (await place.memory.blobs.list(CONTENT_CONTAINER))[0] == []
