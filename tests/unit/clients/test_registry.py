"""Clients and their keys: stored as digests, two active at once, useless when removed or expired."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

import msgspec
import pytest

from relay.clients.keys import Role, key_id_of, new_key
from relay.clients.policy import Policy
from relay.clients.registry import (
    CACHE_SECONDS,
    RENEWED_AFTER_SECONDS,
    TABLE,
    UNKNOWN_KEY_SECONDS,
    USE_NOTED_EVERY,
    Client,
    Clients,
)
from relay.core.errors import AlreadyExists, Changed, NotFound, Unavailable
from relay.platform.storage.ports import Tables
from tests.doubles import START, Clock, Watched, changed, watched_tables


@pytest.fixture
async def tables() -> Watched:
    return await watched_tables(TABLE)


@pytest.fixture
def clients(tables: Watched, clock: Clock) -> Clients:
    return Clients(tables, clock)


async def name_by(clients: Clients, key: str) -> str | None:
    found = await clients.by_key(key)
    return found.name if found else None


# ── keys ──


async def test_client_is_found_by_its_key(clients: Clients) -> None:
    keys = {name: await clients.create(name) for name in ("shop", "crm", "a" * 63)}
    for name, key in keys.items():
        assert await name_by(clients, key) == name
        assert key.startswith("relay_")
        assert len(key) > 50


async def test_key_is_stored_only_as_a_digest(clients: Clients, tables: Watched) -> None:
    key = await clients.create("shop")
    row = await tables.get(TABLE, "client", "shop")
    secret = key.split("_", 2)[2]
    assert secret.encode() not in bytes(row.properties["client"])
    client = await clients.get("shop")
    assert client.keys[0].id == key_id_of(key)
    assert "key" not in repr(client)


@pytest.mark.parametrize(
    "mangle",
    [
        lambda key: key[:-1],
        lambda key: key + "x",
        lambda key: key.upper(),
        lambda key: key.replace("relay_", "other_"),
        lambda key: "relay_00000000_" + key.split("_", 2)[2],
        lambda _: "",
        lambda _: "relay__",
        lambda _: "relay_12345678_",
        lambda key: "Bearer " + key,
        lambda key: key + "\x00é",
    ],
)
async def test_changed_key_finds_no_client(clients: Clients, mangle: Any) -> None:
    key = await clients.create("shop")
    assert await name_by(clients, mangle(key)) is None


async def test_two_keys_work_during_a_rotation(clients: Clients) -> None:
    first = await clients.create("shop")
    second = await clients.add_key("shop")
    assert {await name_by(clients, key) for key in (first, second)} == {"shop"}
    with pytest.raises(ValueError, match="two keys are active"):
        await clients.add_key("shop")
    await clients.remove_key("shop", str(key_id_of(first)))
    assert [await name_by(clients, key) for key in (first, second)] == [None, "shop"]
    assert await name_by(clients, await clients.add_key("shop")) == "shop"


async def test_key_has_its_own_role_or_that_of_its_client(clients: Clients) -> None:
    first = await clients.create("shop", role=Role.SUPPORT)
    own = await clients.add_key("shop", role=Role.VIEWER)
    await clients.change("shop", lambda client: changed(client, role=Role.OPERATOR))
    found = [await clients.by_key(key) for key in (first, own)]
    assert [client and client.role for client in found] == [Role.OPERATOR, Role.VIEWER]
    stored = await clients.get("shop")
    assert stored.roles == frozenset({Role.OPERATOR, Role.VIEWER})


async def test_two_keys_of_each_role_may_be_active(clients: Clients) -> None:
    await clients.create("shop")
    await clients.add_key("shop", role=Role.CLIENT)
    for role in (Role.CLIENT, None):
        with pytest.raises(ValueError, match="two keys are active"):
            await clients.add_key("shop", role=role)
    for _ in range(2):
        await clients.add_key("shop", role=Role.AUDITOR)
    with pytest.raises(ValueError, match="two keys are active"):
        await clients.add_key("shop", role=Role.AUDITOR)


@pytest.mark.parametrize(
    ("own", "role", "sees", "seen"),
    [
        (Role.CLIENT, Role.VIEWER, (), ("shop",)),
        (Role.CLIENT, Role.SUPPORT, ("crm",), ("crm",)),
        (Role.CLIENT, Role.CLIENT, (), ()),
        (Role.OPERATOR, Role.VIEWER, (), ()),
        (Role.VIEWER, Role.SUPPORT, ("crm",), ("crm",)),
    ],
)
async def test_key_of_a_client_that_sends_sees_only_its_messages_unless_the_policy_names_clients(
    clients: Clients, own: Role, role: Role, sees: tuple[str, ...], seen: tuple[str, ...]
) -> None:
    await clients.create("shop", role=own, policy=Policy(sees=sees))
    found = await clients.by_key(await clients.add_key("shop", role=role))
    assert found is not None
    assert (found.role, found.policy.sees) == (role, seen)


async def test_expired_key_is_useless(clients: Clients, clock: Clock) -> None:
    await clients.create("shop")
    key = await clients.add_key("shop", expires_at=START + timedelta(hours=1))
    clock.move(3599)
    assert await name_by(clients, key) == "shop"
    clock.move(1)
    assert await name_by(clients, key) is None
    # An expired key makes room.
    await clients.add_key("shop")
    assert len((await clients.get("shop")).keys) == 2


async def test_disabled_client_is_not_found(clients: Clients) -> None:
    key = await clients.create("shop", principals=["app-1"])
    await clients.change("shop", lambda client: changed(client, is_disabled=True))
    assert await name_by(clients, key) is None
    assert await clients.by_principal(["app-1"]) is None


async def test_unknown_client_or_key_is_not_found(clients: Clients) -> None:
    await clients.create("shop")
    for removal in (clients.remove_key("shop", "00000000"), clients.remove_key("crm", "00000000")):
        with pytest.raises(NotFound):
            await removal
    with pytest.raises(NotFound):
        await clients.get("crm")


async def test_keys_are_unique() -> None:
    keys = {new_key(START)[0] for _ in range(200)}
    assert len({key.split("_", 2)[2] for key in keys}) == 200


# ── rows ──


@pytest.mark.parametrize("name", ["", "Shop", "-shop", "shop/1", "a" * 64, "shöp", "shop\n"])
async def test_invalid_name_is_refused(clients: Clients, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        await clients.create(name)


async def test_existing_client_is_not_created_again(clients: Clients) -> None:
    key = await clients.ensure("shop", role=Role.OPERATOR)
    assert key is not None
    assert await clients.ensure("shop", role=Role.CLIENT) is None
    with pytest.raises(AlreadyExists):
        await clients.create("shop")
    found = await clients.by_key(key)
    assert found is not None
    assert found.role is Role.OPERATOR


async def test_concurrent_changes_do_not_overwrite_each_other(clients: Clients, tables: Watched) -> None:
    await clients.create("shop")
    tables.before("merge", lambda: clients.add_key("shop"))
    with pytest.raises(Changed):
        await clients.change("shop", lambda client: changed(client, role=Role.OPERATOR))
    assert len((await clients.get("shop")).keys) == 2


async def test_deleted_client_is_not_found(clients: Clients) -> None:
    key = await clients.create("shop")
    await clients.delete("shop")
    assert await name_by(clients, key) is None
    with pytest.raises(NotFound):
        await clients.delete("shop")


async def test_principals_match_in_any_case(clients: Clients) -> None:
    await clients.create("shop", principals=["AAAA-bbbb"])
    found = await clients.by_principal(["other", "aaaa-BBBB"])
    assert found is not None
    assert found.name == "shop"
    assert await clients.by_principal([]) is None


async def test_every_client_has_its_own_mac_key(clients: Clients) -> None:
    for name in ("a", "b"):
        await clients.create(name)
    known: Mapping[str, Client] = await clients.all()
    assert len({client.mac_key for client in known.values()}) == 2
    assert all(len(client.mac_key) == 32 for client in known.values())


# ── caching ──


async def test_rows_are_cached_for_half_a_minute(clients: Clients, tables: Watched, clock: Clock) -> None:
    key = await clients.create("shop")
    for _ in range(5):
        await clients.by_key(key)
    assert tables.calls["query"] == 1
    clock.move(CACHE_SECONDS + 0.1)
    await clients.by_key(key)
    assert tables.calls["query"] == 2


async def test_one_caller_renews_rows_that_will_be_too_old_and_the_others_do_not_wait(
    clients: Clients, tables: Watched, clock: Clock
) -> None:
    key, meanwhile = await clients.create("shop"), list[str | None]()
    await clients.by_key(key)
    await Clients(tables, clock).remove_key("shop", str(key_id_of(key)))

    async def call() -> None:
        meanwhile.append(await name_by(clients, key))

    clock.move(CACHE_SECONDS - 0.1)
    tables.before("query", call)
    assert await name_by(clients, key) is None
    assert meanwhile == ["shop"]


class CreatesAfterQuery:
    """Tables to which each query that was answered brings another client before its caller has the answer."""

    def __init__(self, tables: Watched) -> None:
        self._tables = tables
        self.clients: Clients | None = None
        self.keys: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tables, name)

    async def query(self, *args: Any, **kwargs: Any) -> Any:
        page = await self._tables.query(*args, **kwargs)
        if self.clients is not None:
            self.keys.append(await self.clients.create(f"made-{len(self.keys)}"))
        return page


async def test_client_that_is_made_while_rows_are_renewed_is_known_at_once(tables: Watched, clock: Clock) -> None:
    creating = CreatesAfterQuery(tables)
    clients = Clients(cast(Tables, creating), clock)
    await clients.all()
    creating.clients = clients
    clock.move(CACHE_SECONDS - 0.1)
    await clients.all()
    creating.clients = None
    assert await name_by(clients, creating.keys[0]) == "made-0"


async def test_rows_that_cannot_be_renewed_serve_until_they_are_too_old(
    clients: Clients, tables: Watched, clock: Clock
) -> None:
    key = await clients.create("shop")
    await clients.by_key(key)
    clock.move(RENEWED_AFTER_SECONDS + 0.1)
    tables.failing = frozenset({"query"})
    assert await name_by(clients, key) == "shop"
    clock.move(CACHE_SECONDS - RENEWED_AFTER_SECONDS)
    with pytest.raises(Unavailable):
        await clients.by_key(key)


async def test_new_key_works_within_seconds_and_wrong_keys_are_throttled(
    clients: Clients, tables: Watched, clock: Clock
) -> None:
    await clients.create("shop")
    await clients.all()
    made = await Clients(tables, clock).create("crm")
    for _ in range(5):
        assert await name_by(clients, made) is None
    assert tables.calls["query"] == 1
    clock.move(UNKNOWN_KEY_SECONDS + 0.1)
    assert await name_by(clients, made) == "crm"
    assert tables.calls["query"] == 2


async def test_removed_key_is_useless_everywhere_after_the_cache_time(
    clients: Clients, tables: Watched, clock: Clock
) -> None:
    key = await clients.create("shop")
    await clients.by_key(key)
    await Clients(tables, clock).remove_key("shop", str(key_id_of(key)))
    clock.move(CACHE_SECONDS + 0.1)
    assert await name_by(clients, key) is None


async def test_last_use_of_a_key_is_recorded_hourly(clients: Clients, tables: Watched, clock: Clock) -> None:
    tables.fail("upsert", Unavailable("away"))
    await clients.note_use("k")
    assert await clients.last_uses() == {}
    clock.move(USE_NOTED_EVERY.total_seconds())
    for _ in range(3):
        await clients.note_use("k")
        clock.move(60)
    assert await clients.last_uses() == {"k": START + USE_NOTED_EVERY}


def test_policy_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="sender"):
        msgspec.convert({"sender": ["*"]}, Policy)
