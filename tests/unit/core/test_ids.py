"""Names of batches and messages: they sort by time, cannot be guessed, and are recognised without storage."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core import ids

KEY = b"k" * 32
BATCH = "019c9e5e7a107a3b8c4d5e6f70819203"
MOMENTS = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2500, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is added
INDICES = st.integers(0, 31)


def name_of(batch: str, index: int, key: bytes = KEY) -> ids.MessageId:
    return ids.MessageId(batch=batch, index=index, mac=ids.mac(key, batch, index))


@given(st.uuids(version=4), INDICES)
def test_id_survives_a_round_trip(batch: object, index: int) -> None:
    name = name_of(str(batch).replace("-", ""), index)
    text = str(name)
    assert len(text) == 44
    assert text == text.lower()
    assert ids.parse(text) == name
    assert ids.belongs_to(ids.parse(text), KEY)


def test_text_of_an_id_is_stable() -> None:
    assert str(name_of(BATCH, 3)) == "msg_06e9snjq21t3n32dbpnn10ci0c1o6q49t55vssi2"
    assert str(ids.MessageId(batch="0" * 32, index=0, mac="0" * 16)) == "msg_" + "0" * 40


@given(st.text(max_size=60))
def test_other_text_is_not_an_id(text: str) -> None:
    for candidate in (text, f"msg_{text}", ("msg_" + text + "0" * 44)[:44]):
        try:
            found = ids.parse(candidate)
        except ValueError:
            continue
        assert not ids.belongs_to(found, KEY)


def test_id_belongs_to_one_client_batch_and_index() -> None:
    name = name_of(BATCH, 3)
    others = [
        name_of(BATCH, 3, b"o" * 32),
        ids.MessageId(batch=BATCH, index=4, mac=name.mac),
        ids.MessageId(batch=BATCH[:-1] + "4", index=3, mac=name.mac),
    ]
    assert ids.belongs_to(name, KEY)
    assert not any(ids.belongs_to(other, KEY) for other in others)


def test_new_batch_ids_are_uuid7_and_sort_by_time() -> None:
    names = [ids.new_batch_id() for _ in range(50)]
    assert names == sorted(set(names))
    assert all(len(name) == 32 and name[12] == "7" for name in names)


@given(MOMENTS)
def test_batch_floor_is_exact_to_the_millisecond(at: datetime) -> None:
    floor = ids.batch_floor(at)
    assert ids.created_at(floor) <= at < ids.created_at(floor) + timedelta(milliseconds=1)
    assert ids.batch_floor(ids.created_at(floor)) == floor


def test_time_before_1970_has_the_smallest_floor() -> None:
    assert ids.batch_floor(datetime(1960, 1, 1, tzinfo=UTC)) == "0" * 32


def test_derived_batch_ids_are_unique_and_repeatable() -> None:
    names = {(first, count): ids.derived_batch(BATCH, first, count) for first in range(64) for count in range(1, 33)}
    assert len(set(names.values())) == len(names)
    assert names[31, 2] == ids.derived_batch(BATCH, 31, 2)
    for name in names.values():
        assert len(name) == 32
        assert ids.created_at(name) == ids.created_at(BATCH)
        assert name[12] == "7"


def test_shard_is_the_last_character_of_the_batch_id() -> None:
    assert ids.shard(BATCH) == "3"
    assert {ids.shard(ids.derived_batch(BATCH, first, 1)) for first in range(200)} == set(ids.SHARDS)


@pytest.mark.parametrize(
    "text", ["", "msg_", "msg_" + "z" * 40, "msg_" + "0" * 39, "MSG_" + "0" * 40, "msg_" + "=" * 40]
)
def test_malformed_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - also the errors of base32, which differ
        ids.parse(text)


@given(st.text(max_size=80))
def test_named_uuid_is_the_one_of_the_standard_library(name: str) -> None:
    namespace = "8a0c5f1e-6a51-4d0b-9a1c-7f2f0b8c1d5e"
    assert ids.named_uuid(namespace, name) == str(uuid.uuid5(uuid.UUID(namespace), name))
