"""The Graph route against its stand-in: JSON or MIME, refusals, lost responses, tokens, concurrency."""

import asyncio
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.policy import default

import pytest

from relay.core.model import Address, Attachment, Message
from relay.core.outcomes import Deferred, Rejected, RouteFault, Sent, Unknown
from standins.entra import DEFAULT_CLIENT
from tests.unit.providers.graph.graph_route import SENDER, Place, mail, place, send_request

LOGO = Attachment(name="図.png", type="image/png", content=b"\x89PNG", disposition="inline", content_id="logo")


@pytest.fixture
async def here() -> AsyncIterator[Place]:
    async with place(mailboxes=[SENDER, "shared@example.com"], send_as={"shared@example.com": [SENDER]}) as opened:
        yield opened


async def test_small_message_is_sent_as_json(here: Place) -> None:
    outcome = await here.send(
        mail(headers={"X-Ref": "7"}, attachments=(LOGO,), reply_to=(Address(email="r@x.org"),) * 2)
    )
    assert isinstance(outcome, Sent)
    assert outcome.reply.startswith("202 request-id ")
    (kept,) = here.standin.inbox.messages
    assert (kept.raw, kept.subject, kept.html, kept.text) == (None, "件名", "<p>hello</p>", None)
    assert (kept.sender.address, kept.sender.name, kept.to[0].name) == (SENDER, "App", 'Ada, "A" @ home')
    assert kept.envelope == ("ada@example.org", "bob@example.org")
    assert kept.headers == {"X-Relay-Id": "m1", "X-Relay-Attempt": send_request().attempt_id, "X-Ref": "7"}
    assert kept.fields["internetMessageId"] == "<m1@example.com>"
    assert (kept.attachments[0].content_id, kept.attachments[0].content) == ("logo", LOGO.content)
    assert [person.address for person in kept.reply_to] == ["r@x.org", "r@x.org"]
    assert len(here.folder("sentitems")) == 1


async def test_message_that_needs_mime_has_the_envelope_in_its_fields(here: Place) -> None:
    message = mail(
        text="hello",
        headers={"List-Unsubscribe": "<https://x.org/u>"},
        cc=(Address(email="c@x.org"),),
        attachments=(LOGO,),
    )
    assert isinstance(await here.send(send_request(message, recipients=(0, 2))), Sent)
    (kept,) = here.standin.inbox.messages
    assert kept.raw is not None
    read = message_from_bytes(kept.raw, policy=default)
    assert (read["Bcc"], read["Cc"], read["List-Unsubscribe"]) == ("bob@example.org", None, "<https://x.org/u>")
    assert (read["Message-ID"], read["X-Relay-Attempt"]) == ("<m1@example.com>", send_request().attempt_id)
    assert kept.envelope == ("ada@example.org", "bob@example.org")
    assert (kept.subject, (kept.text or "").strip(), (kept.html or "").strip()) == ("件名", "hello", "<p>hello</p>")
    assert kept.attachments[0].content_id == "logo"


async def test_raw_message_is_sent_unchanged_to_the_envelope(here: Place) -> None:
    raw = b"From: app@example.com\r\nTo: ada@example.org\r\nX-Relay-Attempt: forged\r\nSubject: as is\r\n\r\nbody\r\n"
    recipients = {"to": (Address(email="ada@example.org"),), "bcc": (Address(email="hidden@example.org"),)}
    assert isinstance(await here.send(mail(raw=raw, html=None, **recipients)), Sent)
    (kept,) = here.standin.inbox.messages
    assert kept.envelope == ("ada@example.org", "hidden@example.org")
    assert kept.headers["X-Relay-Attempt"] == send_request().attempt_id
    assert (kept.subject, kept.text) == ("as is", "body\r\n")


async def test_copy_is_not_saved_if_the_route_disables_it(here: Place) -> None:
    for message in (mail(), mail(text="hello")):
        assert isinstance(await here.send(message, save_to_sent_items=False), Sent)
    assert (here.standin.inbox.accepted, here.folder("sentitems")) == (2, [])


async def test_route_mailbox_sends_for_permitted_senders(here: Place) -> None:
    assert isinstance(await here.send(mailbox="shared@example.com"), Sent)
    assert here.standin.inbox.messages[0].fields["mailbox"] == "shared@example.com"
    other = mail(sender=Address(email="other@example.com"))
    fault = await here.send(other, mailbox="shared@example.com")
    assert isinstance(fault, RouteFault)
    assert fault.code == "sender_not_verified"


@pytest.mark.parametrize(
    ("state", "own_mailbox", "code"),
    [
        ("token_refused", False, "bad_credentials"),
        ("access_denied", True, "missing_permission"),
        ("access_denied", False, "mailbox_unavailable"),
        ("policy_denied", True, "mailbox_unavailable"),
        ("send_as_denied", False, "sender_not_verified"),
        ("mailbox_missing", False, "mailbox_unavailable"),
        ("mailbox_on_premises", True, "mailbox_unavailable"),
    ],
)
async def test_account_that_may_not_send_is_a_route_fault(
    here: Place, state: str, own_mailbox: bool, code: str
) -> None:
    here.standin.account = state
    fault = await here.send(mailbox=SENDER if own_mailbox else "")
    assert isinstance(fault, RouteFault)
    assert (fault.code, here.standin.inbox.accepted) == (code, 0)


async def test_mailbox_outside_the_apps_scope_holds_only_its_sender(here: Place) -> None:
    here.standin.scope = {"shared@example.com"}
    fault = await here.send()
    assert isinstance(fault, RouteFault)
    assert fault.code == "mailbox_unavailable"


WRONG = {
    "a recipient": (mail(to=(Address(email="nobody at home@x.org"),)), "invalid_recipient"),
    "too many": (mail(to=tuple(Address(email=f"r{n}@x.org") for n in range(501))), "policy_refused"),
    "a return path": (mail(return_path="bounces@example.com"), "unsupported"),
    "a text that is none": (mail(subject="\ud800"), "invalid_message"),
    "a finished message larger than a request": (mail(raw=b"To: x\r\n\r\n" + b"x" * 3_000_001), "message_too_large"),
    "a text larger than a request": (mail(html="x" * 4_000_001), "message_too_large"),
}


@pytest.mark.parametrize(("message", "code"), WRONG.values(), ids=WRONG)
async def test_invalid_message_is_rejected(here: Place, message: Message, code: str) -> None:
    outcome = await here.send(message)
    assert isinstance(outcome, Rejected)
    assert (outcome.code, here.standin.inbox.accepted) == (code, 0)


async def test_throttled_send_is_deferred_for_retry_after(here: Place) -> None:
    here.standin.script.respond(429, headers={"Retry-After": "7"})
    here.standin.script.respond(503, headers={"Retry-After": "3"})
    first, second = await here.send(), await here.send()
    assert isinstance(first, Deferred)
    assert isinstance(second, Deferred)
    assert (first.code, first.retry_after_seconds) == ("rate_limited", 7)
    assert (second.code, second.retry_after_seconds) == ("provider_unavailable", 3)


async def test_refused_token_is_replaced_once(here: Place) -> None:
    route = here.route()
    assert isinstance(await route.send(send_request()), Sent)
    here.standin.issuer.revoke()
    assert isinstance(await route.send(send_request()), Sent)
    assert (here.standin.issuer.issued, here.standin.inbox.accepted, here.standin.inbox.refused[401]) == (2, 2, 1)
    here.standin.account = "token_refused"
    fault = await route.send(send_request())
    assert isinstance(fault, RouteFault)
    assert (fault.code, here.standin.inbox.refused[401]) == ("bad_credentials", 3)


async def test_missing_token_sends_nothing(here: Place) -> None:
    here.standin.issuer.clients[DEFAULT_CLIENT] = "another"
    fault = await here.send()
    assert isinstance(fault, RouteFault)
    assert fault.code == "bad_credentials"
    here.keys.value = ""
    fault = await here.send()
    assert isinstance(fault, RouteFault)
    assert fault.code == "secret_unavailable"


async def test_lost_response_is_unknown_and_lost_request_is_deferred(here: Place) -> None:
    here.standin.script.cut_after_accept()
    lost = await here.send()
    assert isinstance(lost, Unknown)
    assert (lost.code, here.standin.inbox.accepted) == ("response_lost", 1)
    here.standin.script.accept_then(504, "upstream timed out")
    assert await here.send() == Unknown(code="response_lost", reply="504 upstream timed out")
    here.standin.script.cut_before_body()
    large = Attachment(name="a", content=bytes(2_500_000))
    assert isinstance(await here.send(mail(attachments=(large,))), Deferred)


async def test_response_timeout_is_unknown(here: Place) -> None:
    route = here.route(timeout_seconds=1)
    assert isinstance(await route.send(send_request()), Sent)
    here.standin.script.hang(after_accept=True)
    outcome = await route.send(send_request())
    assert isinstance(outcome, Unknown)
    assert outcome.reply in ("SocketTimeoutError", "TimeoutError", "ServerTimeoutError")


class HeldCredentials:
    """Credentials without a token: the first `most` that ask wait until `refuse`. They and all others get a fault."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.fault = RouteFault(code="secret_unavailable")
        self.asked = 0
        self._waiting = asyncio.Semaphore(0)
        self._refused = asyncio.Event()

    async def token(self, *_: object, **__: object) -> RouteFault:
        self.asked += 1
        if self.asked <= self._most:
            self._waiting.release()
            await self._refused.wait()
        return self.fault

    async def until_waiting(self) -> None:
        for _ in range(self._most):
            await self._waiting.acquire()

    def refuse(self) -> None:
        self._refused.set()

    async def close(self) -> None:
        self.refuse()


async def test_mailbox_gets_four_concurrent_requests_and_others_are_not_blocked(here: Place) -> None:
    held = here.credentials = HeldCredentials(8)
    route = here.route()
    mails = [send_request(mail(sender=Address(email=box))) for box in (SENDER, "shared@example.com") for _ in range(12)]
    sends = [asyncio.create_task(route.send(each)) for each in mails]
    await held.until_waiting()
    # All others have begun too, and wait for one of their mailbox's slots.
    await asyncio.sleep(0)
    assert held.asked == 8
    held.refuse()
    assert await asyncio.gather(*sends) == [held.fault] * 24


async def test_busy_mailbox_defers(here: Place) -> None:
    held = here.credentials = HeldCredentials(4)
    route = here.route(timeout_seconds=1)
    # They wait for a token without a limit, so that none of them ends before the fifth does.
    four = [asyncio.create_task(route.send(send_request())) for _ in range(4)]
    await held.until_waiting()
    busy = Deferred(code="rate_limited", reply="the mailbox has too many concurrent requests")
    assert await route.send(send_request()) == busy
    held.refuse()
    assert [*await asyncio.gather(*four), await route.send(send_request())] == [held.fault] * 5


async def test_probe_reads_the_mailbox(here: Place) -> None:
    assert await here.route(mailbox=SENDER).probe() == Sent()
    missing = await here.route(mailbox="nobody@example.com").probe()
    assert isinstance(missing, RouteFault)
    assert missing.code == "mailbox_unavailable"
    here.standin.permissions.discard("Mail.ReadWrite")
    assert await here.route(mailbox=SENDER).probe() == Sent()
    here.standin.script.respond(503, operation="read")
    busy = await here.route(mailbox=SENDER).probe()
    assert isinstance(busy, RouteFault)
    assert busy.code == "provider_unavailable"


async def test_probe_without_a_mailbox_gets_a_token(here: Place) -> None:
    assert await here.route().probe() == Sent()
    here.keys.value = ""
    fault = await here.route().probe()
    assert isinstance(fault, RouteFault)
    assert fault.code == "secret_unavailable"


async def test_probe_of_unreachable_graph_is_a_route_fault() -> None:
    async with place() as here:
        route = here.route(mailbox=SENDER)
        assert await route.probe() == Sent()
        await here.standin.stop()
        fault = await route.probe()
    assert isinstance(fault, RouteFault)
    assert fault.code == "unreachable"
