"""Bodies for SendGrid: nothing of the message is lost, and SendGrid's own rules accept them."""

import base64
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from relay.core.model import Address, Attachment
from relay.core.send_request import SendRequest
from relay.providers.sendgrid.body import build
from standins.sendgrid.rules import check
from tests.send_requests import NOW
from tests.unit.providers.sendgrid.sendgrid_route import mail, send_request
from tests.unit.providers.sendgrid.test_options import GOOD


def built(given: SendRequest, options: dict[str, Any] | None = None, *, sandbox: bool = False) -> dict[str, Any]:
    """Return the decoded body after checking it with SendGrid's rules."""
    body: dict[str, Any] = msgspec.json.decode(build(given, options or {}, sandbox=sandbox))
    assert check(body, NOW) == []
    return body


def people(*emails: str) -> tuple[Address, ...]:
    return tuple(Address(email=email) for email in emails)


def recipients_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the personalizations without the custom arguments, which each of them has."""
    return [{name: own for name, own in each.items() if name != "custom_args"} for each in body["personalizations"]]


def test_small_message_has_exactly_its_fields() -> None:
    assert built(send_request(attempt=3)) == {
        "personalizations": [
            {
                "to": [{"email": "ada@example.org", "name": "Ada"}],
                "custom_args": {"relay_id": "m1", "relay_attempt": "3"},
            }
        ],
        "from": {"email": "app@example.com", "name": "App"},
        "subject": "Hello",
        "content": [{"type": "text/plain", "value": "A text"}],
        "headers": {"Message-ID": "<m1@example.com>"},
    }


def test_message_with_every_field_is_built() -> None:
    body = built(
        send_request(
            mail(
                cc=people("grace@example.org"),
                bcc=people("blind@example.org"),
                reply_to=people("one@example.com", "two@example.com"),
                html="<p>hi</p>",
                headers={"X-Code": "7", "List-Unsubscribe": "<https://example.com/u>"},
                tags=("welcome", "march"),
                metadata={"order": "7"},
                attachments=(
                    Attachment(name="a.pdf", type="application/pdf; charset=binary", content=b"pdf"),
                    Attachment(name="l.png", type="image/png", content=b"png", disposition="inline", content_id="l"),
                ),
            )
        )
    )
    assert body["personalizations"] == [
        {
            "to": [{"email": "ada@example.org", "name": "Ada"}],
            "cc": [{"email": "grace@example.org"}],
            "bcc": [{"email": "blind@example.org"}],
            "custom_args": {"order": "7", "relay_id": "m1", "relay_attempt": "1"},
        }
    ]
    assert body["reply_to_list"] == [{"email": "one@example.com"}, {"email": "two@example.com"}]
    assert "reply_to" not in body
    assert [part["type"] for part in body["content"]] == ["text/plain", "text/html"]
    assert body["headers"]["X-Code"] == "7"
    assert body["headers"]["List-Unsubscribe"] == "<https://example.com/u>"
    assert body["categories"] == ["welcome", "march"]
    assert "custom_args" not in body
    pdf, image = body["attachments"]
    assert (pdf["filename"], pdf["type"], pdf["disposition"]) == ("a.pdf", "application/pdf", "attachment")
    assert (base64.b64decode(pdf["content"]), base64.b64decode(image["content"])) == (b"pdf", b"png")
    assert (image["disposition"], image["content_id"]) == ("inline", "l")


def test_single_reply_address_keeps_its_name() -> None:
    body = built(send_request(mail(reply_to=(Address(email="one@example.com", name="Doe, Jane"),))))
    assert body["reply_to"] == {"email": "one@example.com", "name": "Doe, Jane"}


def test_body_has_only_recipients_of_this_attempt() -> None:
    message = mail(to=people("a@example.org", "b@example.org"), cc=people("c@example.org"), bcc=people("d@example.org"))
    assert recipients_of(built(send_request(message, recipients=(1, 3)))) == [
        {"to": [{"email": "b@example.org"}], "bcc": [{"email": "d@example.org"}]}
    ]


def test_duplicate_address_is_kept_only_the_first_time() -> None:
    message = mail(to=people("a@example.org", "A@example.org"), cc=people("a@Example.org", "c@example.org"))
    assert recipients_of(built(send_request(message))) == [
        {"to": [{"email": "a@example.org"}], "cc": [{"email": "c@example.org"}]}
    ]


def test_cc_replaces_a_missing_to() -> None:
    message = mail(to=(), cc=people("c@example.org"), bcc=people("d@example.org"))
    assert recipients_of(built(send_request(message))) == [
        {"to": [{"email": "c@example.org"}], "bcc": [{"email": "d@example.org"}]}
    ]


def test_bcc_only_recipients_do_not_see_each_other() -> None:
    message = mail(to=(), bcc=people("c@example.org", "d@example.org"))
    assert recipients_of(built(send_request(message))) == [
        {"to": [{"email": "c@example.org"}]},
        {"to": [{"email": "d@example.org"}]},
    ]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Ada", "Ada"),
        ("Doe, Jane", '"Doe, Jane"'),
        ("a; b", '"a; b"'),
        ('say "x", y\\z', '"say \\"x\\", y\\\\z"'),
        ("山田", "山田"),
    ],
)
def test_recipient_name_with_a_separator_is_quoted(name: str, written: str) -> None:
    body = built(send_request(mail(to=(Address(email="a@example.org", name=name),))))
    assert body["personalizations"][0]["to"][0]["name"] == written


def test_sender_name_is_sent_unchanged() -> None:
    body = built(send_request(mail(sender=Address(email="app@example.com", name="Smith"))))
    assert body["from"] == {"email": "app@example.com", "name": "Smith"}


def test_non_ascii_domain_is_sent_as_a_labels() -> None:
    body = built(send_request(mail(to=people("info@bücher.example"), sender=Address(email="app@bücher.example"))))
    assert body["personalizations"][0]["to"][0]["email"] == "info@xn--bcher-kva.example"
    assert body["from"]["email"] == "app@xn--bcher-kva.example"


def test_empty_subject_and_body_become_a_space() -> None:
    body = built(send_request(mail(subject="", text=None)))
    assert (body["subject"], body["content"]) == (" ", [{"type": "text/plain", "value": " "}])
    assert [part["type"] for part in built(send_request(mail(text="", html="<p>")))["content"]] == ["text/html"]


def test_non_ascii_headers_are_encoded_words() -> None:
    headers = built(send_request(mail(headers={"X-Note": "Grüße"})))["headers"]
    assert headers["X-Note"] == "=?utf-8?b?R3LDvMOfZQ==?="


def test_categories_are_limited_deduplicated_and_cut() -> None:
    tags = ("a", "b", "a", *map(str, range(20)), "x" * 300)
    assert built(send_request(mail(tags=tags)))["categories"] == ["a", "b", *map(str, range(8))]
    assert built(send_request(mail(tags=("x" * 300,))))["categories"] == ["x" * 255]


def test_template_omits_empty_subject_and_content() -> None:
    body = built(send_request(mail(subject="", text=None)), {"template_id": "d-1", "dynamic_template_data": {"n": [1]}})
    assert "subject" not in body
    assert "content" not in body
    assert body["template_id"] == "d-1"
    assert body["personalizations"][0]["dynamic_template_data"] == {"n": [1]}


def test_options_are_written_to_the_body() -> None:
    body = built(send_request(mail(html="<p>")), {**GOOD, "send_at": int(NOW.timestamp()) + 60})
    (personal,) = body["personalizations"]
    assert personal["substitutions"] == {"-name-": "Ada"}
    assert "substitutions" not in body
    assert [part["type"] for part in body["content"]] == ["text/plain", "text/html", "text/calendar"]
    for name in ("sections", "batch_id", "ip_pool_name", "asm", "mail_settings", "tracking_settings", "template_id"):
        assert body[name] == GOOD[name]


LINK = {"List-Unsubscribe": "<https://relay.example/u>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


@pytest.mark.parametrize(
    ("of_message", "of_route", "has_link", "group"),
    [
        ({}, {}, True, None),
        # The route's group is for mail that says nothing itself.
        ({}, {"asm": {"group_id": 5}}, True, None),
        ({"asm": {"group_id": 12}}, {"asm": {"group_id": 12}}, False, 12),
    ],
)
def test_message_has_one_kind_of_unsubscribe_link(
    of_message: dict[str, Any], of_route: dict[str, Any], has_link: bool, group: int | None
) -> None:
    message = mail(headers={**LINK, "X-Order": "1"}, options={"sendgrid": of_message})
    body = built(replace(send_request(message), has_link=True), of_route)
    assert ("List-Unsubscribe" in body["headers"], "List-Unsubscribe-Post" in body["headers"]) == (has_link, has_link)
    assert body["headers"]["X-Order"] == "1"
    assert body.get("asm", {}).get("group_id") == group


def test_callers_own_link_stays_beside_a_group() -> None:
    message = mail(headers=LINK, options={"sendgrid": {"asm": {"group_id": 12}}})
    body = built(send_request(message), {"asm": {"group_id": 12}})
    assert body["headers"]["List-Unsubscribe"] == "<https://relay.example/u>"
    assert body["asm"] == {"group_id": 12}


def test_personal_options_are_in_every_personalization() -> None:
    message = mail(to=(), bcc=people("c@example.org", "d@example.org"))
    for personal in built(send_request(message), {"substitutions": {"-a-": "b"}})["personalizations"]:
        assert personal["substitutions"] == {"-a-": "b"}


def test_route_sandbox_mode_keeps_the_other_mail_settings() -> None:
    options = {"mail_settings": {"footer": {"enable": True}, "sandbox_mode": {"enable": False}}}
    settings = built(send_request(), options, sandbox=True)["mail_settings"]
    assert settings == {"footer": {"enable": True}, "sandbox_mode": {"enable": True}}


def test_text_that_looks_like_a_sendgrid_key_is_sent() -> None:
    body = built(send_request(mail(text="SG.0123456789abcdefghijkl.mnop", html="SG.0123456789abcdefghijkl.mnop")))
    assert body["content"][0]["value"].startswith("SG.")


def test_text_that_utf8_cannot_encode_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        build(send_request(mail(text="\ud800")), {}, sandbox=False)


CALENDAR = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"


def test_invitation_is_a_content_part_with_its_method() -> None:
    body = built(send_request(mail(calendar=CALENDAR)))
    assert body["content"][-1] == {"type": "text/calendar; method=REQUEST", "value": CALENDAR}


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("text/calendar; charset=utf-8; method=CANCEL", "text/calendar; method=CANCEL"),
        ("text/calendar; charset=utf-8", "text/calendar"),
        ("text/csv; charset=utf-8; method=x", "text/csv"),
    ],
)
def test_type_of_a_file_keeps_only_the_method_of_an_invitation(kind: str, sent: str) -> None:
    body = built(send_request(mail(attachments=(Attachment(name="a", type=kind, content=b"1"),))))
    assert body["attachments"][0]["type"] == sent


def test_html_only_message_gets_a_text_if_it_should() -> None:
    body = built(send_request(mail(text=None, html="<p>Hi</p>", text_from_html=True)))
    assert body["content"] == [{"type": "text/plain", "value": "Hi\n"}, {"type": "text/html", "value": "<p>Hi</p>"}]
