"""Check messages against the capabilities of providers."""

from typing import Any

import pytest

from relay.core.model import Address, Attachment, Message, Rebuilt
from relay.core.settings import Route
from relay.providers.contract import FEATURES
from relay.providers.registry import MODULES, provider_module
from relay.routes import capabilities
from tests.doubles import message_of, submission_of

INLINE = Attachment(name="a.png", content=b"a", disposition="inline", content_id="a")
SIGNED = (
    b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n%b\r\n--s\r\n"
    b"Content-Type: application/pgp-signature\r\n\r\nx\r\n--s--\r\n"
)


@pytest.mark.parametrize(
    ("message", "needed"),
    [
        (message_of(), set()),
        (
            message_of(attachments=(Attachment(name="a.txt", content=b"a"),), cc=(Address(email="b@example.com"),)),
            set(),
        ),
        (message_of(headers={"X-Order": "1"}), {"x_headers"}),
        (message_of(headers={"List-Unsubscribe": "<x>", "x-order": "1"}), {"headers", "x_headers"}),
        (message_of(attachments=(INLINE,)), {"inline_images"}),
        (message_of(attachments=(Attachment(name="empty.csv"),)), {"empty_files"}),
        (message_of(attachments=(Attachment(name="a", blob="b", size=1),)), set()),
        (message_of(raw=b"Subject: x\r\n\r\n"), {"raw_mime"}),
        (message_of(raw=b"Subject: x\r\n\r\n" + b"y" * 998 + b"\r\n"), {"raw_mime"}),
        (message_of(raw=b"Subject: x\r\n\r\n" + b"y" * 999 + b"\r\n"), {"raw_mime"}),
        (message_of(raw=SIGNED % (b"y" * 998)), {"raw_mime"}),
        (message_of(raw=SIGNED % (b"y" * 999)), {"raw_mime", "long_lines"}),
        (message_of(return_path="b@example.org"), {"return_path"}),
        (message_of(return_path=""), {"return_path"}),
        (message_of(reply_to=(Address(email="a@example.org"),)), set()),
        (message_of(reply_to=(Address(email="a@example.org"), Address(email="b@example.org"))), {"reply_to_many"}),
        (message_of("münch@example.com"), {"smtputf8"}),
        (message_of("a@münchen.example"), set()),
        (message_of(sender=Address(email="bücher@example.org")), {"smtputf8"}),
        (message_of(reply_to=(Address(email="bücher@example.org"),)), {"smtputf8"}),
        (message_of(return_path="bücher@example.org"), {"return_path", "smtputf8"}),
        (message_of(options={"sendgrid": {}}), set()),
        (message_of(options={"sendgrid": {"tracking_settings": {"open_tracking": {"enable": True}}}}), set()),
        (message_of(calendar="BEGIN:VCALENDAR"), {"calendar"}),
        (message_of(headers={"Message-ID": "<a@b>"}), set()),
        (message_of(options={"smtp": {}, "acs": {}}), set()),
        (message_of(options={"sendgrid": {"template_id": "d-1"}}), {"options.sendgrid.template_id"}),
        (message_of(options={"sendgrid": {"mail_settings": {"footer": {"enable": False, "text": "x"}}}}), set()),
        (
            message_of(options={"sendgrid": {"tracking_settings": {"subscription_tracking": {"enable": True}}}}),
            {"options.sendgrid.tracking_settings.subscription_tracking"},
        ),
    ],
)
def test_message_requires_the_features_and_options_that_it_uses(message: Message, needed: set[str]) -> None:
    assert capabilities.required(message) == needed
    assert {each for each in needed if not each.startswith("options.")} <= set(FEATURES)


@pytest.mark.parametrize(
    ("fields", "recipients", "refusal"),
    [
        ({}, 1, ""),
        ({"size": 10_000_000}, 50, ""),
        ({"size": 10_000_001}, 1, "route acs (acs) carries at most 10000000 bytes; the message has 10000001"),
        ({}, 51, "route acs (acs) carries at most 50 recipients; the message has 51"),
        ({"features": ("headers", "x_headers")}, 1, ""),
        (
            {"features": ("smtputf8", "raw_mime", "headers")},
            1,
            "route acs (acs) cannot carry a finished RFC 5322 message as it is, local parts outside ASCII",
        ),
        ({"features": ("options.sendgrid.asm",)}, 1, "route acs (acs) cannot carry options.sendgrid.asm"),
        ({"features": ("unheard_of",)}, 1, "route acs (acs) cannot carry unheard_of"),
    ],
)
def test_refusal_names_the_route_and_what_it_cannot_carry(
    fields: dict[str, Any], recipients: int, refusal: str
) -> None:
    route = Route(name="acs", provider="acs")
    assert capabilities.refusal(route, submission_of(**fields), recipients) == refusal


RAW = b"From: a@example.com\r\nTo: ada@example.com\r\n%b\r\nHi\r\n"


@pytest.mark.parametrize(
    ("more", "needed"),
    [
        (b"", Rebuilt(size=780)),
        (
            b"X-Order: 1\r\nReply-To: b@example.com, c@example.com\r\n",
            Rebuilt(size=820, features=("reply_to_many", "x_headers")),
        ),
        (b"DKIM-Signature: v=1\r\n", Rebuilt(size=780, losses=("DKIM signature",))),
        (b"Cc: bob@example.com\r\n", Rebuilt(size=780, losses=("To and Cc with addresses that are not recipients",))),
    ],
)
def test_content_of_a_finished_message_has_its_own_needs(more: bytes, needed: Rebuilt) -> None:
    found = capabilities.rebuilt(message_of(raw=RAW % more, return_path="b@example.com"))
    assert (found.features, found.losses) == (needed.features, needed.losses)
    assert abs(found.size - needed.size) < 60


FINISHED: dict[str, Any] = {"features": ("long_lines", "raw_mime"), "size": 40_000_000}


@pytest.mark.parametrize(
    ("provider", "rebuilt", "refusal"),
    [
        ("sendgrid", Rebuilt(size=900, features=("calendar", "headers")), ""),
        ("acs", Rebuilt(size=10_000_001), "carries at most 10000000 bytes; the message has 10000001"),
        (
            "acs",
            Rebuilt(size=900, features=("calendar",), losses=("DKIM signature", "header X-A (2 times)")),
            "cannot carry a calendar invitation that recipients can answer and would lose parts of the finished message: "
            "DKIM signature, header X-A (2 times)",
        ),
        ("graph", Rebuilt(size=900, features=("empty_files",), losses=("DKIM signature",)), ""),
    ],
)
def test_route_without_raw_mime_carries_what_the_content_needs(provider: str, rebuilt: Rebuilt, refusal: str) -> None:
    route = Route(name="r", provider=provider)
    found = capabilities.refusal(route, submission_of(**FINISHED, rebuilt=rebuilt), 1)
    assert found == (f"route r ({provider}) {refusal}" if refusal else "")


def test_finished_message_that_was_accepted_without_its_content_stays_finished() -> None:
    submission = submission_of(features=("raw_mime",))
    assert "a finished RFC 5322 message as it is" in capabilities.refusal(
        Route(name="r", provider="acs"), submission, 1
    )


@pytest.mark.parametrize(
    ("provider", "settings", "fields", "recipients"),
    [
        ("graph", {"max_recipients": 1000}, {}, 1000),
        ("acs", {"max_bytes": 30_000_000}, {"size": 30_000_000}, 1),
    ],
)
def test_limit_that_the_vendor_raised_is_a_setting_of_the_route(
    provider: str, settings: dict[str, Any], fields: dict[str, Any], recipients: int
) -> None:
    submission = submission_of(**fields)
    assert capabilities.refusal(Route(name="r", provider=provider), submission, recipients) != ""
    raised = Route(name="r", provider=provider, settings=settings)
    assert capabilities.refusal(raised, submission, recipients) == ""


@pytest.mark.parametrize("provider", MODULES)
def test_every_provider_states_known_features_and_carries_a_small_message(provider: str) -> None:
    stated = provider_module(provider).CAPABILITIES
    assert stated.features <= set(FEATURES)
    assert stated.max_recipients >= 1
    assert capabilities.refusal(Route(name="r", provider=provider), submission_of(), 1) == ""


@pytest.mark.parametrize("provider", MODULES)
def test_options_of_a_provider_are_carried_by_its_routes_only(provider: str) -> None:
    submission = submission_of(features=(f"options.{provider}.colour",))
    for other in MODULES:
        refusal = capabilities.refusal(Route(name="r", provider=other), submission, 1)
        assert refusal == ("" if other == provider else f"route r ({other}) cannot carry options.{provider}.colour")
