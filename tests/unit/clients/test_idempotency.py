"""The same request twice is one request: who may answer a key, with which batch, and for how long."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.clients.idempotency import KEPT, LEASE, MAX_ANSWER, TABLE, Replay, Reserved, fingerprint
from relay.core.errors import Changed, NotFound, Refusal
from tests.doubles import Place

PAYLOAD = fingerprint("/v1/messages", b'{"a":1}')
BODY = b'{"id":"msg_x","state":"queued"}'


async def begin(place: Place, payload: str = PAYLOAD, client: str = "shop", key: str = "k1") -> Reserved | Replay:
    return await place.idempotency.begin(client, key, payload)


async def reserve(place: Place, payload: str = PAYLOAD, key: str = "k1") -> Reserved:
    reserved = await begin(place, payload, key=key)
    assert isinstance(reserved, Reserved)
    return reserved


async def refused(place: Place, payload: str = PAYLOAD) -> tuple[int, str, str | None]:
    with pytest.raises(Refusal) as refusal:
        await begin(place, payload)
    return refusal.value.status, refusal.value.code, refusal.value.headers.get("Retry-After")


async def test_a_first_request_costs_one_write_and_its_answer_another(place: Place) -> None:
    reserved = await reserve(place)
    await place.idempotency.finish(reserved, BODY)
    assert dict(place.tables.calls) == {"insert": 1, "merge": 1}


async def test_the_same_request_again_has_the_same_answer(place: Place) -> None:
    await place.idempotency.finish(await reserve(place), BODY)
    for _ in range(2):
        assert await begin(place) == Replay(body=BODY)
    place.time.move(KEPT.total_seconds() - 1)
    assert await begin(place) == Replay(body=BODY)


async def test_another_payload_is_422_also_while_the_first_is_under_way(place: Place) -> None:
    other = fingerprint("/v1/messages", b'{"a":2}')
    reserved = await reserve(place)
    assert await refused(place, other) == (422, "idempotency_key_reused", None)
    await place.idempotency.finish(reserved, BODY)
    assert await refused(place, other) == (422, "idempotency_key_reused", None)


async def test_a_key_is_the_clients_own(place: Place) -> None:
    one = await begin(place, client="shop")
    other = await begin(place, client="crm")
    assert isinstance(one, Reserved)
    assert isinstance(other, Reserved)
    assert one.batch != other.batch


async def test_while_the_first_is_under_way_it_is_409_until_its_lease_is_over(place: Place) -> None:
    await reserve(place)
    assert await refused(place) == (409, "idempotency_key_in_use", "31")
    place.time.move(LEASE.total_seconds() - 1)
    assert await refused(place) == (409, "idempotency_key_in_use", "2")


async def test_after_a_crash_the_repetition_uses_the_same_batch(place: Place) -> None:
    first = await reserve(place)
    place.time.move(LEASE.total_seconds())
    second = await reserve(place)
    assert second.batch == first.batch
    assert await refused(place) == (409, "idempotency_key_in_use", "31")
    # Both of them lived after all: they give the same answer.
    await place.idempotency.finish(first, BODY)
    await place.idempotency.finish(second, BODY)
    assert await begin(place) == Replay(body=BODY)


async def test_a_request_that_failed_lets_the_next_one_try_at_once(place: Place) -> None:
    first = await reserve(place)
    await place.idempotency.release(first)
    assert (await reserve(place)).batch == first.batch


async def test_taking_a_key_over_does_not_make_it_younger(place: Place) -> None:
    first = await reserve(place)
    place.time.move((KEPT - LEASE).total_seconds())
    assert (await reserve(place)).batch == first.batch
    place.time.move(LEASE.total_seconds())
    assert (await reserve(place)).batch != first.batch


async def test_after_a_day_a_key_is_new_whatever_it_was_used_for(place: Place) -> None:
    reserved = await reserve(place)
    await place.idempotency.finish(reserved, b"x" * 200_000)
    place.time.move(KEPT.total_seconds())
    again = await reserve(place, fingerprint("/v1/messages", b"other"))
    assert again.batch != reserved.batch
    await place.idempotency.finish(again, BODY)
    assert await begin(place, fingerprint("/v1/messages", b"other")) == Replay(body=BODY)


async def test_of_two_that_take_a_key_over_one_has_it(place: Place) -> None:
    await reserve(place)
    place.time.move(LEASE.total_seconds())
    taken: list[Reserved] = []

    async def meanwhile() -> None:
        taken.append(await reserve(place))

    place.tables.before("merge", meanwhile)
    assert await refused(place) == (409, "idempotency_key_in_use", "1")
    assert len(taken) == 1


@pytest.mark.parametrize(("name", "error"), [("get", NotFound("purged")), ("merge", Changed("x"))])
async def test_a_row_that_moves_meanwhile_is_tried_again_soon(
    place: Place, name: str, error: NotFound | Changed
) -> None:
    await reserve(place)
    place.time.move(LEASE.total_seconds())
    place.tables.fail(name, error)
    assert await refused(place) == (409, "idempotency_key_in_use", "1")


async def test_at_once_one_of_many_answers(place: Place) -> None:
    results = await asyncio.gather(*(begin(place) for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(result, Reserved) for result in results) == 1
    assert sum(isinstance(result, Refusal) for result in results) == 9


@pytest.mark.parametrize("size", [0, 1, 60_000, 60_001, MAX_ANSWER])
async def test_answers_of_any_size_are_kept_whole(place: Place, size: int) -> None:
    body = bytes(range(251)) * (size // 251 + 1)
    await place.idempotency.finish(await reserve(place), body[:size])
    assert await begin(place) == Replay(body=body[:size])


async def test_neither_key_nor_payload_is_stored(place: Place) -> None:
    await begin(place, key="secret-key")
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
def test_a_fingerprint_is_of_what_a_body_says(one: object, other: object) -> None:
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
def test_fingerprints_tell_requests_apart(one: tuple[str | bytes, ...], other: tuple[str | bytes, ...]) -> None:
    assert fingerprint(*one) != fingerprint(*other)
    assert fingerprint(*one) == fingerprint(*one)
