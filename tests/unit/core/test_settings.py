"""The configuration: defaults, every fault at once, and nothing secret in a repr."""

import json
from typing import Any

import pytest

from relay.bootstrap.configuration import load
from relay.core.errors import SettingsError
from relay.core.settings import SETTINGS, BrakeLimits, Lane, Pace, When
from relay.platform.environment import load_lanes

ROUTES = {
    "sendgrid": {"provider": "sendgrid", "senders": ["*@example.com"]},
    "local": {"provider": "capture", "concurrency": 3, "paces": [{"count": 30, "seconds": 60, "resource": "{sender}"}]},
}


def environment(**values: Any) -> dict[str, str]:
    return {f"RELAY_{name}": value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def problems(env: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(env)
    return list(refused.value.problems)


def test_empty_settings_are_valid() -> None:
    settings = load({})
    assert {name: route.provider for name, route in settings.routes.items()} == {"capture": "capture"}
    assert [rule.routes for rule in settings.rules] == [("capture",)]
    assert list(settings.lanes) == ["transactional", "bulk"]
    assert settings.lane_expiry("transactional") == settings.expires_in_seconds == 86_400
    assert settings.lane_expiry("gone") == 86_400
    assert settings.retention_days == 14


def test_sendgrid_key_alone_creates_a_route() -> None:
    settings = load({"SENDGRID_API_KEY": "SG.secret"})
    assert {name: route.provider for name, route in settings.routes.items()} == {"sendgrid": "sendgrid"}
    assert "secret" not in repr(settings)
    assert "secret" not in repr(settings.routes["sendgrid"])


def test_all_settings_are_read() -> None:
    lanes = {"bulk": {"shards": 3, "expires_in_seconds": 120, "retry_min_seconds": 1, "retry_max_seconds": 2}}
    rules = [{"routes": ["local"], "when": {"recipient_domains": ["*.example.org"], "lanes": ["bulk"]}}]
    settings = load(
        environment(
            ROUTES=ROUTES, LANES=lanes, ROUTING=rules, EXPIRES_IN_SECONDS="60", PUBLIC_URL="https://relay.example/x/"
        )
    )
    assert settings.routes["sendgrid"].senders == ("*@example.com",)
    assert settings.routes["local"].concurrency == 3
    assert settings.routes["local"].paces == (Pace(count=30, seconds=60, resource="{sender}"),)
    assert [rule.routes for rule in settings.rules] == [("local",), ("sendgrid",)]
    assert settings.rules[0].when == When(recipient_domains=("*.example.org",), lanes=("bulk",))
    assert settings.lanes["bulk"] == Lane(shards=3, expires_in_seconds=120, retry_min_seconds=1, retry_max_seconds=2)
    assert settings.lane_expiry("bulk") == 120
    assert settings.lanes["transactional"] == Lane()
    assert settings.public_url == "https://relay.example/x"


def test_all_problems_are_reported_together() -> None:
    env = environment(
        ROUTES={
            "a/b": {"provider": "capture", "concurrency": 0, "senders": ["example.com"]},
            "c": {"provider": "smoke_signal", "paces": [{"count": 0, "seconds": 0}], "senders": []},
            "d": {"provider": "capture", "concurrency": "many"},
        },
        ROUTING=[{"routes": ["x"], "when": {"lanes": ["y"]}}, {"routes": []}],
        LANES={
            "Bulk": {},
            "b": {"shards": 0, "retry_min_seconds": 0, "expires_in_seconds": 5},
        },
        EXPIRES_IN_SECONDS="59",
        RETENTION_DAYS="two",
        MAX_WAITING_BYTES="1",
        PUBLIC_URL="relay.example",
        KEY_VAULT_URL="https://vault.example/?x",
    )
    found = problems(env)
    places = [problem.partition(":")[0] for problem in found]
    assert places == [
        "RELAY_ROUTES.a/b",
        "RELAY_ROUTES.a/b.concurrency",
        "RELAY_ROUTES.a/b.senders[0]",
        "RELAY_ROUTES.c.senders",
        "RELAY_ROUTES.c.paces[0].count",
        "RELAY_ROUTES.c.paces[0].seconds",
        "RELAY_ROUTES.c.provider",
        "RELAY_ROUTES.d",
        "RELAY_LANES.Bulk",
        "RELAY_LANES.b.shards",
        "RELAY_LANES.b",
        "RELAY_LANES.b.expires_in_seconds",
        "RELAY_ROUTING[0].routes",
        "RELAY_ROUTING[0].when.lanes",
        "RELAY_ROUTING[1].routes",
        "RELAY_EXPIRES_IN_SECONDS",
        "RELAY_RETENTION_DAYS",
        "RELAY_MAX_WAITING_BYTES",
        "RELAY_PUBLIC_URL",
        "RELAY_KEY_VAULT_URL",
    ]
    with pytest.raises(SettingsError, match="whole number from 1 to 365"):
        load(env)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("ROUTES", "{", "RELAY_ROUTES: not JSON (line 1, column 2)"),
        ("LANES", "[]", "RELAY_LANES: Expected `object`, got `array`"),
        ("LANES", '{"b": {"shard": 1}}', "RELAY_LANES: Object contains unknown field `shard` - at `$[...]`"),
        ("ROUTING", '[{"route": ["x"]}]', "RELAY_ROUTING: Object contains unknown field `route` - at `$[0]`"),
    ],
)
def test_problem_names_its_path(name: str, text: str, expected: str) -> None:
    assert expected in problems(environment(**{name: text}))


def test_triggers_read_only_the_lanes() -> None:
    env = environment(LANES={"bulk": {"shards": 2}}, ROUTES="{")
    lanes = load_lanes(env)
    assert [queue for name, lane in lanes.items() for queue in lane.queues(name)] == [
        "relay-transactional",
        "relay-bulk",
        "relay-bulk-2",
    ]
    with pytest.raises(SettingsError):
        load_lanes(environment(LANES="{"))


def test_queue_names_leave_room_for_the_poison_suffix() -> None:
    lanes = load_lanes(environment(LANES={"a" * 32: {"shards": 32}}))
    names = [f"{queue}-poison" for name, lane in lanes.items() for queue in lane.queues(name)]
    assert all(3 <= len(name) <= 63 for name in names)


def test_every_setting_has_a_meaning_and_a_secret_mark() -> None:
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)
    assert all(setting.meaning.endswith(".") for setting in SETTINGS)
    assert [setting.name for setting in SETTINGS if setting.is_secret] == ["SENDGRID_API_KEY"]


def test_message_trace_has_routes_and_an_identity_of_its_own() -> None:
    routes = {"exchange": {"provider": "graph", "managed_identity": True}}
    trace = [{"routes": ["exchange"], "managed_identity": True, "client_id": "c1"}]
    (read,) = load(environment(ROUTES=routes, MESSAGE_TRACE=trace)).message_traces
    assert (read.routes, dict(read.settings)) == (("exchange",), {"managed_identity": True, "client_id": "c1"})
    assert "c1" not in repr(read)


def test_every_problem_of_message_traces_is_reported() -> None:
    routes = {"exchange": {"provider": "graph", "managed_identity": True}, "local": {"provider": "capture"}}
    identity = {"managed_identity": True}
    traces = [
        {"routes": ["exchange", "local"], **identity},
        {"routes": ["exchange"], "base_url": "https://graph.microsoft.us", "mailbox": "x", **identity},
        {"routes": []},
        identity,
    ]
    found = problems(environment(ROUTES=routes, MESSAGE_TRACE=traces))
    assert [problem.partition(": ")[0] for problem in found] == [
        "RELAY_MESSAGE_TRACE[3]",
        "RELAY_MESSAGE_TRACE[0].routes",
        "RELAY_MESSAGE_TRACE[1].mailbox",
        "RELAY_MESSAGE_TRACE[1].base_url",
        "RELAY_MESSAGE_TRACE[1].routes",
        "RELAY_MESSAGE_TRACE[2].managed_identity",
        "RELAY_MESSAGE_TRACE[2].routes",
    ]


def test_brake_is_on_unless_the_setting_says_otherwise() -> None:
    assert load({}).brake == BrakeLimits()
    own = load(environment(BRAKE={"bounce_rate": 0.05, "min_complained": 3})).brake
    assert own == BrakeLimits(bounce_rate=0.05, min_complained=3)
    assert load(environment(BRAKE={"is_on": False})).brake.is_on is False


@pytest.mark.parametrize(
    ("brake", "problem"),
    [
        ("off", "RELAY_BRAKE: not JSON (line 1, column 1)"),
        ({"bounce_rate": 10}, "RELAY_BRAKE: Expected `float` <= 1.0 - at `$.bounce_rate`"),
        ({"complaint_rate": 0}, "RELAY_BRAKE: Expected `float` > 0.0 - at `$.complaint_rate`"),
        ({"min_bounced": 0}, "RELAY_BRAKE: Expected `int` >= 1 - at `$.min_bounced`"),
        ({"rate": 1}, "RELAY_BRAKE: Object contains unknown field `rate`"),
    ],
)
def test_impossible_limit_of_the_brake_is_refused(brake: Any, problem: str) -> None:
    assert problems(environment(BRAKE=brake)) == [problem]
