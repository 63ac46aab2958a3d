"""One webhook request over real sockets: signed, to the checked address, without redirects, with any receiver."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from relay.events.webhooks.address_guard import Guard
from relay.events.webhooks.http_post import Poster, PostResult, signature
from relay.events.webhooks.subscriptions import new_secret
from tests.unit.events.webhooks.hook import Hook, hook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'


def utc_now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def receiver() -> AsyncIterator[Hook]:
    async with hook() as listening:
        yield listening


def poster(*, allows_loopback: bool = True, total_seconds: float = 5.0) -> Poster:
    return Poster(Guard(allows_loopback=allows_loopback), utc_now, total_seconds=total_seconds)


async def posted(poster: Poster, url: str, *secrets: str) -> PostResult:
    try:
        return await poster.post(url, "evt_1", BODY, media_type="application/json", secrets=secrets or (SECRET,))
    finally:
        poster.close()


def test_signature_matches_the_standards_test_vector() -> None:
    """The test vector of the Standard Webhooks libraries."""
    at = datetime.fromtimestamp(1_614_265_330, UTC)
    made = signature("msg_p5jXN8AQM9LWM0D4loKWxJek", at, BODY, [SECRET])
    assert made == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


async def test_standard_library_verifies_the_signature(receiver: Hook) -> None:
    result = await posted(poster(), receiver.url)
    assert (result.status, result.is_success, result.error) == (204, True, "")
    [post] = receiver.posts
    assert post.verified(SECRET) == {"test": 2_432_232_314}
    assert (post.headers["webhook-id"], post.headers["Content-Type"]) == ("evt_1", "application/json")
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(post.body + b" ", dict(post.headers))


async def test_both_secrets_verify_during_a_rotation(receiver: Hook) -> None:
    other = new_secret()
    await posted(poster(), receiver.url, other, SECRET)
    for secret in (other, SECRET):
        assert receiver.posts[0].verified(secret)
    with pytest.raises(WebhookVerificationError):
        receiver.posts[0].verified(new_secret())


@pytest.mark.parametrize(
    ("status", "is_success", "is_gone"),
    [(200, True, False), (299, True, False), (410, False, True), (500, False, False)],
)
async def test_response_status_is_returned(receiver: Hook, status: int, is_success: bool, is_gone: bool) -> None:
    receiver.responses.append(web.Response(status=status, headers={"Retry-After": "7"}, text="x" * 100_000))
    result = await posted(poster(), receiver.url)
    assert (result.status, result.is_success, result.is_gone, result.retry_after) == (
        status,
        is_success,
        is_gone,
        "7",
    )


async def test_redirect_is_not_followed(receiver: Hook) -> None:
    for status in (301, 302, 303, 307, 308):
        receiver.responses.append(web.Response(status=status, headers={"Location": "/elsewhere"}))
        result = await posted(poster(), receiver.url)
        assert (result.status, result.is_success) == (status, False)
    assert set(receiver.paths) == {"/hook"}


async def test_loopback_is_not_reached_without_the_setting(receiver: Hook) -> None:
    result = await posted(poster(allows_loopback=False), receiver.url)
    assert (result.status, result.error) == (0, "forbidden: is a loopback address")
    assert receiver.posts == []


class Rebinding:
    """A name that resolves to a public address first and to an internal one later (DNS rebinding)."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.lookups = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.lookups += 1
        return self.answers.pop(0)


async def test_connection_uses_the_checked_address_and_resolves_once(receiver: Hook) -> None:
    names = Rebinding(["127.0.0.1"], ["169.254.169.254"])
    port = receiver.url.split(":")[2].split("/")[0]
    made = Poster(Guard(allows_loopback=True, resolve=names), utc_now)
    result = await posted(made, f"http://localhost:{port}/hook")
    assert (result.status, names.lookups) == (204, 1)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"])
async def test_name_with_an_internal_address_is_not_connected_to(receiver: Hook, address: str) -> None:
    made = Poster(Guard(allows_loopback=False, resolve=Rebinding([address])), utc_now)
    result = await posted(made, "https://hooks.example.com/")
    assert result.status == 0
    assert result.error.startswith("forbidden: ")
    assert receiver.posts == []


async def test_refused_connection_is_returned_as_an_error() -> None:
    async with hook() as receiver:
        url = receiver.url
    result = await posted(poster(), url)
    assert (result.status, result.error) == (0, "ConnectionRefusedError")


async def test_unresponsive_receiver_times_out() -> None:
    gate = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    result = await posted(poster(total_seconds=0.05), f"http://127.0.0.1:{port}/")
    assert result.status == 0
    assert "Timeout" in result.error
    gate.set()
    server.close()


async def test_response_that_is_not_http_is_returned_as_an_error() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    result = await posted(poster(), f"http://127.0.0.1:{port}/")
    assert (result.status, result.is_success) == (0, False)
    assert result.error
    server.close()
