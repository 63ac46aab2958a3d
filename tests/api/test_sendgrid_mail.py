"""A SendGrid mail becomes drafts: shared and personal values are merged, and every problem has its field."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relay.acceptance.draft import Limits
from relay.api.problems import Problems
from relay.api.sendgrid.mail import Mail, read_mail
from relay.core.model import Address, Message
from tests.api.sendgrid_requests import mail, to

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def read(value: Any, **limits: int) -> tuple[Mail, list[tuple[str, str]]]:
    problems = Problems()
    found = asyncio.run(read_mail(value, NOW, problems, Limits(**limits)))
    return found, [(problem.code, problem.target) for problem in problems.found]


def messages(value: Any) -> list[Message]:
    found, problems = read(value)
    assert problems == []
    return [draft.draft.message for draft in found.drafts]


def test_smallest_mail_becomes_one_message() -> None:
    assert messages(mail()) == [
        Message(
            sender=Address(email="app@example.com"),
            to=(Address(email="ada@example.org"),),
            subject="Hello",
            text="A text",
        )
    ]


def test_each_personalization_is_a_message_and_may_differ_in_everything() -> None:
    first, second = messages(
        {
            **mail(
                headers={"X-A": "1", "X-Shared": "ours"},
                custom_args={"a": "1", "shared": "ours"},
                categories=["one", "two"],
                reply_to={"email": "reply@example.com", "name": "Re"},
            ),
            "personalizations": [
                to("a@example.org"),
                {
                    **to("b@example.org", cc=[{"email": "c@example.org", "name": "Cee"}], bcc=[{"email": "d@x.org"}]),
                    "from": {"email": "other@example.com", "name": "Other"},
                    "subject": "Theirs",
                    "headers": {"X-B": "2", "x-shared": "theirs"},
                    "custom_args": {"b": "2", "shared": "theirs"},
                },
            ],
        }
    )
    assert (first.sender.email, first.subject, first.to[0].email) == ("app@example.com", "Hello", "a@example.org")
    assert first.headers == {"X-A": "1", "X-Shared": "ours"}
    assert first.metadata == {"a": "1", "shared": "ours"}
    assert (second.sender.email, second.subject) == ("other@example.com", "Theirs")
    assert [person.email for person in second.recipients] == ["b@example.org", "c@example.org", "d@x.org"]
    assert second.headers == {"X-A": "1", "X-B": "2", "x-shared": "theirs"}
    assert second.metadata == {"a": "1", "b": "2", "shared": "theirs"}
    assert first.tags == second.tags == ("one", "two")
    assert first.reply_to == second.reply_to == (Address(email="reply@example.com", name="Re"),)


def test_headers_that_libraries_set_are_kept_or_left_out() -> None:
    """SendGrid does not reserve them; it writes the last three itself."""
    headers = {"message-ID": "<own@example.com>", "Date": "x", "Sender": "x", "Return-Path": "x", "X-A": "1"}
    [message] = messages(mail(headers=headers))
    assert message.headers == {"X-A": "1", "Message-ID": "<own@example.com>"}


def test_bodies_attachments_and_several_reply_addresses_are_read() -> None:
    file = {"content": base64.b64encode(b"data").decode(), "filename": "a.png", "type": "image/png"}
    [message] = messages(
        mail(
            content=[{"type": "text/html", "value": "<p>"}, {"type": "text/plain", "value": "plain"}],
            attachments=[
                file,
                {**file, "disposition": "inline", "content_id": "logo"},
                {**file, "disposition": "inline"},
                {**file, "disposition": "attachment", "content_id": "unused"},
            ],
            reply_to_list=[{"email": "one@example.com"}, {"email": "two@example.com"}],
        )
    )
    assert (message.text, message.html) == ("plain", "<p>")
    assert [(each.disposition, each.content_id) for each in message.attachments] == [
        ("attachment", None),
        ("inline", "logo"),
        ("attachment", None),
        ("attachment", "unused"),
    ]
    assert message.attachments[0].content == b"data"
    assert [person.email for person in message.reply_to] == ["one@example.com", "two@example.com"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("Ada", "Ada"), ('"Doe, Jane"', "Doe, Jane"), ('"say \\"x\\""', 'say "x"'), ("Doe, Jane", "Doe, Jane")],
)
def test_quotes_around_a_name_are_removed(name: str, meant: str) -> None:
    [message] = messages(mail(personalizations=[{"to": [{"email": "a@example.org", "name": name}]}]))
    assert message.to[0].name == meant


def test_nulls_are_absent() -> None:
    [message] = messages(
        mail(reply_to=None)
        | {"reply_to": None, "headers": None, "personalizations": [to("a@example.org", cc=None, subject=None)]}
    )
    assert message == messages(mail(personalizations=[to("a@example.org")]))[0]


def test_tags_are_replaced_in_subject_bodies_and_reply_to() -> None:
    first, second = messages(
        mail(
            subject="Hi -name-",
            content=[
                {"type": "text/plain", "value": "-greet-, -name- and -names-"},
                {"type": "text/html", "value": "<b>-name-</b>"},
            ],
            reply_to={"email": "-box-@example.com"},
            sections={":formal:": "Dear -name-"},
            personalizations=[
                to(
                    "a@example.org",
                    substitutions={"-name-": "Ada & <co>", "-names-": "-name-s", "-greet-": ":formal:", "-box-": "a"},
                ),
                to("b@example.org", substitutions={"-name-": "Bob", "-box-": "b"}),
            ],
        )
    )
    assert first.subject == "Hi Ada & <co>"
    # Sections may hold tags, so the text is gone through once more: that is how a tag within a value is found too.
    assert first.text == "Dear Ada & <co>, Ada & <co> and Ada & <co>s"
    assert first.html == "<b>Ada & <co></b>"
    assert first.reply_to[0].email == "a@example.com"
    assert (second.subject, second.text) == ("Hi Bob", "-greet-, Bob and -names-")
    assert second.reply_to[0].email == "b@example.com"
    assert first.options == {}


def test_without_sections_tags_are_replaced_once() -> None:
    [message] = messages(
        mail(
            content=[{"type": "text/plain", "value": "%a% %ab%"}],
            personalizations=[to("a@example.org", substitutions={"%a%": "%ab%", "%ab%": "B", "": "never"})],
        )
    )
    assert message.text == "%ab% B"


def test_tag_cannot_break_a_header() -> None:
    _, problems = read(
        mail(subject="Hi -n-", personalizations=[to("a@example.org", substitutions={"-n-": "x\r\nBcc: y"})])
    )
    assert problems == [("invalid_text", "subject")]


def test_template_is_left_to_sendgrid() -> None:
    [message] = messages(
        mail(
            subject=None,
            content=None,
            template_id="d-1",
            sections={":s:": "x"},
            personalizations=[
                to("a@example.org", substitutions={"-a-": "b"}, dynamic_template_data={"deep": {"null": None}})
            ],
        )
    )
    assert (message.subject, message.text, message.html) == ("", None, None)
    assert message.options == {
        "sendgrid": {
            "template_id": "d-1",
            "sections": {":s:": "x"},
            "substitutions": {"-a-": "b"},
            "dynamic_template_data": {"deep": {"null": None}},
        }
    }


def test_options_that_only_sendgrid_has_are_passed_on() -> None:
    [message] = messages(
        mail(
            content=[{"type": "text/plain", "value": "a"}, {"type": "text/calendar", "value": "BEGIN:VCALENDAR"}],
            asm={"group_id": 1, "groups_to_display": [1]},
            ip_pool_name="pool",
            mail_settings={"sandbox_mode": {"enable": False}, "footer": {"enable": True, "text": "x", "html": None}},
            tracking_settings={"click_tracking": {"enable": False}},
        )
    )
    assert message.options == {
        "sendgrid": {
            "content": [{"type": "text/calendar", "value": "BEGIN:VCALENDAR"}],
            "asm": {"group_id": 1, "groups_to_display": [1]},
            "ip_pool_name": "pool",
            "mail_settings": {"footer": {"enable": True, "text": "x"}},
            "tracking_settings": {"click_tracking": {"enable": False}},
        }
    }


def test_sandbox_mode_is_no_option_for_sendgrid() -> None:
    found, problems = read(mail(mail_settings={"sandbox_mode": {"enable": True}}))
    assert (found.is_sandbox, problems, found.drafts[0].draft.message.options) == (True, [], {})


def test_send_at_of_a_personalization_replaces_that_of_the_mail() -> None:
    at = int(NOW.timestamp())
    found, problems = read(
        mail(
            send_at=at + 60,
            personalizations=[to("a@x.org"), to("b@x.org", send_at=at + 90), to("c@x.org", send_at=at - 9)],
        )
    )
    assert problems == []
    assert [draft.draft.send_at for draft in found.drafts] == [
        NOW + timedelta(seconds=60),
        NOW + timedelta(seconds=90),
        None,
    ]


AHEAD = int(NOW.timestamp()) + 91 * 86_400
FILE = {"content": "aGk=", "filename": "a.txt"}
WRONG: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "no personalizations": (
        {"personalizations": []},
        [("no_recipients", "personalizations")],
    ),
    "nothing at all": (
        {"personalizations": None, "from": None, "content": None, "subject": None},
        [
            ("required", "personalizations"),
            ("required", "from"),
            ("no_content", "content"),
        ],
    ),
    "too many personalizations": (
        {"personalizations": [to("a@example.org")] * 1001},
        [("too_many", "personalizations")],
    ),
    "too many recipients": (
        {"personalizations": [to(*(f"r{n}@example.org" for n in range(501)))] * 2},
        [("too_many_recipients", "personalizations")],
    ),
    "no to": ({"personalizations": [{"cc": [{"email": "a@example.org"}]}]}, [("required", "personalizations.0.to")]),
    "an empty to": ({"personalizations": [to()]}, [("no_recipients", "personalizations.0.to")]),
    "a wrong address": (
        {"personalizations": [to("a@example.org", "nobody")]},
        [("invalid_address", "personalizations.0.to.1.email")],
    ),
    "an address twice": (
        {"personalizations": [to("a@example.org", cc=[{"email": "A@example.org"}])]},
        [("duplicate_recipient", "personalizations.0")],
    ),
    "a wrong sender": ({"from": {"email": "x"}}, [("invalid_address", "from.email")]),
    "a sender without address": ({"from": {"name": "x"}}, [("required", "from.email")]),
    "a text instead of an object": ({"from": "a@example.org"}, [("wrong_type", "from")]),
    "an unknown field": ({"fromm": 1}, [("unknown_field", "fromm")]),
    "an unknown field within": (
        {"personalizations": [to("a@example.org", custom_arg={})]},
        [("unknown_field", "personalizations.0.custom_arg")],
    ),
    "a number for a text": ({"custom_args": {"user": 7}}, [("wrong_type", "custom_args.user")]),
    "a name of relay's own": ({"custom_args": {"relay_id": "7"}}, [("invalid_value", "custom_args.relay_id")]),
    "large arguments": ({"custom_args": {"a": "x" * 9_900}}, [("too_large", "custom_args")]),
    "large substitutions": (
        {"personalizations": [to("a@example.org", substitutions={"a": "x" * 10_000})]},
        [("too_large", "personalizations.0.substitutions")],
    ),
    "no subject": ({"subject": None}, [("required", "subject")]),
    "an empty subject of one": (
        {"personalizations": [to("a@example.org", subject="a\nb")]},
        [("invalid_text", "personalizations.0.subject")],
    ),
    "no content": ({"content": []}, [("no_content", "content")]),
    "an empty body": ({"content": [{"type": "text/plain", "value": ""}]}, [("no_content", "content.0.value")]),
    "a type with parameters": (
        {"content": [{"type": "text/plain; charset=utf-8", "value": "x"}]},
        [("invalid_media_type", "content.0.type")],
    ),
    "two plain bodies": (
        {"content": [{"type": "text/plain", "value": "x"}, {"type": "TEXT/plain", "value": "y"}]},
        [("not_applicable", "content.1.type")],
    ),
    "a malformed Message-ID": ({"headers": {"Message-ID": "own"}}, [("invalid_value", "headers.Message-ID")]),
    "a reserved header": ({"headers": {"Reply-To": "x"}}, [("forbidden_header", "headers.Reply-To")]),
    "a reserved header of one": (
        {"personalizations": [to("a@example.org", headers={"Subject": "x"})]},
        [("forbidden_header", "personalizations.0.headers.Subject")],
    ),
    "both kinds of reply_to": (
        {"reply_to": {"email": "a@x.org"}, "reply_to_list": [{"email": "a@x.org"}]},
        [("not_applicable", "reply_to_list")],
    ),
    "eleven categories": ({"categories": [str(n) for n in range(11)]}, [("too_many", "categories")]),
    "a category twice": ({"categories": ["a", "a"]}, [("invalid_tag", "categories")]),
    "a long category": ({"categories": ["a", "b" * 256]}, [("invalid_tag", "categories.1")]),
    "no base64": ({"attachments": [{**FILE, "content": "!"}]}, [("invalid_base64", "attachments.0.content")]),
    "no file name": (
        {"attachments": [{"content": "aGk="}]},
        [("required", "attachments.0.filename")],
    ),
    "a path": ({"attachments": [FILE, {**FILE, "filename": "a/b"}]}, [("invalid_file_name", "attachments.1.filename")]),
    "a wrong disposition": (
        {"attachments": [{**FILE, "disposition": "hidden"}]},
        [("invalid_choice", "attachments.0.disposition")],
    ),
    "too far ahead": ({"send_at": AHEAD}, [("out_of_range", "send_at")]),
    "a time in milliseconds": (
        {"personalizations": [to("a@example.org", send_at=AHEAD * 1000)]},
        [("invalid_time", "personalizations.0.send_at")],
    ),
    "a wrong option": ({"asm": {"group": 1}}, [("unknown_field", "asm.group")]),
    "a wrong switch": (
        {"mail_settings": {"sandbox_mode": {"enable": "yes"}}},
        [("wrong_type", "mail_settings.sandbox_mode.enable")],
    ),
}


@pytest.mark.parametrize(("changes", "expected"), WRONG.values(), ids=WRONG)
def test_each_problem_has_its_field(changes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    changed = {**mail(), **changes}
    assert read({name: value for name, value in changed.items() if value is not None})[1] == expected


def test_all_problems_are_reported_together() -> None:
    _, problems = read(
        mail(
            personalizations=[to("a"), to("b@example.org", send_at=-1)],
            from_={"email": "c"},
            categories=["", ""],
            unknown=1,
        )
    )
    assert len(problems) == 7


def test_shared_problem_is_reported_once() -> None:
    _, problems = read(mail(subject=None, personalizations=[to(f"r{n}@example.org") for n in range(50)]))
    assert problems == [("required", "subject")]


@pytest.mark.parametrize(("value", "code"), [([], "wrong_type"), ("x", "wrong_type"), (None, "wrong_type")])
def test_body_that_is_not_an_object_is_refused(value: Any, code: str) -> None:
    assert (code, "") in read(value)[1]


def test_oversized_message_or_request_is_refused() -> None:
    text = [{"type": "text/plain", "value": "x" * 5000}]
    assert read(mail(content=text), max_message_bytes=5000)[1] == [("message_too_large", "personalizations.0")]
    several = mail(content=text, personalizations=[to("a@example.org"), to("b@example.org")])
    assert read(several, max_batch_bytes=10_000)[1] == [("message_too_large", "personalizations")]
