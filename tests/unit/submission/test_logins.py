"""Sign-in: the cache of answers, and the throttle of wrong keys."""

import asyncio
from pathlib import Path

import pytest

from relay.api.login_throttle import MOST, WINDOW
from relay.submission.logins import LIFETIME
from tests.unit.submission.kit import KEY, Place, StubRelay, place_with

WRONG = "relay_00000000_wrong"


async def signed_in(place: Place, key: str = KEY) -> str:
    client = await place.tls_client()
    reply = await client.sign_in("app", key)
    client.writer.close()
    return reply[:9]


async def test_answer_is_used_for_a_while_and_then_asked_again(tmp_path: Path) -> None:
    async with place_with(folder=tmp_path) as place:
        assert {await signed_in(place) for _ in range(3)} == {"235 2.7.0"}
        assert place.relay.asked == 1
        place.clock.move(LIFETIME.total_seconds())
        place.relay.me["name"] = "renamed"
        assert await signed_in(place) == "535 5.7.8"


async def test_sign_ins_at_the_same_time_ask_once(tmp_path: Path) -> None:
    async with place_with(folder=tmp_path) as place:
        clients = [await place.tls_client() for _ in range(5)]
        await asyncio.gather(*(client.sign_in() for client in clients))
        assert place.relay.asked == 1


async def test_too_many_wrong_keys_are_not_asked_about_and_known_keys_still_work(tmp_path: Path) -> None:
    async with place_with(folder=tmp_path) as place:
        assert await signed_in(place) == "235 2.7.0"
        client = await place.tls_client()
        for number in range(MOST):
            assert (await client.sign_in("app", f"relay_00000000_{number}")).startswith("535 ") or number
            if await client.say("NOOP") == "":
                client = await place.tls_client()
        asked = place.relay.asked
        assert await signed_in(place, WRONG) == "454 4.7.0"
        place.clock.move(LIFETIME.total_seconds())
        assert await signed_in(place) == "235 2.7.0"
        assert place.relay.asked == asked + 1
        place.clock.move(WINDOW.total_seconds())
        assert await signed_in(place, WRONG) == "535 5.7.8"


async def test_passwords_that_are_no_keys_are_refused_without_the_relay_and_lock_out_no_one(tmp_path: Path) -> None:
    async with place_with(folder=tmp_path) as place:
        for number in range(MOST + 1):
            assert await signed_in(place, ["", "password1", "relay_x", "p" * 300][number % 4]) == "535 5.7.8"
        assert place.relay.asked == 0
        assert await signed_in(place) == "235 2.7.0"


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"operations": ["ListMessages"]}, "role"), ({"policy": {"ip_ranges": ["10.0.0.0/8"]}}, "ip_ranges")],
)
async def test_client_that_may_not_send_from_here_is_refused(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    relay = StubRelay()
    relay.me |= changes
    async with place_with(relay, folder=tmp_path) as place:
        reply = await (await place.tls_client()).sign_in()
    assert reply.startswith("535 5.7.8")
    assert words in reply
