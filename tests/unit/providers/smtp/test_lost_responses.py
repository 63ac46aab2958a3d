"""Lost, hanging and reused SMTP connections, and which outcome is certain for each."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.core.outcomes import Deferred, Sent, Unknown
from relay.providers.smtp.connection import SmtpTimeouts
from relay.providers.smtp.outcomes import opening_failed
from relay.providers.smtp.pool import MAX_IDLE_SECONDS, MAX_TRANSACTIONS
from tests.unit.providers.smtp.smtp_route import Place, code_of, mail, opened, send_request

SHORT = 0.2
"""Seconds that a test waits for a server that never responds."""


@pytest.fixture(params=[("PIPELINING",), ()], ids=["pipelined", "in turns"])
async def place(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with opened(tmp_path, extensions=("8BITMIME", "SMTPUTF8", *request.param)) as here:
        yield here


async def test_refused_connection_is_unreachable(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        pass
    assert await place.send() == Deferred(code="unreachable", reply="ConnectionRefusedError")
    assert code_of(await place.providers[0].probe()) == ("RouteFault", "unreachable")


async def test_unresolvable_name_is_unreachable(place: Place) -> None:
    place.settings["host"] = "nobody.invalid"
    assert await place.send() == Deferred(code="unreachable", reply="gaierror")


@pytest.mark.parametrize("operation", ["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "send"])
async def test_connection_lost_before_the_content_is_deferred(place: Place, operation: str) -> None:
    place.script.cut_before_body(operation=operation)
    assert code_of(await place.send()) == ("Deferred", "unreachable")
    assert isinstance(await place.providers[0].send(send_request()), Sent)
    assert place.inbox.accepted == 1


@pytest.mark.parametrize("operation", ["connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data"])
async def test_step_timeout_is_deferred(place: Place, operation: str) -> None:
    place.script.hang(operation=operation)
    timeouts = SmtpTimeouts(connect_seconds=SHORT, step_seconds=SHORT)
    route = place.route(timeouts)
    assert code_of(await route.send(send_request())) == ("Deferred", "unreachable")
    assert place.inbox.accepted == 0


async def test_connection_lost_after_the_final_dot_is_unknown(place: Place) -> None:
    place.script.cut_after_accept()
    assert await place.send() == Unknown(code="response_lost", reply="ConnectionResetError")
    assert place.inbox.accepted == 1


async def test_missing_reply_to_the_final_dot_is_unknown(place: Place) -> None:
    place.script.hang(after_accept=True)
    route = place.route(SmtpTimeouts(content_seconds=SHORT))
    assert await route.send(send_request()) == Unknown(code="response_lost", reply="TimeoutError")
    await place.inbox.wait_for(1)


async def test_attempt_timeout_after_the_final_dot_is_unknown(place: Place) -> None:
    place.script.hang(after_accept=True)
    route = place.route(SmtpTimeouts(attempt_seconds=1.0))
    assert await route.send(send_request()) == Unknown(code="response_lost", reply="TimeoutError")
    await place.inbox.wait_for(1)


@pytest.mark.parametrize("operation", ["ehlo", "mail"])
async def test_attempt_timeout_before_the_final_dot_is_deferred(place: Place, operation: str) -> None:
    place.script.hang(operation=operation)
    route = place.route(SmtpTimeouts(attempt_seconds=SHORT))
    assert await route.send(send_request()) == Deferred(code="unreachable", reply="TimeoutError")
    assert place.inbox.accepted == 0


async def test_undefined_reply_is_unknown_only_after_the_final_dot(place: Place) -> None:
    place.script.accept_then(699, "what", operation="send")
    assert await place.send() == Unknown(code="response_lost", reply="699 what")
    place.script.respond(699, "what", operation="mail")
    assert await place.send() == Deferred(code="provider_unavailable", reply="699 what")


async def test_refusal_after_the_final_dot_is_certain_even_if_the_connection_ends(place: Place) -> None:
    place.script.respond(421, "4.3.2 shutting down", operation="send")
    assert await place.send() == Deferred(code="provider_unavailable", reply="421 4.3.2 shutting down")


async def test_cancelled_send_raises_and_its_connection_is_not_reused(place: Place) -> None:
    place.script.hang()
    route = place.route()
    task = asyncio.create_task(route.send(send_request()))
    await place.inbox.wait_for_requests(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(await route.send(send_request()), Sent)
    assert place.standin.connections == 2


async def test_connection_is_reused(place: Place) -> None:
    route = place.route()
    for _ in range(3):
        assert isinstance(await route.send(send_request()), Sent)
    assert place.standin.connections == 1


async def test_connection_idle_too_long_is_not_reused(place: Place) -> None:
    route = place.route()
    await route.send(send_request())
    place.advance(MAX_IDLE_SECONDS)
    assert isinstance(await route.send(send_request()), Sent)
    assert place.standin.connections == 2


async def test_connection_with_too_many_transactions_is_not_reused(tmp_path: Path) -> None:
    async with opened(tmp_path, tls="none", users={}) as place:
        route = place.route()
        for _ in range(MAX_TRANSACTIONS + 1):
            assert isinstance(await route.send(send_request()), Sent)
        assert place.standin.connections == 2


async def test_connection_closed_by_the_server_is_replaced_within_the_attempt(place: Place) -> None:
    route = place.route()
    await route.send(send_request())
    place.script.cut_before_body(operation="mail")
    assert isinstance(await route.send(send_request()), Sent)
    place.script.respond(421, "4.4.2 idle too long", operation="mail")
    assert isinstance(await route.send(send_request()), Sent)
    assert (place.standin.connections, place.inbox.accepted) == (3, 3)


async def test_reused_connection_lost_after_the_final_dot_is_unknown_and_not_resent(place: Place) -> None:
    route = place.route()
    await route.send(send_request())
    place.script.cut_after_accept()
    assert code_of(await route.send(send_request())) == ("Unknown", "response_lost")
    assert (place.standin.connections, place.inbox.accepted) == (1, 2)


async def test_refusal_resets_the_transaction_and_reuses_the_connection(place: Place) -> None:
    route = place.route()
    for operation in ("rcpt", "data", "send", "mail"):
        place.script.respond(550, "5.1.1 no", operation=operation)
        assert not isinstance(await route.send(send_request()), Sent)
    assert isinstance(await route.send(send_request()), Sent)
    assert place.standin.connections == 1


async def test_connections_stay_within_the_routes_limit(place: Place) -> None:
    place.settings["connections"] = 2
    route = place.route()
    outcomes = await asyncio.gather(*(route.send(send_request(mail(f"p{number}@example.org"))) for number in range(9)))
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    assert (place.standin.connections, place.inbox.accepted) == (2, 9)


async def test_slot_timeout_is_deferred(place: Place) -> None:
    place.settings["connections"] = 1
    place.script.hang()
    route = place.route(SmtpTimeouts(slot_seconds=SHORT))
    first = asyncio.create_task(route.send(send_request()))
    await place.inbox.wait_for_requests(1)
    assert await route.send(send_request()) == Deferred(
        code="provider_unavailable", reply="no connection became free in time"
    )
    place.standin.release()
    assert code_of(await first) == ("Unknown", "response_lost")
    assert isinstance(await route.send(send_request()), Sent)


async def test_close_quits_idle_and_returned_connections(place: Place) -> None:
    route = place.route()
    await route.send(send_request())
    place.script.slow(0.05)
    late = asyncio.create_task(route.send(send_request()))
    await place.inbox.wait_for_requests(2)
    await route.close()
    assert isinstance(await late, Sent)
    await route.send(send_request())
    assert place.standin.connections == 2


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (ssl.SSLEOFError(8, "EOF"), ("Deferred", "unreachable")),
        (ssl.SSLZeroReturnError(6, "closed"), ("Deferred", "unreachable")),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), ("RouteFault", "misconfigured")),
        (ConnectionResetError(), ("Deferred", "unreachable")),
    ],
)
def test_broken_handshake_is_deferred_and_failed_one_is_a_route_fault(
    cause: Exception, expected: tuple[str, str]
) -> None:
    error = OSError("wrapped")
    error.__cause__ = cause
    assert code_of(opening_failed(error)) == expected
