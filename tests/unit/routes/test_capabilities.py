"""What routes can carry: messages against capability tables, before anything is accepted."""

from typing import Any

import pytest

from relay.core.model import Address, Attachment, Message
from relay.core.settings import Route
from relay.providers.contract import FEATURES
from relay.providers.registry import MODULES, provider_module
from relay.routes import capabilities as carriage
from tests.doubles import message_of, submission_of

INLINE = Attachment(name="a.png", disposition="inline", content_id="a")


@pytest.mark.parametrize(
    ("message", "needed"),
    [
        (message_of(), set()),
        (message_of(attachments=(Attachment(name="a.txt"),), cc=(Address(email="b@example.com"),)), set()),
        (message_of(headers={"X-Order": "1"}), {"x_headers"}),
        (message_of(headers={"List-Unsubscribe": "<x>", "x-order": "1"}), {"headers", "x_headers"}),
        (message_of(attachments=(INLINE,)), {"inline_images"}),
        (message_of(raw=b"Subject: x\r\n\r\n"), {"raw_mime"}),
        (message_of(return_path="b@example.org"), {"return_path"}),
        (message_of(return_path=""), {"return_path"}),
        (message_of(reply_to=(Address(email="a@example.org"),)), set()),
        (message_of(reply_to=(Address(email="a@example.org"), Address(email="b@example.org"))), {"reply_to_many"}),
        (message_of("münch@example.com"), {"smtputf8"}),
        (message_of("a@münchen.example"), set()),
        (message_of(sender=Address(email="bücher@example.org")), {"smtputf8"}),
        (message_of(options={"sendgrid": {}}), set()),
        (message_of(options={"smtp": {}, "acs": {}}), set()),
        (message_of(options={"sendgrid": {"template_id": "d-1"}}), {"templates"}),
        (message_of(options={"sendgrid": {"mail_settings": {"footer": {"enable": False, "text": "x"}}}}), set()),
        (message_of(options={"sendgrid": {"tracking_settings": {"open_tracking": {"enable": True}}}}), {"templates"}),
    ],
)
def test_a_message_needs_what_it_has(message: Message, needed: set[str]) -> None:
    assert carriage.needs(message) == needed
    assert needed <= set(FEATURES)


@pytest.mark.parametrize(
    ("fields", "recipients", "obstacle"),
    [
        ({}, 1, ""),
        ({"size": 10_000_000}, 50, ""),
        ({"size": 10_000_001}, 1, "route acs carries at most 10000000 bytes, the message has 10000001"),
        ({}, 51, "route acs takes at most 50 recipients, the message has 51"),
        ({"features": ("headers", "x_headers")}, 1, ""),
        (
            {"features": ("smtputf8", "raw_mime", "headers")},
            1,
            "route acs cannot carry: a finished RFC 5322 message as it is, local parts outside ASCII",
        ),
    ],
)
def test_an_obstacle_is_a_sentence(fields: dict[str, Any], recipients: int, obstacle: str) -> None:
    route = Route(name="acs", provider="acs")
    assert carriage.obstacle(route, submission_of(**fields), recipients) == obstacle


@pytest.mark.parametrize("provider", MODULES)
def test_every_provider_states_its_limits_in_known_words(provider: str) -> None:
    capabilities = provider_module(provider).CAPABILITIES
    assert capabilities.features <= set(FEATURES)
    assert capabilities.max_recipients >= 1
    assert carriage.obstacle(Route(name="r", provider=provider), submission_of(), 1) == ""
