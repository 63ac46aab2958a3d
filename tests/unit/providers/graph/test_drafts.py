"""Send large messages: drafts, attachments, upload sessions, and cleanup after a failed step."""

from collections.abc import AsyncIterator

import pytest

from relay.core.model import Address, Attachment
from relay.core.outcomes import Deferred, Outcome, Rejected, RouteFault, Sent, Unknown
from relay.providers.graph.upload_session import MIN_BYTES, RANGE_BYTES
from tests.unit.providers.graph.graph_route import SENDER, Place, mail, place

LARGE = bytes(range(251)) * 40_000
FILES = (
    Attachment(name="logo.png", type="image/png", content=b"\x89PNG", disposition="inline", content_id="logo"),
    Attachment(name="大.pdf", type="application/pdf", content=LARGE),
    Attachment(name="half.bin", content=bytes(2_000_000)),
)
MESSAGE = mail(text="hello", attachments=FILES)


@pytest.fixture
async def here() -> AsyncIterator[Place]:
    async with place(mailboxes=[SENDER]) as opened:
        yield opened


def deferred(outcome: Outcome) -> Deferred:
    assert isinstance(outcome, Deferred), outcome
    return outcome


@pytest.mark.parametrize("has_both", [True, False], ids=["mime", "json"])
async def test_large_message_arrives_complete_and_leaves_one_copy(here: Place, has_both: bool) -> None:
    outcome = await here.send(mail(text="hello" if has_both else None, attachments=FILES, headers={"X-Ref": "7"}))
    assert isinstance(outcome, Sent)
    (kept,) = here.standin.inbox.messages
    assert [item.content for item in kept.attachments] == [item.content for item in FILES]
    assert [item.name for item in kept.attachments] == ["logo.png", "大.pdf", "half.bin"]
    assert (kept.attachments[0].disposition, kept.attachments[0].content_id) == ("inline", "logo")
    assert kept.attachments[1].content_type == "application/pdf"
    assert (kept.relay_id, kept.subject, kept.headers["X-Ref"]) == ("m1", "件名", "7")
    assert ((kept.text or "").strip(), (kept.html or "").strip()) == ("hello" if has_both else "", "<p>hello</p>")
    assert kept.envelope == ("ada@example.org", "bob@example.org")
    assert (here.folder("drafts"), [copy.id for copy in here.folder("sentitems")]) == ([], [outcome.provider_id])


def test_upload_ranges_fit_the_session() -> None:
    assert (RANGE_BYTES % (320 * 1024), RANGE_BYTES < 4_000_000) == (0, True)
    assert len(LARGE) > 2 * RANGE_BYTES > MIN_BYTES


async def test_upload_continues_after_a_failed_range(here: Place) -> None:
    here.standin.script.respond(500, operation="upload", skip=1)
    here.standin.script.respond(503, operation="upload", skip=2)
    assert isinstance(await here.send(MESSAGE), Sent)
    assert here.standin.inbox.messages[0].attachments[1].content == LARGE
    # Three ranges, and two of them twice.
    assert here.standin.script.acted == {"respond": 2}


async def test_upload_continues_after_a_broken_connection(here: Place) -> None:
    # Twice in a row each, because aiohttp itself repeats a PUT whose connection was reset.
    here.standin.script.cut_before_body(operation="upload", times=2)
    here.standin.script.cut_after_accept(operation="upload", times=2)
    assert isinstance(await here.send(MESSAGE), Sent)
    assert here.standin.inbox.messages[0].attachments[1].content == LARGE
    assert not here.standin.script.waiting


async def test_upload_with_a_lost_last_response_is_found_complete(here: Place) -> None:
    here.standin.script.accept_then(504, operation="upload")
    one = Attachment(name="one range.bin", content=bytes(MIN_BYTES + 1))
    small = Attachment(name="a", content=bytes(2_000_000))
    assert isinstance(await here.send(mail(attachments=(small, one))), Sent)
    assert [len(item.content) for item in here.standin.inbox.messages[0].attachments] == [2_000_000, MIN_BYTES + 1]


async def test_upload_without_progress_fails(here: Place) -> None:
    here.standin.script.respond(500, operation="upload", times=None)
    assert deferred(await here.send(MESSAGE)).code == "provider_unavailable"
    assert (here.standin.script.acted, here.folder("drafts")) == ({"respond": 4}, [])


async def test_throttled_upload_is_deferred(here: Place) -> None:
    here.standin.script.respond(429, operation="upload", headers={"Retry-After": "9"})
    outcome = deferred(await here.send(MESSAGE))
    assert (outcome.code, outcome.retry_after_seconds, here.folder("drafts")) == ("rate_limited", 9, [])


@pytest.mark.parametrize("operation", ["draft", "attach", "upload_session"])
@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (429, Deferred, "rate_limited"),
        (500, Deferred, "provider_unavailable"),
        (504, Deferred, "provider_unavailable"),
        (403, RouteFault, "mailbox_unavailable"),
        (400, Rejected, "invalid_message"),
    ],
)
async def test_failed_step_sends_nothing_and_leaves_no_draft(
    here: Place, operation: str, status: int, kind: type[Outcome], code: str
) -> None:
    here.standin.script.respond(status, operation=operation)
    outcome = await here.send(MESSAGE)
    assert isinstance(outcome, kind)
    assert outcome.code == code
    assert (here.standin.inbox.accepted, here.folder("drafts")) == (0, [])


async def test_lost_response_to_the_draft_sends_nothing_and_leaves_no_draft(here: Place) -> None:
    here.standin.script.cut_after_accept(operation="draft")
    assert deferred(await here.send(MESSAGE)).code == "provider_unavailable"
    assert (here.standin.inbox.accepted, here.folder("drafts")) == (0, [])


@pytest.mark.parametrize(
    ("status", "kind"), [(429, Deferred), (404, RouteFault), (400, Rejected), (500, Unknown), (504, Unknown)]
)
async def test_response_to_the_send_step_decides_the_outcome(here: Place, status: int, kind: type[Outcome]) -> None:
    here.standin.script.respond(status, operation="send.draft")
    outcome = await here.send(MESSAGE)
    assert isinstance(outcome, kind)
    left = [copy.id for copy in here.folder("drafts")]
    assert left == ([outcome.provider_id] if isinstance(outcome, Unknown) else [])


async def test_draft_missing_at_the_send_step_is_deferred(here: Place) -> None:
    gone = {"error": {"code": "ErrorItemNotFound", "message": "The specified object was not found in the store."}}
    here.standin.script.respond(404, gone, operation="send.draft")
    assert deferred(await here.send(MESSAGE)).code == "provider_unavailable"


async def test_sender_without_permission_is_refused_when_the_draft_is_sent(here: Place) -> None:
    other = mail(sender=Address(email="other@example.com"), attachments=FILES)
    fault = await here.send(other, mailbox=SENDER)
    assert isinstance(fault, RouteFault)
    assert (fault.code, here.folder("drafts")) == ("sender_not_verified", [])


async def test_message_beyond_the_tenants_limit_is_rejected() -> None:
    async with place(max_message_bytes=5_000_000) as here:
        outcome = await here.send(MESSAGE)
    assert isinstance(outcome, Rejected)
    assert outcome.code == "message_too_large"


async def test_draft_without_permission_is_a_route_fault(here: Place) -> None:
    here.standin.permissions.discard("Mail.ReadWrite")
    fault = await here.send(MESSAGE, mailbox=SENDER)
    assert isinstance(fault, RouteFault)
    assert fault.code == "missing_permission"
    assert isinstance(await here.send(), Sent)
