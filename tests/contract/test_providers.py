"""Contract of the providers: one suite for all five, against their stand-ins."""

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.core.model import Address, Message
from relay.core.outcomes import CAUSES, Deferred, Outcome, PerRecipient, Rejected, RouteFault, Sent, Unknown
from relay.mime.size import estimate_size
from relay.providers.contract import FEATURES
from relay.providers.registry import MODULES, demanded_options, option_problems, provider_module
from standins.inbox import Mail
from tests.contract.messages import HTML, NASTY, PIXEL, SENDER, mail, rich_mail, send_request
from tests.contract.open_providers import SETUPS
from tests.contract.provider_setups import ProviderSetup

FAR = sorted(set(SETUPS) - {"capture"})
"""Those with an account and a network between them and us."""


@pytest.fixture(params=list(SETUPS))
async def setup(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ProviderSetup]:
    """Yield each provider in turn."""
    async with SETUPS[request.param](tmp_path) as opened:
        yield opened


def kind(outcome: Outcome | PerRecipient) -> type:
    return type(outcome)


def test_every_provider_is_in_this_suite() -> None:
    assert set(SETUPS) == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_module_states_capabilities_and_names_unknown_settings(name: str) -> None:
    module = provider_module(name)
    assert module.CAPABILITIES.features <= set(FEATURES)
    assert module.CAPABILITIES.max_bytes > 0
    assert module.CAPABILITIES.max_recipients > 0
    assert any(fault.startswith("colour: is not a setting") for fault in module.check_settings({"colour": "blue"}))
    (problem,) = option_problems(name, {"colour": "blue"})
    assert problem.startswith(f"options.{name}.colour: is not an option of ")
    assert option_problems(name, {}) == []
    assert demanded_options(name, {}) == []
    assert demanded_options(name, {"colour": "blue"}) == ["colour"]


def test_settings_of_the_suite_are_valid(setup: ProviderSetup) -> None:
    assert setup.module.check_settings(setup.settings) == []


async def test_small_message_arrives(setup: ProviderSetup) -> None:
    outcome = await setup.provider.send(send_request())
    assert isinstance(outcome, Sent)
    (arrived,) = await setup.arrived()
    assert people(arrived.sender) == (SENDER.email, SENDER.name if setup.keeps_sender_name else "")
    assert (arrived.to[0].address, arrived.subject, lines(arrived.text)) == ("ada@example.org", "Hello", ["A text"])
    assert arrived.envelope == ("ada@example.org",)
    assert arrived.relay_id == "m1"


async def test_only_recipients_of_the_attempt_receive_it(setup: ProviderSetup) -> None:
    message = mail("ada@example.org", "bob@example.org", cc=(Address(email="cy@example.org"),))
    assert isinstance(await setup.provider.send(send_request(message, recipients=(1,))), Sent)
    (arrived,) = await setup.arrived()
    assert arrived.envelope == ("bob@example.org",)
    shown = {person.address for person in (*arrived.to, *arrived.cc)}
    recipients = {person.email for person in message.recipients}
    assert shown == (recipients if "envelope" in setup.module.CAPABILITIES.features else {"bob@example.org"})


async def test_bcc_recipients_receive_it_and_are_not_shown(setup: ProviderSetup) -> None:
    message = mail("ada@example.org", bcc=(Address(email="eve@example.org"), Address(email="max@example.org")))
    assert isinstance(await setup.provider.send(send_request(message)), Sent)
    arrived = await setup.arrived()
    assert {email for one in arrived for email in one.envelope} == {person.email for person in message.recipients}
    for one in arrived:
        assert {person.address for person in (*one.to, *one.cc)} == {"ada@example.org"}
        if "envelope" in setup.module.CAPABILITIES.features:
            assert one.raw is not None
            assert b"eve@" not in one.raw


async def test_bcc_only_recipients_do_not_see_each_other(setup: ProviderSetup) -> None:
    blind = (Address(email="eve@example.org"), Address(email="max@example.org"))
    outcome = await setup.provider.send(send_request(mail(to=(), bcc=blind)))
    outcomes = [one for _, one in outcome.outcomes] if isinstance(outcome, PerRecipient) else [outcome]
    assert {type(one) for one in outcomes} == {Sent}
    arrived = await setup.arrived()
    assert sorted(email for one in arrived for email in one.envelope) == ["eve@example.org", "max@example.org"]
    for one in arrived:
        shown = {person.address for person in (*one.to, *one.cc)}
        assert shown <= set(one.envelope)
        assert len(shown) <= 1


@pytest.mark.parametrize("return_path", ["bounces@example.com", ""])
async def test_return_path_is_used_or_refused(setup: ProviderSetup, return_path: str) -> None:
    outcome = await setup.provider.send(send_request(mail(return_path=return_path)))
    if "return_path" in setup.module.CAPABILITIES.features:
        assert isinstance(outcome, Sent)
        assert (await setup.arrived())[0].envelope_sender in (return_path, return_path or "<>")
    else:
        assert isinstance(outcome, Rejected)
        assert outcome.code == "unsupported"
        assert await setup.arrived() == []


async def test_message_with_every_feature_arrives_unchanged(setup: ProviderSetup) -> None:
    message = rich_mail(setup.module.CAPABILITIES)
    assert estimate_size(message) <= setup.module.CAPABILITIES.max_bytes
    assert isinstance(await setup.provider.send(send_request(message)), Sent)
    (arrived,) = await setup.arrived()
    assert arrived.subject == message.subject
    assert people(arrived.sender) == (SENDER.email, message.sender.name if setup.keeps_sender_name else "")
    for field in ("to", "cc", "reply_to"):
        assert list(map(people, getattr(arrived, field))) == list(map(people, getattr(message, field))), field
    assert sorted(arrived.envelope) == sorted(person.email for person in message.recipients)
    assert lines(arrived.text) == lines(message.text)
    assert lines(arrived.html) == [HTML]
    headers = {name.lower(): str(make_header(decode_header(value))) for name, value in arrived.headers.items()}
    assert (headers["x-order"], headers["x-campaign"]) == ("42; a=b", "夏")
    assert files(arrived) == [
        ("logo.png", "image/png", "inline", "logo@example.com", PIXEL),
        ("請求書 (最終), v2.pdf", "application/pdf", "attachment", None, message.attachments[1].content),
    ]


def people(person: Any) -> tuple[str, str]:
    """Return address and display name, with composed accents."""
    email = getattr(person, "email", "") or getattr(person, "address", "")
    return email, unicodedata.normalize("NFC", person.name)


def lines(text: str | None) -> list[str]:
    """Return the lines of a body. The transport decides about line ends."""
    return (text or "").splitlines()


def files(arrived: Mail) -> list[tuple[str, str, str, str | None, bytes]]:
    """Return the attachments, inline ones first."""
    found = [(one.name, one.content_type, one.disposition, one.content_id, one.content) for one in arrived.attachments]
    return sorted(found, key=lambda file: file[2] != "inline")


async def test_transient_error_is_deferred_with_the_providers_delay(setup: ProviderSetup) -> None:
    given = setup.transient()
    outcome = await setup.provider.send(given)
    assert isinstance(outcome, Deferred)
    assert (outcome.code, outcome.retry_after_seconds) == ("rate_limited", setup.retry_after)
    assert await setup.arrived() == []
    again = msgspec.structs.replace(given, attempt=2, attempt_id="00000000-0000-4000-8000-000000000002")
    assert isinstance(await setup.provider.send(again), Sent)


async def test_refused_message_is_rejected_with_the_providers_reply(setup: ProviderSetup) -> None:
    outcome = await setup.provider.send(setup.rejection())
    assert isinstance(outcome, Rejected)
    assert outcome.code in CAUSES
    assert outcome.reply
    assert await setup.arrived() == []


async def test_lost_response_is_unknown_and_verified_if_possible(
    setup: ProviderSetup,
) -> None:
    given = setup.lost_response()
    outcome = await setup.provider.send(given)
    assert isinstance(outcome, Unknown)
    assert outcome.code == "response_lost"
    assert len(await setup.arrived()) == 1
    found = await setup.provider.verify(given, outcome.provider_id)
    assert kind(found) is (Sent if "verify" in setup.module.CAPABILITIES.features else Unknown)
    assert len(await setup.arrived()) == 1


async def test_unsent_message_is_never_found(setup: ProviderSetup) -> None:
    found = await setup.provider.verify(send_request(), None)
    assert not isinstance(found, Sent)


@pytest.mark.parametrize("setup", FAR, indirect=True)
async def test_route_fault_differs_from_rejection_and_probe_sees_it_start_and_end(setup: ProviderSetup) -> None:
    assert isinstance(await setup.provider.probe(), Sent)
    given = setup.route_fault()
    outcome = await setup.provider.send(given)
    assert isinstance(outcome, RouteFault)
    assert outcome.code in CAUSES
    assert isinstance(await setup.provider.probe(), RouteFault)
    assert await setup.arrived() == []
    setup.is_healed()
    assert isinstance(await setup.provider.probe(), Sent)
    assert isinstance(await setup.provider.send(given), Sent)


async def test_probe_sends_nothing(setup: ProviderSetup) -> None:
    assert isinstance(await setup.provider.probe(), Sent)
    assert await setup.arrived() == []


@pytest.mark.parametrize("setup", FAR, indirect=True)
async def test_unreachable_provider_defers(setup: ProviderSetup) -> None:
    await setup.leave()
    outcome = await setup.provider.send(send_request())
    assert isinstance(outcome, Deferred)
    assert outcome.code == "unreachable"
    assert isinstance(await setup.provider.probe(), RouteFault)
    assert isinstance(await setup.provider.verify(send_request(), "x"), Unknown)


STATUSES = (204, 299, 302, 354, 400, 401, 403, 404, 409, 413, 418, 421, 429, 500, 503, 504, 550, 599)


@pytest.mark.parametrize("body", ["", "<html>Bad gateway</html>", '{"error": [1, {"code": 5}], "errors": "\\u0000"}'])
async def test_any_response_becomes_an_outcome(setup: ProviderSetup, body: str) -> None:
    for status in STATUSES:
        setup.strange(status, body)
        for call in (
            setup.provider.send(send_request()),
            setup.provider.probe(),
            setup.provider.verify(send_request(), "x"),
        ):
            outcome = await call
            assert not isinstance(outcome, PerRecipient)
            assert outcome.code in {"", *CAUSES}, (status, outcome)
            assert len(outcome.reply) <= 1_000


@pytest.mark.parametrize("message", NASTY, ids=range(len(NASTY)))
async def test_any_message_becomes_an_outcome_and_reaches_no_other_recipient(
    setup: ProviderSetup, message: Message
) -> None:
    outcome = await setup.provider.send(send_request(message))
    assert isinstance(outcome, Sent | Deferred | Rejected | Unknown), outcome
    for arrived in await setup.arrived():
        assert not [email for email in arrived.envelope if email.startswith("eve")]
        assert not [person for person in (*arrived.to, *arrived.cc, *arrived.bcc) if person.address.startswith("eve")]


async def test_concurrent_messages_arrive_once_each(setup: ProviderSetup) -> None:
    send_requests = [
        msgspec.structs.replace(
            send_request(mail(f"p{number}@example.org")),
            id=f"m{number}",
            attempt_id=f"00000000-0000-4000-8000-0000000001{number:02d}",
        )
        for number in range(20)
    ]
    outcomes = await asyncio.gather(*map(setup.provider.send, send_requests))
    assert {type(outcome) for outcome in outcomes} == {Sent}
    arrived = await setup.arrived()
    assert sorted(one.relay_id or "" for one in arrived) == sorted(given.id for given in send_requests)


async def test_closing_twice_does_not_raise(setup: ProviderSetup) -> None:
    await setup.provider.send(send_request())
    await setup.provider.close()
    await setup.provider.close()
