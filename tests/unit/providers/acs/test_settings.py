"""Settings of an ACS route, its signature compared with openssl's, its rate limit, and its page."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from relay.bootstrap import configuration
from relay.core.settings import Pace
from relay.providers.acs.auth import signature
from relay.providers.acs.outcomes import FAILURES, RULES
from relay.providers.acs.provider import CAPABILITIES, check_settings
from relay.providers.acs.settings import SETTINGS, default_paces, host_of

ENDPOINT = "https://mail.europe.communication.azure.com"
GOOD = {"endpoint": ENDPOINT, "access_key": "vault:acs-key"}
PAGE = (Path(__file__).parents[4] / "docs/providers/acs.md").read_text(encoding="utf-8")

FAULTS = [
    ({"end_point": "x"}, "end_point"),
    ({"endpoint": "http://mail.communication.azure.com"}, "endpoint"),
    ({"endpoint": f"{ENDPOINT}/emails:send"}, "endpoint"),
    ({"endpoint": None}, "endpoint"),
    ({"subscription": 7}, "subscription"),
    ({"engagement_tracking": "no"}, "engagement_tracking"),
    ({"timeout_seconds": "30"}, "timeout_seconds"),
    ({"max_bytes": 30_000_001}, "max_bytes"),
    ({"max_bytes": "10 MB"}, "max_bytes"),
    ({"access_key": "c2VjcmV0"}, "access_key"),
    ({"managed_identity": True}, "managed_identity"),
]


@pytest.mark.parametrize(("given", "key"), FAULTS)
def test_invalid_setting_is_named(given: dict[str, Any], key: str) -> None:
    assert [fault.partition(":")[0] for fault in check_settings({**GOOD, **given})] == [key]


def test_valid_settings_have_no_problems() -> None:
    assert check_settings(GOOD) == []
    assert check_settings({"endpoint": f"{ENDPOINT}/", "access_key": "setting:ONE,setting:TWO"}) == []
    assert check_settings({"endpoint": ENDPOINT, "managed_identity": True, "subscription": "prod"}) == []


def test_settings_without_credentials_are_refused() -> None:
    assert [fault.partition(":")[0] for fault in check_settings({"endpoint": ENDPOINT})] == ["access_key"]
    secret = {"endpoint": ENDPOINT, "client_secret": "setting:S"}
    assert [fault.partition(":")[0] for fault in check_settings(secret)] == ["tenant_id", "client_id"]


def test_signature_covers_method_path_date_host_and_body() -> None:
    key = base64.b64encode(b"secret").decode()
    date = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

    def sign(**changes: Any) -> str:
        given: dict[str, Any] = {"method": "POST", "path": "/emails:send?x=1", "body": b"{}", "host": "h", "key": key}
        return signature(**{**given, "now": date, **changes})["Authorization"]

    headers = signature("POST", "/emails:send?x=1", b"{}", host="h", key=key, now=date)
    assert headers["x-ms-date"] == "Wed, 04 Mar 2026 05:06:07 GMT"
    assert headers["x-ms-content-sha256"] == "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o="
    # openssl: printf 'POST\n/emails:send?x=1\n<date>;h;<digest>' | openssl dgst -sha256 -hmac secret -binary | base64
    assert headers["Authorization"].endswith("&Signature=9p57gKXXOu4LTKyXwrJ16VlGN1JP8DC+drJFSCe0WvQ=")
    others: list[dict[str, Any]] = [
        {"method": "GET"}, {"path": "/"}, {"body": b""}, {"host": "i"}, {"now": date.replace(second=8)},
        {"key": base64.b64encode(b"other").decode()},
    ]  # fmt: skip
    assert len({sign(), *(sign(**other) for other in others)}) == len(others) + 1


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Mail.Example", "mail.example"),
        ("https://mail.example:443", "mail.example"),
        ("https://mail.example:8443", "mail.example:8443"),
        ("http://127.0.0.1:5000", "127.0.0.1:5000"),
    ],
)
def test_signed_host_equals_the_host_header(url: str, host: str) -> None:
    assert host_of(url) == host


def test_routes_of_a_subscription_share_its_rate_limit() -> None:
    declared = {
        "one": {"provider": "acs", **GOOD},
        "two": {"provider": "acs", **GOOD, "endpoint": "https://b.communication.azure.com", "subscription": "prod"},
        "three": {"provider": "acs", **GOOD, "subscription": "prod"},
        "raised": {"provider": "acs", **GOOD, "paces": [{"count": 1000, "seconds": 60}]},
    }
    routes = configuration.load({"RELAY_ROUTES": json.dumps(declared)}).routes
    assert routes["one"].paces == (
        Pace(count=30, seconds=60, resource="acs:mail.europe.communication.azure.com"),
        Pace(count=100, seconds=3600, resource="acs:mail.europe.communication.azure.com"),
    )
    assert routes["two"].paces == routes["three"].paces == default_paces({**GOOD, "subscription": "prod"})
    assert routes["raised"].paces == (Pace(count=1000, seconds=60),)


def test_page_lists_every_setting_and_cause() -> None:
    table = PAGE[PAGE.index("## Settings of a route") : PAGE.index("`senders`, `concurrency`")]
    named = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(named) == sorted(SETTINGS)
    causes = {*(rule.code for rule in (*RULES, *FAILURES)), "unreachable"}
    assert [code for code in causes if f"`{code}`" not in PAGE] == []
    assert f"{CAPABILITIES.max_bytes:,}" in PAGE
