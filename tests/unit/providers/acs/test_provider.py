"""The ACS route against its stand-in: authentication, bodies, refusals, lost responses, operations."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest

from relay.core.model import Address, Attachment, Message
from relay.core.outcomes import Deferred, PerRecipient, Rejected, RouteFault, Sent, Unknown
from relay.providers.acs.outcomes import CHECK_AFTER_SECONDS
from standins.acs.server import CUSTOM_DOMAIN, STATUS_READS
from tests.send_requests import FINISHED, SIGNED
from tests.unit.providers.acs.acs_route import Place, mail, place, send_request

OPERATION = send_request().attempt_id
QUOTED = mail(
    to=(Address(email='"end."@docomo.ne.jp'), Address(email="ada@example.org")),
    cc=(Address(email="cem@example.org"),),
    bcc=(Address(email='"a..b"@ezweb.ne.jp'), Address(email="bob@example.org")),
)
BLIND = mail(to=(), bcc=tuple(Address(email=f"{name}@example.org") for name in ("ada", "bob", "cem")))


@pytest.fixture
async def here() -> AsyncIterator[Place]:
    async with place(domains=["example.com"]) as opened:
        yield opened


async def test_accepted_message_is_sent_and_checked_later(here: Place) -> None:
    outcome = await here.route().send(send_request())
    assert isinstance(outcome, Sent)
    assert (outcome.provider_id, outcome.check_after_seconds) == (OPERATION, CHECK_AFTER_SECONDS)
    assert outcome.reply.startswith('202 {"id":')
    (kept,) = here.standin.inbox.messages
    assert (kept.id, kept.subject, kept.text, kept.html, kept.relay_id) == (
        OPERATION, "件名", "hello", "<p>hello</p>", "m1",
    )  # fmt: skip
    assert (kept.to[0].name, kept.envelope) == ('Ada, "A" @ home', ("ada@example.org", "bob@example.org"))
    assert kept.headers["Message-ID"] == "<m1@example.com>"


async def test_headers_files_and_reply_addresses_arrive(here: Place) -> None:
    logo = Attachment(name="図.png", type="image/png", content=b"\x89PNG", disposition="inline", content_id="logo")
    large = Attachment(name="a.bin", content=bytes(range(256)) * 4_000)
    replies = (Address(email="r@example.com", name="R"), Address(email="s@example.com"))
    headers = {"List-Unsubscribe": "<https://x.org/u>", "X-Name": "é\r\nBcc: x@x.org"}
    message = mail(attachments=(logo, large), reply_to=replies, headers=headers)
    assert isinstance(await here.route(engagement_tracking=False).send(send_request(message)), Sent)
    (kept,) = here.standin.inbox.messages
    assert [(item.name, item.content, item.content_id) for item in kept.attachments] == [
        ("図.png", logo.content, "logo"),
        ("a.bin", large.content, None),
    ]
    assert [(person.address, person.name) for person in kept.reply_to] == [
        ("r@example.com", "R"),
        ("s@example.com", ""),
    ]
    assert kept.headers["List-Unsubscribe"] == "<https://x.org/u>"
    assert kept.headers["X-Name"] == "=?utf-8?b?" + base64.b64encode("é  Bcc: x@x.org".encode()).decode() + "?="
    assert kept.fields["tracking_disabled"] is True


async def test_finished_message_is_sent_as_its_content(here: Place) -> None:
    outcome = await here.route().send(send_request(mail(raw=FINISHED, subject="件名", text=None, html=None, bcc=())))
    assert isinstance(outcome, Sent)
    (kept,) = here.standin.inbox.messages
    assert (kept.subject, kept.text, kept.html) == ("件名", "本文", "<p>本文</p>")
    assert (kept.headers["X-Order"], kept.headers["Message-ID"]) == ("4711", "<m1@example.com>")
    assert [each.address for each in kept.reply_to] == ["r@example.com"]
    assert [(file.name, file.content_type, file.content) for file in kept.attachments] == [
        ("請.pdf", "application/pdf", b"%PDF"),
    ]
    assert not {"Received", "Date", "Bcc", "MIME-Version"} & set(kept.headers)
    assert "eve" not in str(kept)


async def test_only_recipients_of_this_attempt_are_named(here: Place) -> None:
    message = mail(cc=(Address(email="cem@example.org"),))
    assert isinstance(await here.route().send(send_request(message, recipients=(1, 2))), Sent)
    (kept,) = here.standin.inbox.messages
    assert [person.address for person in kept.to] == ["cem@example.org"]
    assert kept.envelope == ("cem@example.org", "bob@example.org")


async def test_bcc_only_recipients_do_not_see_each_other(here: Place) -> None:
    here.standin.script.respond(429, recipient="bob@*", headers={"Retry-After": "41"})
    outcome = await here.route().send(send_request(BLIND, recipients=(0, 1, 2)))
    assert isinstance(outcome, PerRecipient)
    assert [numbers for numbers, _ in outcome.outcomes] == [(0,), (1,), (2,)]
    kinds = [type(each) for _, each in outcome.outcomes]
    assert kinds == [Sent, Deferred, Sent]
    assert sorted(kept.envelope for kept in here.standin.inbox.messages) == [("ada@example.org",), ("cem@example.org",)]
    # After the split each part is found by itself.
    assert isinstance(await here.route().verify(send_request(BLIND, recipients=(2,)), None), Sent)
    assert isinstance(await here.route().verify(send_request(BLIND, recipients=(1,)), None), Deferred)
    both = await here.route().verify(send_request(BLIND, recipients=(1, 2)), None)
    assert isinstance(both, PerRecipient)


async def test_refused_quoted_recipients_leave_the_others_sent(here: Place) -> None:
    outcome = await here.route().send(send_request(QUOTED, recipients=(0, 1, 2, 3, 4)))
    assert isinstance(outcome, PerRecipient)
    assert [(numbers, type(each)) for numbers, each in outcome.outcomes] == [
        ((1, 2, 4), Sent), ((0,), Rejected), ((3,), Rejected),
    ]  # fmt: skip
    assert [each.code for _, each in outcome.outcomes if isinstance(each, Rejected)] == ["invalid_recipient"] * 2
    (kept,) = here.standin.inbox.messages
    assert kept.envelope == ("ada@example.org", "cem@example.org", "bob@example.org")
    both = await here.route().verify(send_request(QUOTED, recipients=(0, 1, 2, 3, 4)), None)
    assert isinstance(both, PerRecipient)
    assert [type(each) for _, each in both.outcomes] == [Sent, Deferred, Deferred]


async def test_lost_response_beside_a_quoted_recipient_is_verified_after_the_split(here: Place) -> None:
    here.standin.script.cut_after_accept(recipient="ada@*")
    outcome = await here.route().send(send_request(QUOTED, recipients=(0, 1, 2, 3, 4)))
    assert isinstance(outcome, PerRecipient)
    (numbers, lost), *_ = outcome.outcomes
    assert isinstance(lost, Unknown)
    # The part of the split has another first recipient, and so another attempt id.
    part = msgspec.structs.replace(
        send_request(QUOTED, recipients=numbers), attempt_id=send_request(attempt=9).attempt_id
    )
    assert isinstance(await here.route().verify(part, lost.provider_id), Sent)


@pytest.mark.parametrize(
    ("recipients", "shown"),
    [
        ((0, 2, 4), [["cem@example.org"]]),
        ((0, 3, 4), [["bob@example.org"]]),
    ],
)
async def test_recipients_beside_a_quoted_one_keep_their_places(
    here: Place, recipients: tuple[int, ...], shown: list[list[str]]
) -> None:
    await here.route().send(send_request(QUOTED, recipients=recipients))
    assert [[person.address for person in kept.to] for kept in here.standin.inbox.messages] == shown


async def test_empty_subject_and_body_become_a_space(here: Place) -> None:
    assert isinstance(await here.route().send(send_request(mail(subject="", text=None, html=""))), Sent)
    (kept,) = here.standin.inbox.messages
    assert (kept.subject, kept.text, kept.html) == (" ", " ", None)


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("key_revoked", "bad_credentials"),
        ("role_missing", "missing_permission"),
        ("domain_not_linked", "sender_not_verified"),
        ("sender_unknown", "sender_not_verified"),
        ("suspended", "account_restricted"),
    ],
)
async def test_account_that_may_not_send_is_a_route_fault(here: Place, state: str, code: str) -> None:
    here.standin.account = state
    fault = await here.route().send(send_request())
    assert isinstance(fault, RouteFault)
    assert (fault.code, here.standin.inbox.accepted) == (code, 0)


async def test_unlinked_domain_holds_only_its_sender(here: Place) -> None:
    fault = await here.route().send(send_request(mail(sender=Address(email="app@other.example"))))
    assert isinstance(fault, RouteFault)
    assert fault.code == "sender_not_verified"


WRONG = {
    "a recipient": (mail(to=(Address(email="nobody at home@x.org"),)), "invalid_recipient"),
    "too many": (mail(to=tuple(Address(email=f"r{n}@x.org") for n in range(51))), "invalid_message"),
    "too large": (mail(html="x" * 10_485_760), "message_too_large"),
    "a return path": (mail(return_path="bounces@example.com"), "unsupported"),
    "signed MIME": (mail(raw=SIGNED), "unsupported"),
    "a text that is none": (mail(subject="\ud800"), "invalid_message"),
    "a domain that is none": (mail(to=(Address(email="a@é..x"),)), "invalid_message"),
}


@pytest.mark.parametrize(("message", "code"), WRONG.values(), ids=WRONG)
async def test_invalid_message_is_rejected(here: Place, message: Message, code: str) -> None:
    outcome = await here.route().send(send_request(message))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, here.standin.inbox.accepted) == (code, 0)


async def test_rate_limited_send_is_deferred_for_retry_after() -> None:
    async with place(limits=CUSTOM_DOMAIN) as here:
        route = here.route()
        outcomes = [await route.send(send_request(attempt=number)) for number in range(1, 32)]
        assert all(isinstance(outcome, Sent) for outcome in outcomes[:30])
        last = outcomes[30]
        assert isinstance(last, Deferred)
        assert (last.code, last.retry_after_seconds) == ("rate_limited", 60)
        here.clock.move(60)
        assert isinstance(await route.send(send_request(attempt=31)), Sent)


async def test_refused_key_is_replaced_once(here: Place) -> None:
    second = base64.b64encode(b"second key").decode()
    here.standin.keys = {second}
    here.keys.renewed = second
    assert isinstance(await here.route().send(send_request()), Sent)
    assert (here.keys.refreshed, here.standin.inbox.requests) == (1, 2)
    here.standin.keys = {base64.b64encode(b"third key").decode()}
    fault = await here.route().send(send_request())
    assert isinstance(fault, RouteFault)
    assert (fault.code, here.standin.inbox.requests) == ("bad_credentials", 3)


@pytest.mark.parametrize(("key", "code"), [("", "secret_unavailable"), ("not base64!", "bad_credentials")])
async def test_unusable_key_sends_no_request(here: Place, key: str, code: str) -> None:
    here.keys.value = key
    fault = await here.route().send(send_request())
    assert isinstance(fault, RouteFault)
    assert (fault.code, here.standin.inbox.requests) == (code, 0)


async def test_identity_is_accepted_and_its_refused_token_replaced_once(here: Place) -> None:
    route = here.route(managed_identity=True)
    assert isinstance(await route.send(send_request()), Sent)
    here.standin.issuer.revoke()
    assert isinstance(await route.send(send_request(attempt=2)), Sent)
    assert (here.standin.issuer.issued, here.standin.inbox.refused[401]) == (2, 1)
    here.tokens.refusal = RouteFault(code="bad_credentials", reply="AADSTS7000215")
    assert await route.send(send_request(attempt=3)) == here.tokens.refusal
    assert await route.probe() == here.tokens.refusal
    here.tokens.refusal = Deferred(code="unreachable", reply="token")
    assert await route.send(send_request(attempt=3)) == here.tokens.refusal
    assert await route.probe() == RouteFault(code="unreachable", reply="token")
    assert await route.verify(send_request(), None) == Unknown(
        code="response_lost", reply="token", provider_id=OPERATION
    )


async def test_lost_response_is_verified(here: Place) -> None:
    here.standin.script.cut_after_accept()
    lost = await here.route().send(send_request())
    assert isinstance(lost, Unknown)
    assert (lost.code, lost.provider_id) == ("response_lost", OPERATION)
    found = await here.route().verify(send_request(), lost.provider_id)
    assert isinstance(found, Sent)
    assert (found.provider_id, found.check_after_seconds, here.standin.inbox.accepted) == (OPERATION, None, 1)


async def test_recorded_operation_is_the_one_verified(here: Place) -> None:
    await here.route().send(send_request())
    # An attempt that found the one before it sent carries that one's operation.
    assert isinstance(await here.route().verify(send_request(attempt=2), OPERATION), Sent)
    assert isinstance(await here.route().verify(send_request(attempt=2), None), Deferred)


async def test_request_that_never_arrived_can_be_sent_again(here: Place) -> None:
    here.standin.script.respond(504)
    assert isinstance(await here.route().send(send_request()), Unknown)
    found = await here.route().verify(send_request(), None)
    assert isinstance(found, Deferred)
    assert here.standin.inbox.accepted == 0


async def test_refused_connection_is_deferred(here: Place) -> None:
    await here.standin.stop()
    route = here.route()
    assert isinstance(await route.send(send_request()), Deferred)
    fault = await route.probe()
    assert isinstance(fault, RouteFault)
    assert fault.code == "unreachable"
    assert isinstance(await route.verify(send_request(), None), Unknown)


async def test_running_operation_counts_as_sent() -> None:
    async with place(running=timedelta(minutes=2)) as here:
        await here.route().send(send_request())
        found = await here.route().verify(send_request(), None)
        assert isinstance(found, Sent)
        assert found.check_after_seconds == CHECK_AFTER_SECONDS
        here.clock.move(120)
        found = await here.route().verify(send_request(), None)
        assert isinstance(found, Sent)
        assert found.check_after_seconds is None


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        ("Failed", "EmailDroppedAllRecipientsSuppressed", "suppressed"),
        ("Failed", "InvalidEmailAddress", "invalid_recipient"),
        ("Failed", "InternalError", "provider_failed"),
        ("Canceled", "", "provider_failed"),
    ],
)
async def test_failed_operation_is_reported(here: Place, status: str, error: str, code: str) -> None:
    here.standin.end("ada@*", status, error, "why")
    assert isinstance(await here.route().send(send_request()), Sent)
    found = await here.route().verify(send_request(), OPERATION)
    assert isinstance(found, Rejected)
    assert found.code == code
    assert status in found.reply


async def test_rate_limited_status_read_is_unknown() -> None:
    async with place(status_limits=STATUS_READS[:1]) as here:
        route = here.route()
        await route.send(send_request())
        found = [await route.verify(send_request(), None) for _ in range(61)]
        assert isinstance(found[59], Sent)
        assert isinstance(found[60], Unknown)
        assert found[60].reply.startswith("429 ")
        # 429 comes only after authentication, so the probe succeeds.
        assert await route.probe() == Sent()


async def test_probe_shows_whether_the_key_is_accepted(here: Place) -> None:
    assert await here.route().probe() == Sent()
    for state, code in (("key_revoked", "bad_credentials"), ("suspended", "account_restricted")):
        here.standin.account = state
        fault = await here.route().probe()
        assert isinstance(fault, RouteFault)
        assert fault.code == code
    here.standin.account = "active"
    here.standin.script.respond(500, operation="status")
    fault = await here.route().probe()
    assert isinstance(fault, RouteFault)
    assert fault.code == "provider_unavailable"
