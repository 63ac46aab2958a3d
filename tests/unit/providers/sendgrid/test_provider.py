"""The SendGrid route against its stand-in: responses, lost responses, key rotation, probes, verification."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from relay.core.model import Address, Attachment, Message
from relay.core.outcomes import Deferred, Rejected, RouteFault, Sent, Unknown
from relay.platform.http.client import HttpClient
from relay.providers.sendgrid import provider as sendgrid
from relay.providers.sendgrid.settings import EU_URL
from standins.sendgrid.server import DEFAULT_KEY, SendGridStandIn
from tests.http_clients import http_client
from tests.send_requests import FINISHED, SIGNED, Secret
from tests.unit.providers.sendgrid.sendgrid_route import mail, route, send_request


@pytest.fixture
async def standin() -> AsyncIterator[SendGridStandIn]:
    async with SendGridStandIn() as opened:
        yield opened


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    async with http_client() as opened:
        yield opened


async def test_sent_message_has_the_vendors_id(standin: SendGridStandIn, http: HttpClient) -> None:
    outcome = await route(standin.url, http).send(send_request())
    (kept,) = standin.inbox.messages
    assert outcome == Sent(provider_id=kept.id.rpartition(".")[0], reply="202")
    assert (kept.relay_id, kept.fields["custom_args"]["relay_attempt"]) == ("m1", "1")
    assert (kept.subject, kept.text, kept.envelope) == ("Hello", "A text", ("ada@example.org",))


async def test_finished_message_is_sent_as_its_content(standin: SendGridStandIn, http: HttpClient) -> None:
    outcome = await route(standin.url, http).send(send_request(mail(raw=FINISHED, subject="件名", text=None)))
    assert isinstance(outcome, Sent)
    (kept,) = standin.inbox.messages
    assert (kept.subject, kept.text, kept.html) == ("件名", "本文", "<p>本文</p>")
    assert (kept.headers["X-Order"], kept.headers["Message-ID"]) == ("4711", "<own@example.com>")
    assert [each.address for each in kept.reply_to] == ["r@example.com"]
    assert [(file.name, file.content_type, file.content) for file in kept.attachments] == [
        ("請.pdf", "application/pdf", b"%PDF"),
    ]
    assert not {"Received", "Date", "Bcc", "MIME-Version"} & set(kept.headers)
    assert "eve" not in str(kept)


async def test_large_attachment_arrives_complete(standin: SendGridStandIn, http: HttpClient) -> None:
    content = bytes(range(256)) * 8_000
    outcome = await route(standin.url, http).send(
        send_request(mail(attachments=(Attachment(name="a", content=content),)))
    )
    assert isinstance(outcome, Sent)
    assert standin.inbox.messages[0].attachments[0].content == content


async def test_name_with_a_comma_arrives_unchanged(standin: SendGridStandIn, http: HttpClient) -> None:
    name = 'Doe, "JD" Jane; MD'
    await route(standin.url, http).send(send_request(mail(to=(Address(email="jane@example.org", name=name),))))
    assert standin.inbox.messages[0].to[0].name == name


async def test_refusal_keeps_the_vendors_reason(standin: SendGridStandIn, http: HttpClient) -> None:
    outcome = await route(standin.url, http).send(send_request(mail(headers={"Reply-To": "x@example.org"})))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "invalid_message"
    assert "headers.Reply-To" in outcome.reply


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("credits_exhausted", "credits_exhausted"),
        ("missing_scope", "missing_permission"),
        ("vetting", "missing_permission"),
        ("blocked", "account_restricted"),
        ("sender_unverified", "sender_not_verified"),
    ],
)
async def test_account_that_may_not_send_is_a_route_fault(
    standin: SendGridStandIn, http: HttpClient, state: str, code: str
) -> None:
    standin.account = state
    outcome = await route(standin.url, http).send(send_request())
    assert isinstance(outcome, RouteFault)
    assert outcome.code == code
    assert standin.inbox.accepted == 0


async def test_retry_after_is_returned(standin: SendGridStandIn, http: HttpClient) -> None:
    standin.script.respond(429, headers={"Retry-After": "7"})
    outcome = await route(standin.url, http).send(send_request())
    assert isinstance(outcome, Deferred)
    assert (outcome.code, outcome.retry_after_seconds) == ("rate_limited", 7)


async def test_refused_key_is_reread_once(standin: SendGridStandIn, http: HttpClient) -> None:
    keys = Secret("SG.old", renewed=DEFAULT_KEY)
    assert isinstance(await route(standin.url, http, keys).send(send_request()), Sent)
    assert (keys.refreshed, standin.inbox.requests, standin.inbox.accepted) == (1, 2, 1)


async def test_key_that_stays_wrong_is_not_retried(standin: SendGridStandIn, http: HttpClient) -> None:
    same, other = Secret("SG.old"), Secret("SG.old", renewed="SG.also wrong")
    for keys, requests in ((same, 1), (other, 3)):
        outcome = await route(standin.url, http, keys).send(send_request())
        assert isinstance(outcome, RouteFault)
        assert (outcome.code, standin.inbox.requests) == ("bad_credentials", requests)


async def test_exhausted_credits_do_not_reread_the_key(standin: SendGridStandIn, http: HttpClient) -> None:
    standin.account = "credits_exhausted"
    keys = Secret(DEFAULT_KEY, renewed="SG.another")
    await route(standin.url, http, keys).send(send_request())
    assert keys.refreshed == 0


async def test_missing_key_is_a_route_fault(standin: SendGridStandIn, http: HttpClient) -> None:
    outcome = await route(standin.url, http, Secret("")).send(send_request())
    assert outcome == RouteFault(code="secret_unavailable", reply="setting:SENDGRID_API_KEY: missing")
    assert standin.inbox.requests == 0


async def test_refused_connection_is_deferred(http: HttpClient) -> None:
    async with SendGridStandIn() as gone:
        url = gone.url
    assert await route(url, http).send(send_request()) == Deferred(code="unreachable", reply="ConnectionRefusedError")


async def test_lost_response_is_unknown(standin: SendGridStandIn, http: HttpClient) -> None:
    standin.script.cut_after_accept()
    outcome = await route(standin.url, http).send(send_request())
    assert isinstance(outcome, Unknown)
    assert outcome.code == "response_lost"
    assert standin.inbox.accepted == 1


async def test_gateway_timeout_is_unknown(standin: SendGridStandIn, http: HttpClient) -> None:
    standin.script.accept_then(504, "upstream timed out")
    outcome = await route(standin.url, http).send(send_request())
    assert outcome == Unknown(code="response_lost", reply="504 upstream timed out")


async def test_response_timeout_is_unknown(standin: SendGridStandIn, http: HttpClient) -> None:
    standin.script.hang(after_accept=True)
    outcome = await route(standin.url, http, timeout_seconds=0.3).send(send_request())
    assert outcome == Unknown(code="response_lost", reply="TimeoutError")


async def test_cancelled_send_raises(standin: SendGridStandIn, http: HttpClient) -> None:
    standin.script.hang()
    task = asyncio.create_task(route(standin.url, http).send(send_request()))
    await standin.inbox.wait_for_requests(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_route_sandbox_mode_sends_nothing(standin: SendGridStandIn, http: HttpClient) -> None:
    assert await route(standin.url, http, sandbox_mode=True).send(send_request()) == Sent(reply="200")
    assert standin.inbox.accepted == 0


async def test_message_sandbox_mode_sends_nothing(standin: SendGridStandIn, http: HttpClient) -> None:
    options = {"sendgrid": {"mail_settings": {"sandbox_mode": {"enable": True}}}}
    assert await route(standin.url, http).send(send_request(mail(options=options))) == Sent(reply="200")
    assert standin.inbox.accepted == 0


async def test_message_options_override_route_options(standin: SendGridStandIn, http: HttpClient) -> None:
    at_route = {"send_at": 1_772_600_900, "content": [{"type": "text/calendar", "value": "A"}]}
    message = mail(options={"sendgrid": {"send_at": 1_772_600_800}})
    standin.clock = lambda: send_request().date
    await route(standin.url, http, options=at_route).send(send_request(message))
    (kept,) = standin.inbox.messages
    assert kept.fields["send_at"] == 1_772_600_800
    assert kept.fields["content_types"] == ["text/plain", "text/calendar"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (mail(raw=SIGNED), "would be lost: DKIM signature, header X-A (2 times)"),
        (mail(return_path="bounces@example.com"), "return path"),
        (mail(options={"sendgrid": {"sendat": 1}}), "did you mean send_at"),
    ],
)
async def test_unsupported_feature_is_refused_and_not_dropped(
    standin: SendGridStandIn, http: HttpClient, given: Message, reason: str
) -> None:
    outcome = await route(standin.url, http).send(send_request(given))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "unsupported"
    assert reason in outcome.reply
    assert standin.inbox.requests == 0


async def test_unencodable_text_is_rejected(standin: SendGridStandIn, http: HttpClient) -> None:
    outcome = await route(standin.url, http).send(send_request(mail(text="\ud800")))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "invalid_message"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("revoked_key", "bad_credentials"),
        ("missing_scope", "missing_permission"),
        ("vetting", "missing_permission"),
        ("credits_exhausted", "credits_exhausted"),
    ],
)
async def test_probe_reports_why_the_account_cannot_send(
    standin: SendGridStandIn, http: HttpClient, state: str, code: str
) -> None:
    standin.account = state
    found = await route(standin.url, http).probe()
    assert isinstance(found, RouteFault)
    assert found.code == code
    assert found.reply


async def test_probe_of_a_healthy_account_sends_nothing(standin: SendGridStandIn, http: HttpClient) -> None:
    assert await route(standin.url, http).probe() == Sent()
    assert standin.inbox.accepted == 0


async def test_probe_succeeds_if_credits_are_not_readable(standin: SendGridStandIn, http: HttpClient) -> None:
    standin.script.respond(403, operation="account", skip=1)
    assert await route(standin.url, http).probe() == Sent()


async def test_probe_of_unreachable_service_is_a_route_fault(standin: SendGridStandIn, http: HttpClient) -> None:
    standin.script.respond(503, operation="account")
    standin.script.respond(200, "not json", operation="account")
    found = [await route(standin.url, http).probe() for _ in range(2)]
    assert [outcome.code for outcome in found] == ["provider_unavailable", "missing_permission"]
    async with SendGridStandIn() as gone:
        url = gone.url
    assert await route(url, http).probe() == RouteFault(code="unreachable", reply="ConnectionRefusedError")
    without = await route(url, http, Secret("")).probe()
    assert without.code == "secret_unavailable"


async def test_activity_feed_finds_a_sent_message(standin: SendGridStandIn, http: HttpClient) -> None:
    standin.lists.has_activity_feed = True
    provider = route(standin.url, http, activity_feed=True)
    standin.script.cut_after_accept()
    assert isinstance(await provider.send(send_request()), Unknown)
    found = await provider.verify(send_request(), None)
    assert isinstance(found, Sent)
    assert found.provider_id == f"{standin.inbox.messages[0].id}.recvd-standin"


async def test_message_missing_from_the_activity_feed_stays_unknown(standin: SendGridStandIn, http: HttpClient) -> None:
    standin.lists.has_activity_feed = True
    provider = route(standin.url, http, activity_feed=True)
    await provider.send(send_request(attempt=1))
    assert isinstance(await provider.verify(send_request(attempt=2), "id"), Unknown)


async def test_lost_response_without_the_activity_feed_stays_unknown(
    standin: SendGridStandIn, http: HttpClient
) -> None:
    await route(standin.url, http).send(send_request())
    requests = standin.inbox.requests
    assert await route(standin.url, http).verify(send_request(), "id") == Unknown(
        code="response_lost", provider_id="id"
    )
    assert standin.inbox.requests == requests
    refused = await route(standin.url, http, activity_feed=True).verify(send_request(), "id")
    assert isinstance(refused, Unknown)
    assert (refused.provider_id, refused.reply[:3]) == ("id", "403")


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"api_key": "SG.real-key"}, "api_key: must name a secret"),
        ({"base_url": "http://api.sendgrid.com"}, "base_url: must be https://api.sendgrid.com"),
        ({"base_url": "https://api.sendgrid.com?x=1"}, "base_url: must be"),
        ({"base_url": "https://["}, "base_url: must be"),
        ({"base_url": "https://api.sendgrid.com:99999"}, "base_url: must be"),
        ({"base_url": 7}, "base_url: must be"),
        ({"sandbox_mode": "yes"}, "sandbox_mode: must be true or false"),
        ({"activity_feed": 1}, "activity_feed: must be true or false"),
        ({"timeout_seconds": 0}, "timeout_seconds: must be a number from 1 to 80"),
        ({"timeout_seconds": True}, "timeout_seconds: must be a number from 1 to 80"),
        ({"apikey": "setting:X"}, "apikey: is not a setting of sendgrid"),
        ({"options": {"template": "x"}}, "options.template: is not an option of SendGrid"),
    ],
)
def test_invalid_setting_is_named(settings: dict[str, object], fault: str) -> None:
    (found,) = sendgrid.check_settings(settings)
    assert found.startswith(fault)
    assert "SG.real-key" not in found


def test_valid_settings_have_no_problems() -> None:
    assert sendgrid.check_settings({}) == []
    assert sendgrid.check_settings({"base_url": EU_URL, "api_key": "vault:sendgrid-key"}) == []
    assert sendgrid.check_settings({"base_url": "http://127.0.0.1:9000", "timeout_seconds": 5}) == []
    assert len(sendgrid.check_settings({"api_key": "x", "base_url": "x", "options": 1})) == 3
