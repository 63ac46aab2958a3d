"""Verify lost responses of a Graph route by the draft's id or by Relay's header in the mailbox."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from relay.core.model import Attachment, Message
from relay.core.outcomes import Deferred, Sent, Unknown
from tests.doubles import Clock
from tests.send_requests import NOW
from tests.unit.providers.graph.graph_route import SENDER, Place, mail, place, send_request

LARGE = mail(attachments=(Attachment(name="a", content=bytes(4_000_000)),))
WAYS = {"json": mail(), "mime": mail(text="hello"), "draft": LARGE}


@pytest.fixture
async def here() -> AsyncIterator[Place]:
    async with place(mailboxes=[SENDER]) as opened:
        yield opened


async def lost(here: Place, message: Message) -> Unknown:
    """Send a message whose response is lost."""
    here.standin.script.cut_after_accept()
    outcome = await here.send(message)
    assert isinstance(outcome, Unknown)
    assert here.standin.inbox.accepted == 1
    return outcome


@pytest.mark.parametrize("message", WAYS.values(), ids=WAYS)
async def test_sent_message_is_found(here: Place, message: Message) -> None:
    unknown = await lost(here, message)
    found = await here.route().verify(send_request(message), unknown.provider_id)
    assert found == Sent(provider_id=here.folder("sentitems")[0].id, reply="a copy is in the mailbox")


@pytest.mark.parametrize("message", WAYS.values(), ids=WAYS)
async def test_sent_message_is_found_by_another_process(here: Place, message: Message) -> None:
    await lost(here, message)
    assert isinstance(await here.route().verify(send_request(message), None), Sent)


async def test_copy_of_another_attempt_is_not_found(here: Place) -> None:
    await lost(here, mail())
    assert isinstance(await here.route().verify(send_request(attempt=2), None), Unknown)


@pytest.mark.parametrize("knows_draft", [True, False])
async def test_unsent_draft_is_deleted_and_deferred(here: Place, knows_draft: bool) -> None:
    here.standin.script.respond(504, operation="send.draft")
    unknown = await here.send(LARGE)
    assert isinstance(unknown, Unknown)
    assert len(here.folder("drafts")) == 1
    found = await here.route().verify(send_request(LARGE), unknown.provider_id if knows_draft else None)
    assert found == Deferred(code="provider_unavailable", reply="it was still a draft")
    assert (here.folder("drafts"), here.standin.inbox.accepted) == ([], 0)


async def test_undeletable_draft_stays_unknown(here: Place) -> None:
    here.standin.script.respond(504, operation="send.draft")
    unknown = await here.send(LARGE)
    here.standin.script.respond(503, operation="delete")
    assert isinstance(unknown, Unknown)
    found = await here.route().verify(send_request(LARGE), unknown.provider_id)
    assert found == Unknown(code="response_lost", reply="a draft could not be deleted", provider_id=unknown.provider_id)


@pytest.mark.parametrize("knows_folder", [True, False])
async def test_draft_outside_drafts_stays_unknown(here: Place, knows_folder: bool) -> None:
    here.standin.script.respond(504, operation="send.draft")
    unknown = await here.send(LARGE)
    assert isinstance(unknown, Unknown)
    if knows_folder:
        waits = {"id": unknown.provider_id, "isDraft": True, "parentFolderId": "outbox"}
        here.standin.script.respond(200, waits, operation="read")
    else:
        here.standin.script.respond(503, operation="read", skip=1)
    found = await here.route().verify(send_request(LARGE), unknown.provider_id)
    assert found == Unknown(code="response_lost", reply="a draft is outside Drafts", provider_id=unknown.provider_id)
    assert len(here.folder("drafts")) == 1


async def test_missing_copy_stays_unknown(here: Place) -> None:
    here.standin.script.cut_after_accept()
    assert isinstance(await here.send(save_to_sent_items=False), Unknown)
    found = await here.route().verify(send_request(), None)
    assert found == Unknown(code="response_lost", reply="no copy is in the mailbox")


async def test_copy_that_appears_later_is_found() -> None:
    clock = Clock(NOW)
    async with place(sent_items_lag=timedelta(seconds=30), clock=clock) as here:
        await lost(here, mail())
        assert isinstance(await here.route().verify(send_request(), None), Unknown)
        clock.now += timedelta(seconds=30)
        assert isinstance(await here.route().verify(send_request(), None), Sent)


async def test_copy_is_found_by_the_header_if_the_draft_id_is_unknown(here: Place) -> None:
    await lost(here, mail())
    found = await here.route().verify(send_request(), "AAMkNoSuchId")
    assert isinstance(found, Sent)


@pytest.mark.parametrize("draft", ["AAMkId", None])
async def test_unreadable_mailbox_stays_unknown(here: Place, draft: str | None) -> None:
    for status, body in ((503, "busy"), (403, "no"), (200, "not json")):
        here.standin.script.respond(status, body, operation="read")
        found = await here.route().verify(send_request(), draft)
        assert found == Unknown(code="response_lost", reply=f"{status} {body}", provider_id=draft)
    await here.standin.stop()
    found = await here.route().verify(send_request(), draft)
    assert isinstance(found, Unknown)
    assert found.reply
