"""What every provider promises, held against its stand-in: one suite for all five."""

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
from relay.providers.registry import MODULES, provider_module
from standins.inbox import Mail
from tests.contract.messages import HTML, NASTY, PIXEL, SENDER, mail, rich_mail, send_request
from tests.contract.provider_kinds import Road
from tests.contract.provider_routes import ROADS

FAR = sorted(set(ROADS) - {"capture"})
"""Those with an account and a network between them and us."""


@pytest.fixture(params=list(ROADS))
async def road(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Road]:
    """Each provider in turn."""
    async with ROADS[request.param](tmp_path) as opened:
        yield opened


def kind(outcome: Outcome | PerRecipient) -> type:
    return type(outcome)


def test_every_provider_is_held_to_this_suite() -> None:
    assert set(ROADS) == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_can_carry_and_names_what_it_does_not_know(name: str) -> None:
    module = provider_module(name)
    assert module.CAPABILITIES.features <= set(FEATURES)
    assert module.CAPABILITIES.max_bytes > 0
    assert module.CAPABILITIES.max_recipients > 0
    assert any(fault.startswith("colour: is not a setting") for fault in module.check_settings({"colour": "blue"}))
    assert [fault for fault in module.check_options({"colour": "blue"}) if fault.startswith(f"options.{name}.colour:")]
    assert module.check_options({}) == []
    assert module.demands({}) == []
    assert module.demands({"colour": "blue"}) == ["colour"]


def test_the_settings_of_the_road_are_good(road: Road) -> None:
    assert road.module.check_settings(road.settings) == []


async def test_a_small_message_is_sent_and_arrives(road: Road) -> None:
    outcome = await road.provider.send(send_request())
    assert isinstance(outcome, Sent)
    (arrived,) = await road.arrived()
    assert people(arrived.sender) == (SENDER.email, SENDER.name if road.keeps_sender_name else "")
    assert (arrived.to[0].address, arrived.subject, lines(arrived.text)) == ("ada@example.org", "Hello", ["A text"])
    assert arrived.envelope == ("ada@example.org",)
    assert arrived.relay_id == "m1"


async def test_only_the_recipients_of_the_attempt_get_it(road: Road) -> None:
    message = mail("ada@example.org", "bob@example.org", cc=(Address(email="cy@example.org"),))
    assert isinstance(await road.provider.send(send_request(message, recipients=(1,))), Sent)
    (arrived,) = await road.arrived()
    assert arrived.envelope == ("bob@example.org",)
    shown = {person.address for person in (*arrived.to, *arrived.cc)}
    everybody = {person.email for person in message.recipients}
    assert shown == (everybody if "envelope" in road.module.CAPABILITIES.features else {"bob@example.org"})


async def test_blind_recipients_get_it_and_nobody_sees_them(road: Road) -> None:
    message = mail("ada@example.org", bcc=(Address(email="eve@example.org"), Address(email="max@example.org")))
    assert isinstance(await road.provider.send(send_request(message)), Sent)
    arrived = await road.arrived()
    assert {email for one in arrived for email in one.envelope} == {person.email for person in message.recipients}
    for one in arrived:
        assert {person.address for person in (*one.to, *one.cc)} == {"ada@example.org"}
        if "envelope" in road.module.CAPABILITIES.features:
            assert one.raw is not None
            assert b"eve@" not in one.raw


async def test_blind_recipients_alone_do_not_see_one_another(road: Road) -> None:
    blind = (Address(email="eve@example.org"), Address(email="max@example.org"))
    outcome = await road.provider.send(send_request(mail(to=(), bcc=blind)))
    outcomes = [one for _, one in outcome.outcomes] if isinstance(outcome, PerRecipient) else [outcome]
    assert {type(one) for one in outcomes} == {Sent}
    arrived = await road.arrived()
    assert sorted(email for one in arrived for email in one.envelope) == ["eve@example.org", "max@example.org"]
    for one in arrived:
        shown = {person.address for person in (*one.to, *one.cc)}
        assert shown <= set(one.envelope)
        assert len(shown) <= 1


@pytest.mark.parametrize("return_path", ["bounces@example.com", ""])
async def test_a_return_path_is_used_or_refused(road: Road, return_path: str) -> None:
    outcome = await road.provider.send(send_request(mail(return_path=return_path)))
    if "return_path" in road.module.CAPABILITIES.features:
        assert isinstance(outcome, Sent)
        assert (await road.arrived())[0].envelope_sender in (return_path, return_path or "<>")
    else:
        assert isinstance(outcome, Rejected)
        assert outcome.code == "unsupported"
        assert await road.arrived() == []


async def test_a_rich_message_arrives_as_it_was_given(road: Road) -> None:
    message = rich_mail(road.module.CAPABILITIES)
    assert estimate_size(message) <= road.module.CAPABILITIES.max_bytes
    assert isinstance(await road.provider.send(send_request(message)), Sent)
    (arrived,) = await road.arrived()
    assert arrived.subject == message.subject
    assert people(arrived.sender) == (SENDER.email, message.sender.name if road.keeps_sender_name else "")
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
    """Address and display name, however its accents are composed."""
    email = getattr(person, "email", "") or getattr(person, "address", "")
    return email, unicodedata.normalize("NFC", person.name)


def lines(text: str | None) -> list[str]:
    """The lines of a body; how they end and whether the last one does is the transport's."""
    return (text or "").splitlines()


def files(arrived: Mail) -> list[tuple[str, str, str, str | None, bytes]]:
    """Attachments, inline ones first."""
    found = [(one.name, one.content_type, one.disposition, one.content_id, one.content) for one in arrived.attachments]
    return sorted(found, key=lambda file: file[2] != "inline")


async def test_a_transient_fault_is_deferred_with_the_providers_wish(road: Road) -> None:
    given = road.transient()
    outcome = await road.provider.send(given)
    assert isinstance(outcome, Deferred)
    assert (outcome.code, outcome.retry_after_seconds) == ("rate_limited", road.retry_after)
    assert await road.arrived() == []
    again = msgspec.structs.replace(given, attempt=2, attempt_id="00000000-0000-4000-8000-000000000002")
    assert isinstance(await road.provider.send(again), Sent)


async def test_a_refusal_of_the_message_is_rejected_with_the_providers_words(road: Road) -> None:
    outcome = await road.provider.send(road.rejection())
    assert isinstance(outcome, Rejected)
    assert outcome.code in CAUSES
    assert outcome.reply
    assert await road.arrived() == []


async def test_an_answer_lost_after_the_message_was_taken_is_unknown_and_asked_about_where_that_is_possible(
    road: Road,
) -> None:
    given = road.lost_answer()
    outcome = await road.provider.send(given)
    assert isinstance(outcome, Unknown)
    assert outcome.code == "answer_lost"
    assert len(await road.arrived()) == 1
    found = await road.provider.verify(given, outcome.provider_id)
    assert kind(found) is (Sent if "verify" in road.module.CAPABILITIES.features else Unknown)
    assert len(await road.arrived()) == 1


async def test_what_was_never_sent_is_never_found(road: Road) -> None:
    found = await road.provider.verify(send_request(), None)
    assert not isinstance(found, Sent)


@pytest.mark.parametrize("road", FAR, indirect=True)
async def test_a_fault_of_the_route_is_told_from_one_of_the_message_and_a_probe_sees_it_come_and_go(road: Road) -> None:
    assert isinstance(await road.provider.probe(), Sent)
    given = road.route_fault()
    outcome = await road.provider.send(given)
    assert isinstance(outcome, RouteFault)
    assert outcome.code in CAUSES
    assert isinstance(await road.provider.probe(), RouteFault)
    assert await road.arrived() == []
    road.is_healed()
    assert isinstance(await road.provider.probe(), Sent)
    assert isinstance(await road.provider.send(given), Sent)


async def test_a_probe_sends_nothing(road: Road) -> None:
    assert isinstance(await road.provider.probe(), Sent)
    assert await road.arrived() == []


@pytest.mark.parametrize("road", FAR, indirect=True)
async def test_a_provider_that_is_away_is_waited_for(road: Road) -> None:
    await road.leave()
    outcome = await road.provider.send(send_request())
    assert isinstance(outcome, Deferred)
    assert outcome.code == "unreachable"
    assert isinstance(await road.provider.probe(), RouteFault)
    assert isinstance(await road.provider.verify(send_request(), "x"), Unknown)


STATUSES = (204, 299, 302, 354, 400, 401, 403, 404, 409, 413, 418, 421, 429, 500, 503, 504, 550, 599)


@pytest.mark.parametrize("body", ["", "<html>Bad gateway</html>", '{"error": [1, {"code": 5}], "errors": "\\u0000"}'])
async def test_whatever_a_provider_answers_is_an_outcome(road: Road, body: str) -> None:
    for status in STATUSES:
        road.strange(status, body)
        for answer in (
            road.provider.send(send_request()),
            road.provider.probe(),
            road.provider.verify(send_request(), "x"),
        ):
            outcome = await answer
            assert not isinstance(outcome, PerRecipient)
            assert outcome.code in {"", *CAUSES}, (status, outcome)
            assert len(outcome.reply) <= 1_000


@pytest.mark.parametrize("message", NASTY, ids=range(len(NASTY)))
async def test_whatever_a_message_holds_is_an_outcome_and_reaches_nobody_else(road: Road, message: Message) -> None:
    outcome = await road.provider.send(send_request(message))
    assert isinstance(outcome, Sent | Deferred | Rejected | Unknown), outcome
    for arrived in await road.arrived():
        assert not [email for email in arrived.envelope if email.startswith("eve")]
        assert not [person for person in (*arrived.to, *arrived.cc, *arrived.bcc) if person.address.startswith("eve")]


async def test_many_at_once_all_arrive_once(road: Road) -> None:
    send_requests = [
        msgspec.structs.replace(
            send_request(mail(f"p{number}@example.org")),
            id=f"m{number}",
            attempt_id=f"00000000-0000-4000-8000-0000000001{number:02d}",
        )
        for number in range(20)
    ]
    outcomes = await asyncio.gather(*map(road.provider.send, send_requests))
    assert {type(outcome) for outcome in outcomes} == {Sent}
    arrived = await road.arrived()
    assert sorted(one.relay_id or "" for one in arrived) == sorted(given.id for given in send_requests)


async def test_closing_twice_is_no_fault(road: Road) -> None:
    await road.provider.send(send_request())
    await road.provider.close()
    await road.provider.close()
