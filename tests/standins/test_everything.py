"""All stand-ins in one process: settings, output and shutdown."""

import json
import re
import sys
from pathlib import Path

import aiohttp

from devhost.children import Child
from relay.bootstrap.configuration import load
from relay.providers.registry import MODULES
from standins.everything import SECRETS, Everything, domain_of

ROOT = Path(__file__).parents[2]


async def test_settings_are_valid_with_a_route_for_each_provider(tmp_path: Path) -> None:
    async with Everything(tmp_path) as everything:
        settings = load(everything.settings())
    assert [route.provider for route in settings.routes.values()] == ["capture", *everything.inboxes()]
    assert set(settings.routes) == set(MODULES)
    ways = {rule.when.recipient_domains: rule.routes for rule in settings.rules}
    expected: dict[tuple[str, ...], tuple[str, ...]] = {(domain_of(name),): (name,) for name in everything.inboxes()}
    assert ways == expected | {(): ("capture",)}
    named = {
        str(value).removeprefix("vault:") for route in settings.routes.values() for value in route.settings.values()
    }
    assert set(SECRETS) <= named


async def test_routes_contain_no_secret(tmp_path: Path) -> None:
    async with Everything(tmp_path) as everything:
        routes = everything.settings()["RELAY_ROUTES"]
    assert not [value for value in SECRETS.values() if value in routes]


async def test_process_prints_settings_and_inboxes_and_stops_on_sigterm() -> None:
    output: list[str] = []
    child = await Child.start(
        name="the stand-ins",
        argv=(sys.executable, "-W", "error", "-m", "standins"),
        ready=re.compile(r"^Mail to \*@smtp\.test goes through smtp; inbox: "),
        cwd=ROOT,
        echo=output.append,
    )
    try:
        await child.until_ready(timeout_seconds=60)
        found = json.loads(output[0])
        assert sorted(found["inboxes"]) == ["acs", "graph", "sendgrid", "smtp"]
        assert is_there(found["settings"]["SSL_CERT_FILE"])
        assert not [line for line in output[1:] if line.startswith("{")]
        async with aiohttp.ClientSession() as session:
            for url in found["inboxes"].values():
                async with session.get(url) as response:
                    assert (await response.json())["counters"]["accepted"] == 0
    finally:
        await child.stop(grace_seconds=10)
    ended = await child.until_ended()
    assert "(exit code 0)" in str(ended)
    assert not is_there(found["settings"]["SSL_CERT_FILE"])


def is_there(path: str) -> bool:
    return Path(path).exists()


async def test_parallel_runs_use_different_addresses(tmp_path: Path) -> None:
    async with Everything(tmp_path) as first, Everything(tmp_path) as second:
        assert not set(first.inboxes().values()) & set(second.inboxes().values())
