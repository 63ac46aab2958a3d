"""Secrets: cached, reread on refusal at a limited rate, never shown."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import pytest

from relay.core.errors import SettingsError
from relay.platform.secrets import LIFETIME, REFRESH_PAUSE, SecretSource, reference_problem
from tests.doubles import Clock

SECOND = timedelta(seconds=1)


class VaultDouble:
    """A vault that counts, fails while `is_away`, and waits for `gate` where there is one."""

    def __init__(self, **values: str) -> None:
        self.values = values
        self.reads = 0
        self.is_away = False
        self.gate: asyncio.Event | None = None

    async def read(self, name: str) -> str:
        self.reads += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.is_away or name not in self.values:
            raise SettingsError([f"{name}: Key Vault has no secret of that name"])
        return self.values[name]


def source(
    vault: VaultDouble | None = None, application: Mapping[str, str] | None = None
) -> tuple[SecretSource, VaultDouble, Clock]:
    clock, store = Clock(), vault or VaultDouble(key="one")
    return SecretSource(application=application or {}, clock=clock, vault=store), store, clock


async def test_setting_is_stripped() -> None:
    secrets, vault, _ = source(application={"KEY": " abc \n"})
    assert await secrets.get("setting:KEY") == "abc"
    assert vault.reads == 0


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("setting:MISSING", "MISSING: the setting is empty or missing"),
        ("setting:EMPTY", "EMPTY: the setting is empty or missing"),
        ("setting:UNRESOLVED", "UNRESOLVED: the Key Vault reference was not resolved"),
        ("vault:none", "none: Key Vault has no secret"),
        ("SG.the-key-itself", "must be setting:NAME or vault:NAME"),
    ],
)
async def test_unreadable_secret_raises_with_its_reason(reference: str, words: str) -> None:
    unresolved = "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/k)"
    secrets, *_ = source(application={"EMPTY": " ", "UNRESOLVED": unresolved})
    with pytest.raises(SettingsError, match=words) as caught:
        await secrets.get(reference)
    assert "SG.the-key-itself" not in str(caught.value)


async def test_vault_reference_without_a_vault_raises() -> None:
    secrets = SecretSource(application={}, clock=Clock())
    with pytest.raises(SettingsError, match="RELAY_KEY_VAULT_URL"):
        await secrets.get("vault:key")


async def test_secret_is_cached_for_its_lifetime() -> None:
    secrets, vault, clock = source()
    assert [await secrets.get("vault:key") for _ in range(3)] == ["one"] * 3
    assert vault.reads == 1
    vault.values["key"] = "two"
    clock.now += LIFETIME - SECOND
    assert await secrets.get("vault:key") == "one"
    clock.now += SECOND
    assert await secrets.get("vault:key") == "two"
    assert vault.reads == 2


async def test_concurrent_gets_cause_one_read() -> None:
    secrets, vault, _ = source()
    vault.gate = asyncio.Event()
    reads = [asyncio.create_task(secrets.get("vault:key")) for _ in range(20)]
    await asyncio.sleep(0)
    vault.gate.set()
    assert set(await asyncio.gather(*reads)) == {"one"}
    assert vault.reads == 1


async def test_concurrent_refusals_reread_the_key_once() -> None:
    secrets, vault, _ = source()
    await secrets.get("vault:key")
    vault.values["key"] = "two"
    assert [await secrets.refresh("vault:key") for _ in range(10)] == ["two"] * 10
    assert vault.reads == 2


async def test_bad_key_does_not_overload_the_vault() -> None:
    secrets, vault, clock = source()
    await secrets.get("vault:key")
    for _ in range(50):
        assert await secrets.refresh("vault:key") == "one"
        clock.now += SECOND
    assert vault.reads == 1 + 50 // REFRESH_PAUSE.seconds + 1


async def test_unreachable_vault_keeps_the_key_and_is_not_overloaded() -> None:
    secrets, vault, clock = source()
    await secrets.get("vault:key")
    vault.is_away = True
    clock.now += LIFETIME
    assert [await secrets.get("vault:key") for _ in range(5)] == ["one"] * 5
    assert await secrets.refresh("vault:key") == "one"
    assert vault.reads == 3
    clock.now += REFRESH_PAUSE
    vault.is_away = False
    vault.values["key"] = "two"
    assert await secrets.get("vault:key") == "two"


async def test_failed_first_read_is_retried_after_a_pause() -> None:
    secrets, vault, clock = source()
    vault.is_away = True
    for _ in range(5):
        with pytest.raises(SettingsError):
            await secrets.get("vault:key")
    assert vault.reads == 1
    vault.is_away = False
    clock.now += REFRESH_PAUSE
    assert await secrets.get("vault:key") == "one"


async def test_refused_key_is_replaced_by_the_other_of_two() -> None:
    secrets, _, clock = source(application={"KEY_1": "first", "KEY_2": "second"})
    both = "setting:KEY_1, setting:KEY_2"
    assert await secrets.get(both) == "first"
    assert await secrets.refresh(both) == "second"
    clock.now += LIFETIME
    assert await secrets.get(both) == "second"
    assert await secrets.refresh(both) == "first"


async def test_one_readable_key_of_two_is_enough() -> None:
    secrets, *_ = source(application={"KEY_2": "second"})
    assert await secrets.get("setting:KEY_1,setting:KEY_2") == "second"


async def test_previous_key_is_tried_when_the_vault_is_ahead_of_the_provider() -> None:
    secrets, vault, clock = source()
    await secrets.get("vault:key")
    vault.values["key"] = "not yet valid"
    clock.now += LIFETIME
    assert await secrets.get("vault:key") == "not yet valid"
    assert await secrets.refresh("vault:key") == "one"
    clock.now += LIFETIME
    assert await secrets.get("vault:key") == "not yet valid"


async def test_no_repr_shows_a_secret() -> None:
    secrets, *_ = source(application={"KEY": "hush"})
    await secrets.get("setting:KEY")
    assert "hush" not in repr(secrets) + repr(vars(secrets)["_cache"])


@pytest.mark.parametrize("value", ["setting:SENDGRID_API_KEY", "vault:sendgrid-key", "setting:A, vault:b"])
def test_valid_reference_is_accepted(value: str) -> None:
    assert reference_problem(value) == ""


@pytest.mark.parametrize("value", ["SG.abc", "setting:", "vault:under_score", "setting:A,", "", None, 5, "vault:a b"])
def test_invalid_reference_is_refused_without_showing_it(value: object) -> None:
    assert reference_problem(value).startswith("must name a secret")
