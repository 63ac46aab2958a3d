"""Choose between JSON and MIME, and limit the size of a request."""

import base64
import json
from email import message_from_bytes
from email.policy import default

import msgspec
import pytest

from relay.core.model import Address, Attachment, Message
from relay.mime.size import estimate_size
from relay.providers.graph.body import (
    MAX_MIME_BYTES,
    MAX_REQUEST_BYTES,
    MIME,
    RequestBody,
    draft,
    mail,
    needs_mime,
    upload_session,
)
from relay.providers.graph.mailbox import JSON
from tests.unit.providers.graph.graph_route import mail as message
from tests.unit.providers.graph.graph_route import send_request

FOUR = {f"X-{number}": "v" for number in range(4)}
CHOICES = {
    "html alone": (message(), False),
    "text alone": (message(html=None, text="t"), False),
    "neither": (message(html=None), False),
    "both": (message(text="t"), True),
    "a header of X-": (message(headers={"x-ref": "7"}), False),
    "three headers of X-": (message(headers=dict(list(FOUR.items())[:3])), False),
    "four headers of X-": (message(headers=FOUR), True),
    "another header": (message(headers={"List-Id": "<l.x.org>"}), True),
    "a value outside ASCII": (message(headers={"X-Ref": "é"}), True),
    "a finished message": (message(html=None, raw=b"To: a@x.org\r\n\r\n"), True),
}


@pytest.mark.parametrize(("given", "as_mime"), CHOICES.values(), ids=CHOICES)
def test_mime_is_used_for_what_json_would_lose(given: Message, as_mime: bool) -> None:
    assert needs_mime(given, saves=True) is as_mime
    written = mail(send_request(given), saves=True)
    assert written is not None
    assert written.content_type == (MIME if as_mime else JSON)


def test_text_and_html_without_a_saved_copy_use_json() -> None:
    written = mail(send_request(message(text="t")), saves=False)
    assert written is not None
    order = json.loads(written.body)
    assert order["saveToSentItems"] is False
    assert order["message"]["body"] == {"contentType": "html", "content": "<p>hello</p>"}
    assert "saveToSentItems" not in json.loads((mail(send_request(), saves=True) or written).body)


def test_json_contains_only_present_fields() -> None:
    written = mail(send_request(message(bcc=(), headers={"X-A": "one\r\nBcc: two@x.org"})), saves=True)
    assert written is not None
    resource = json.loads(written.body)["message"]
    assert set(resource) == {
        "subject", "body", "from", "toRecipients", "internetMessageId", "internetMessageHeaders",
    }  # fmt: skip
    assert resource["internetMessageHeaders"][-1] == {"name": "X-A", "value": "one  Bcc: two@x.org"}


def test_non_ascii_domain_is_sent_in_ascii() -> None:
    written = mail(send_request(message(to=(Address(email="ada@bücher.example"),))), saves=True)
    assert written is not None
    people = json.loads(written.body)["message"]["toRecipients"]
    assert people == [{"emailAddress": {"address": "ada@xn--bcher-kva.example"}}]


def filled(size: int, **changes: object) -> Message:
    return message(attachments=(Attachment(name="a", content=bytes(size)),), **changes)


def test_message_larger_than_a_request_needs_a_draft() -> None:
    fits, too_large = (
        mail(send_request(filled(2_990_000)), saves=True),
        mail(send_request(filled(3_000_000)), saves=True),
    )
    assert isinstance(fits, RequestBody)
    assert len(fits.body) <= MAX_REQUEST_BYTES
    assert too_large is None
    both = filled(2_250_000, text="t")
    assert mail(send_request(both), saves=True) is None
    assert isinstance(mail(send_request(filled(2_150_000, text="t")), saves=True), RequestBody)


def test_raw_mime_fits_up_to_the_stated_limit() -> None:
    head = b"To: a@x.org\r\n\r\n"
    largest = message(html=None, raw=head + b"x" * (MAX_MIME_BYTES - 600 - len(head)))
    assert isinstance(mail(send_request(largest), saves=True), RequestBody)
    assert draft(send_request(message(html=None, raw=head + b"x" * MAX_MIME_BYTES)), saves=True) is None


TEXTS = {
    "plain": {"html": "x" * 2_600_000},
    "quotes, which JSON escapes": {"html": '"' * 2_700_000},
    "both in Japanese": {"html": "日本語" * 100_000, "text": "日本語" * 100_000},
}


@pytest.mark.parametrize("bodies", TEXTS.values(), ids=TEXTS)
def test_text_within_the_stated_limit_fits_in_one_request(bodies: dict[str, str]) -> None:
    written = message(**bodies)
    assert 2_400_000 < estimate_size(written) <= MAX_MIME_BYTES
    assert isinstance(mail(send_request(written), saves=True), RequestBody)
    large = msgspec.structs.replace(written, attachments=(Attachment(name="a", content=bytes(4_000_000)),))
    assert mail(send_request(large), saves=True) is None
    assert isinstance(draft(send_request(large), saves=True), RequestBody)


@pytest.mark.parametrize("name", ["app@example.com", "Shop (orders@example.com)"])
def test_display_name_with_an_address_is_left_out(name: str) -> None:
    sender = Address(email="app@example.com", name=name)
    as_json = mail(send_request(message(sender=sender)), saves=True)
    as_mime = mail(send_request(message(sender=sender, text="t")), saves=True)
    assert as_json is not None
    assert as_mime is not None
    assert json.loads(as_json.body)["message"]["from"] == {"emailAddress": {"address": "app@example.com"}}
    assert b"\r\nFrom: app@example.com\r\n" in base64.b64decode(as_mime.body)
    raw = b'From: "' + name.encode() + b'" <app@example.com>\r\nSubject: x\r\n\r\nhi'
    finished = mail(send_request(message(sender=sender, html=None, raw=raw)), saves=True)
    assert finished is not None
    assert message_from_bytes(base64.b64decode(finished.body), policy=default)["From"] == "app@example.com"


def test_empty_file_is_sent_as_mime() -> None:
    written = mail(send_request(message(attachments=(Attachment(name="empty.csv"),))), saves=True)
    assert written is not None
    read = message_from_bytes(base64.b64decode(written.body), policy=default)
    assert [(part.get_filename(), part.get_content()) for part in read.iter_attachments()] == [("empty.csv", b"")]


def test_draft_body_has_no_attachments() -> None:
    as_json = draft(send_request(filled(5_000_000)), saves=True)
    assert as_json is not None
    assert json.loads(as_json.body)["subject"] == "件名"
    assert "attachments" not in json.loads(as_json.body)
    as_mime = draft(send_request(filled(5_000_000, text="t", headers={"List-Id": "<l.x.org>"})), saves=True)
    assert as_mime is not None
    read = message_from_bytes(base64.b64decode(as_mime.body), policy=default)
    assert (read.get_content_type(), read["List-Id"], read["Bcc"]) == (
        "multipart/alternative",
        "<l.x.org>",
        "bob@example.org",
    )
    assert draft(send_request(filled(10, html="x" * MAX_REQUEST_BYTES)), saves=True) is None


def test_upload_session_body_describes_the_file() -> None:
    item = Attachment(name="", type="application/pdf", content=b"12345", disposition="inline", content_id="c")
    assert json.loads(upload_session(item)) == {
        "AttachmentItem": {
            "attachmentType": "file",
            "name": "attachment",
            "size": 5,
            "contentType": "application/pdf",
            "isInline": True,
            "contentId": "c",
        }
    }


def test_invitation_is_sent_as_mime() -> None:
    calendar = "BEGIN:VCALENDAR\r\nMETHOD:CANCEL\r\nEND:VCALENDAR\r\n"
    written = mail(send_request(message(calendar=calendar)), saves=False)
    assert written is not None
    *_, part = message_from_bytes(base64.b64decode(written.body), policy=default).iter_parts()
    assert (part.get_content_type(), part["Content-Type"].params["method"]) == ("text/calendar", "CANCEL")
