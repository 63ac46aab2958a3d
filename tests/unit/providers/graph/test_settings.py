"""Settings of a Graph route, its rate limit, and its page."""

import json
from pathlib import Path
from typing import Any

import pytest

from relay.bootstrap import configuration
from relay.core import settings
from relay.core.model import Submission
from relay.core.settings import Pace, Route
from relay.providers.graph.outcomes import RULES
from relay.providers.graph.provider import CAPABILITIES, check_settings
from relay.providers.graph.settings import SETTINGS, base_url, default_paces, mailbox_of, path_of, scope_of
from relay.routes.capabilities import refusal
from tests.send_requests import NOW

IDENTITY = {"managed_identity": True}
PAGE = (Path(__file__).parents[4] / "docs/providers/graph.md").read_text(encoding="utf-8")

FAULTS = [
    ({"mail_box": "x"}, "mail_box"),
    ({"mailbox": 7}, "mailbox"),
    ({"mailbox": "a/b"}, "mailbox"),
    ({"save_to_sent_items": "no"}, "save_to_sent_items"),
    ({"base_url": "http://graph.microsoft.com"}, "base_url"),
    ({"base_url": "https://x.org?y"}, "base_url"),
    ({"base_url": "https://x.org:port"}, "base_url"),
    ({"base_url": 7}, "base_url"),
    ({"timeout_seconds": 0}, "timeout_seconds"),
    ({"timeout_seconds": True}, "timeout_seconds"),
    ({"max_recipients": 1001}, "max_recipients"),
    ({"max_recipients": True}, "max_recipients"),
    ({"managed_identity": False}, "managed_identity"),
    ({"client_secret": "setting:S"}, "client_secret"),
]


@pytest.mark.parametrize(("given", "key"), FAULTS)
def test_invalid_setting_is_named(given: dict[str, Any], key: str) -> None:
    faults = check_settings({**IDENTITY, **given})
    assert [fault.partition(":")[0] for fault in faults][:1] == [key]


def test_valid_settings_have_no_problems() -> None:
    assert check_settings(IDENTITY) == []
    secret = {"tenant_id": "t", "client_id": "c", "client_secret": "vault:graph"}
    more = {"mailbox": "app@example.com", "save_to_sent_items": False, "timeout_seconds": 30.5}
    assert check_settings({**secret, **more, "base_url": "https://graph.microsoft.us/"}) == []


def test_all_problems_are_reported_together() -> None:
    faults = check_settings({"mailbox": "", "x": 1, "timeout_seconds": 99, "base_url": "ftp://x"})
    assert [fault.partition(":")[0] for fault in faults] == ["x", "base_url", "timeout_seconds", "managed_identity"]


def test_url_scope_and_mailbox_follow_the_settings() -> None:
    assert (base_url({}), scope_of({})) == ("https://graph.microsoft.com", "https://graph.microsoft.com/.default")
    assert scope_of({"base_url": "https://graph.microsoft.us/"}) == "https://graph.microsoft.us/.default"
    assert scope_of({"base_url": "https://proxy.example"}) == "https://graph.microsoft.com/.default"
    assert (mailbox_of({}, "a@x.org"), mailbox_of({"mailbox": "b@x.org"}, "a@x.org")) == ("a@x.org", "b@x.org")
    assert path_of("a b/c@x.org") == "/v1.0/users/a%20b%2Fc@x.org"


def routes(**route: Any) -> settings.Settings:
    declared = {"exchange": {"provider": "graph", **IDENTITY, **route}}
    return configuration.load({"RELAY_ROUTES": json.dumps(declared)})


def test_default_rate_limit_is_the_mailboxs() -> None:
    assert routes().routes["exchange"].paces == (Pace(count=30, seconds=60, resource="mailbox:{sender}"),)
    shared = routes(mailbox="App@example.com").routes["exchange"]
    assert shared.paces == default_paces({"mailbox": "app@example.com"})
    assert routes(paces=[]).routes["exchange"].paces == ()
    own = routes(paces=[{"count": 5, "seconds": 1}]).routes["exchange"].paces
    assert own == (Pace(count=5, seconds=1),)


def test_text_and_raw_mime_have_their_own_limit() -> None:
    def submission(body_size: int, *features: str) -> Submission:
        return Submission(
            client="c", client_id="c1", expires_at=NOW, size=50_000_000, body_size=body_size, features=features
        )

    route = Route(name="exchange", provider="graph")
    assert refusal(route, submission(3_000_000), 1) == ""
    assert "text and HTML up to 3000000 bytes; the message has 3000001" in refusal(route, submission(3_000_001), 1)
    assert refusal(route, submission(3_000_000, "raw_mime"), 1) == ""
    assert "finished MIME up to 3000000 bytes" in refusal(route, submission(3_000_001, "raw_mime"), 1)


def test_page_lists_every_setting_and_cause() -> None:
    table = PAGE[PAGE.index("## Settings of a route") : PAGE.index("`senders`, `concurrency`")]
    named = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(named) == sorted(SETTINGS)
    assert [code for code in {*(rule.code for rule in RULES), "unreachable"} if f"`{code}`" not in PAGE] == []
    assert f"{CAPABILITIES.max_body_bytes:,}" in PAGE
