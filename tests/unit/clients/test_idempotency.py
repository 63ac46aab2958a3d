"""Idempotency keys: reservation, replay, take-over and expiry."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.clients.idempotency import KEPT, LEASE, MAX_RESPONSE, TABLE, Idempotency, Plan, Replay, Reserved, fingerprint
from relay.core.errors import Changed, NotFound, Refusal
from relay.platform.storage.ports import Tables
from tests.doubles import Clock, Place, entry_of, submission_of

PAYLOAD = fingerprint("/v1/messages", b'{"a":1}')
PLAN = Plan(
    lane="bulk",
    entry=entry_of(submission_of()),
    response=b'{"id":"msg_x"}',
    expires_at=datetime(2026, 3, 2, tzinfo=UTC),
)
OTHER = Plan(lane="transactional", entry=entry_of(submission_of(), submission_of()), response=b'{"id":"msg_y"}')
REPLAY = Replay(response=PLAN.response, expires_at=PLAN.expires_at)


async def find(place: Place, payload: str = PAYLOAD, client: str = "shop") -> Reserved | Replay | None:
    return await place.idempotency.find(client, "k1", payload)


async def reserve(place: Place, payload: str = PAYLOAD, plan: Plan = PLAN) -> Reserved:
    return await place.idempotency.reserve("shop", "k1", payload, plan)


async def taken_over(place: Place) -> Reserved:
    found = await find(place)
    assert isinstance(found, Reserved)
    return found


async def refused(place: Place, payload: str = PAYLOAD) -> tuple[int, str, str | None]:
    with pytest.raises(Refusal) as refusal:
        await find(place, payload)
    return refusal.value.status, refusal.value.code, refusal.value.headers.get("Retry-After")


async def test_new_key_costs_one_read_and_two_writes(place: Place) -> None:
    assert await find(place) is None
    await place.idempotency.finish(await reserve(place))
    assert dict(place.tables.calls) == {"get": 1, "insert": 1, "merge": 1}


async def test_finished_request_is_replayed_for_a_day(place: Place) -> None:
    await place.idempotency.finish(await reserve(place))
    for _ in range(2):
        assert await find(place) == REPLAY
    place.time.move(KEPT.total_seconds() - 1)
    assert await find(place) == REPLAY
    place.time.move(1)
    assert await find(place) is None


async def test_other_payload_is_422_even_while_the_first_is_in_progress(place: Place) -> None:
    other = fingerprint("/v1/messages", b'{"a":2}')
    reserved = await reserve(place)
    assert await refused(place, other) == (422, "idempotency_key_reused", None)
    await place.idempotency.finish(reserved)
    assert await refused(place, other) == (422, "idempotency_key_reused", None)


async def test_keys_of_different_clients_are_separate(place: Place) -> None:
    await reserve(place)
    assert await find(place, client="crm") is None


async def test_request_in_progress_is_409_until_its_lease_ends(place: Place) -> None:
    await reserve(place)
    assert await refused(place) == (409, "idempotency_key_in_use", "31")
    place.time.move(LEASE.total_seconds() - 1)
    assert await refused(place) == (409, "idempotency_key_in_use", "2")


async def test_repeat_after_a_crash_gets_the_stored_plan(place: Place) -> None:
    await reserve(place)
    place.time.move(LEASE.total_seconds())
    again = await taken_over(place)
    assert again.plan == PLAN
    assert await refused(place) == (409, "idempotency_key_in_use", "31")
    await place.idempotency.finish(again)
    assert await find(place) == REPLAY


async def test_lease_of_a_process_whose_clock_is_ahead_is_no_longer(place: Place) -> None:
    ahead = Clock(place.time() + timedelta(minutes=10))
    await Idempotency(cast(Tables, place.tables), ahead).reserve("shop", "k1", PAYLOAD, PLAN)
    assert (await refused(place))[0] == 409
    place.time.move(LEASE.total_seconds())
    await taken_over(place)


async def test_released_key_can_be_taken_over_at_once(place: Place) -> None:
    await place.idempotency.release(await reserve(place))
    assert (await taken_over(place)).plan == PLAN


async def test_take_over_does_not_extend_the_key(place: Place) -> None:
    await reserve(place)
    place.time.move((KEPT - LEASE).total_seconds())
    assert (await taken_over(place)).plan == PLAN
    place.time.move(LEASE.total_seconds())
    assert await find(place) is None


async def test_key_is_new_after_a_day(place: Place) -> None:
    long = Plan(lane="bulk", entry=b"x", response=os.urandom(200_000))
    await place.idempotency.finish(await reserve(place, plan=long))
    place.time.move(KEPT.total_seconds())
    other = fingerprint("/v1/messages", b"other")
    await place.idempotency.finish(await reserve(place, other, OTHER))
    assert await find(place, other) == Replay(response=OTHER.response)


async def test_concurrent_take_over_succeeds_once(place: Place) -> None:
    await reserve(place)
    place.time.move(LEASE.total_seconds())
    taken: list[Reserved] = []

    async def faster() -> None:
        taken.append(await taken_over(place))

    place.tables.before("merge", faster)
    assert await refused(place) == (409, "idempotency_key_in_use", "1")
    assert len(taken) == 1


async def test_slower_of_two_first_requests_is_refused(place: Place) -> None:
    await reserve(place)
    with pytest.raises(Refusal) as refusal:
        await reserve(place, plan=OTHER)
    assert refusal.value.code == "idempotency_key_in_use"
    place.time.move(LEASE.total_seconds())
    assert (await taken_over(place)).plan == PLAN


async def test_row_changed_during_take_over_is_409_with_a_short_retry(place: Place) -> None:
    await reserve(place)
    place.time.move(LEASE.total_seconds())
    place.tables.fail("merge", Changed("x"))
    assert await refused(place) == (409, "idempotency_key_in_use", "1")


@pytest.mark.parametrize(("name", "error"), [("get", NotFound("purged")), ("merge", Changed("x"))])
async def test_old_row_changed_during_replacement_is_409_with_a_short_retry(
    place: Place, name: str, error: NotFound | Changed
) -> None:
    await reserve(place)
    place.time.move(KEPT.total_seconds())
    place.tables.fail(name, error)
    with pytest.raises(Refusal) as refusal:
        await reserve(place, plan=OTHER)
    assert (refusal.value.status, refusal.value.headers["Retry-After"]) == (409, "1")


async def test_concurrent_requests_reserve_once(place: Place) -> None:
    results = await asyncio.gather(*(reserve(place) for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(result, Reserved) for result in results) == 1
    assert sum(isinstance(result, Refusal) for result in results) == 9


async def test_content_is_deleted_after_the_put(place: Place) -> None:
    reserved = await reserve(place)
    (row,) = place.memory.tables.rows(TABLE)
    assert row.properties["entry"] == PLAN.entry
    await place.idempotency.finish(reserved)
    (row,) = place.memory.tables.rows(TABLE)
    assert row.properties["entry"] == b""


@pytest.mark.parametrize("size", [0, 1, 60_000, 60_001, MAX_RESPONSE - 1_000])
async def test_response_of_any_size_is_stored_whole(place: Place, size: int) -> None:
    plan = Plan(lane="bulk", entry=b"x", response=os.urandom(size))
    await place.idempotency.finish(await reserve(place, plan=plan))
    assert await find(place) == Replay(response=plan.response)


async def test_response_too_large_to_store_is_refused_first(place: Place) -> None:
    with pytest.raises(Refusal) as refusal:
        await reserve(place, plan=Plan(lane="bulk", entry=b"x", response=os.urandom(MAX_RESPONSE + 1)))
    assert (refusal.value.status, refusal.value.code) == (413, "message_too_large")
    assert place.memory.tables.rows(TABLE) == []


async def test_neither_key_nor_payload_is_stored(place: Place) -> None:
    await place.idempotency.reserve("shop", "secret-key", PAYLOAD, PLAN)
    (row,) = place.memory.tables.rows(TABLE)
    assert "secret" not in repr(row)
    assert (len(row.partition), len(row.row)) == (2, 62)
    assert row.properties["created_at"] == place.time.now.isoformat()
    assert row.properties["lease_until"] == (place.time.now + timedelta(seconds=30)).isoformat()


# ── fingerprints ──

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


@given(JSON, JSON)
def test_fingerprint_ignores_the_form_of_the_body(one: object, other: object) -> None:
    import json

    def turned(value: object) -> object:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return [turned(item) for item in value] if isinstance(value, list) else value

    compact = json.dumps(one, separators=(",", ":"), ensure_ascii=False).encode()
    fan_out = json.dumps(turned(one), indent=3).encode()
    assert fingerprint("/p", compact) == fingerprint("/p", fan_out)
    is_same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (fingerprint("/p", compact) == fingerprint("/p", json.dumps(other).encode())) is is_same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("/a", b"{}"), ("/b", b"{}")),
        (("a", "bc"), ("ab", "c")),
        (("a", b"x"), ("a", b"x", "")),
        ((b"{", b""), (b"", b"{")),
        ((b"\xff",), (b"\xfe",)),
        ((b"[" * 100_000,), (b"[" * 100_001,)),
    ],
)
def test_different_requests_have_different_fingerprints(
    one: tuple[str | bytes, ...], other: tuple[str | bytes, ...]
) -> None:
    assert fingerprint(*one) != fingerprint(*other)
    assert fingerprint(*one) == fingerprint(*one)
