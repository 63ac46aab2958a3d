"""Finished messages read as content: what is carried, and each loss by its name."""

import base64

import pytest

from relay.core.model import Address, Attachment
from relay.mime.finished.content import MAX_SUBMISSION_HOPS, Rebuilding, names_others, rebuild
from relay.mime.finished.losses import MAX_LOSSES
from tests.doubles import message_of

HEAD = (
    "From: =?utf-8?B?5pel5pys?= <app@example.com>\r\nTo: ada@example.org\r\n"
    "Subject: =?utf-8?B?5Lu25ZCN?=\r\nMIME-Version: 1.0\r\n"
)
TEXT = "Content-Type: text/plain; charset=utf-8\r\n\r\nhello"
HTML = 'Content-Type: text/html; charset=utf-8\r\n\r\n<img src="cid:logo">'
PNG = b"\x89PNG\x00\xff"
IMAGE = "Content-Type: image/png; name=logo.png\r\nContent-ID: <logo>\r\nContent-Transfer-Encoding: base64\r\n\r\n" + (
    base64.b64encode(PNG).decode()
)
PDF = (
    "Content-Type: application/pdf\r\nContent-Disposition: attachment;"
    " filename*=utf-8''%E8%AB%8B%E6%B1%82%E6%9B%B8.pdf\r\n\r\n%PDF"
)
ICS = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
CALENDAR = f"Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\n{ICS}"
ATTACHED = "Content-Type: message/rfc822\r\n\r\nFrom: b@example.org\r\nSubject: x\r\n\r\nhi"


def multipart(kind: str, *parts: str, level: int = 0, parameters: str = "") -> str:
    boundary = f"b{level}{kind}"
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"{parameters}\r\n\r\n{body}--{boundary}--\r\n'


def read(body: str, *fields: str) -> Rebuilding:
    raw = (HEAD + "".join(f"{field}\r\n" for field in fields) + body).encode()
    return rebuild(message_of("ada@example.org", raw=raw))


def test_structure_of_text_image_file_and_invitation_is_kept() -> None:
    related = multipart("related", HTML, IMAGE, level=2)
    found = read(multipart("mixed", multipart("alternative", TEXT, related, CALENDAR, level=1), PDF))
    content = found.message
    assert found.losses == ()
    assert (content.subject, content.text, content.html) == ("件名", "hello", '<img src="cid:logo">')
    assert (content.calendar or "").splitlines() == ICS.splitlines()
    assert [
        (each.name, each.type, each.content, each.disposition, each.content_id) for each in content.attachments
    ] == [
        ("logo.png", "image/png", PNG, "inline", "logo"),
        ("請求書.pdf", "application/pdf", b"%PDF", "attachment", None),
    ]


def test_header_fields_are_decoded_and_kept() -> None:
    found = read(
        TEXT, "Reply-To: =?utf-8?B?5pel5pys?= <r@example.com>, s@example.com", "Message-ID: <1@example.com>",
        "X-Name: =?utf-8?B?5pel5pys?=", "List-Unsubscribe: <https://example.com/u>", "References: <0@example.com>",
    )  # fmt: skip
    assert found.losses == ()
    assert found.message.reply_to == (Address(email="r@example.com", name="日本"), Address(email="s@example.com"))
    assert found.message_id == "1@example.com"
    assert found.message.headers == {
        "X-Name": "日本", "List-Unsubscribe": "<https://example.com/u>", "References": "<0@example.com>",
    }  # fmt: skip


@pytest.mark.parametrize(("charset", "text"), [("iso-2022-jp", "請求"), ("shift_jis", "①髙"), ("euc-jp", "請求")])
def test_text_of_another_charset_is_decoded(charset: str, text: str) -> None:
    codec = "cp932" if charset == "shift_jis" else charset
    raw = f"{HEAD}Content-Type: text/plain; charset={charset}\r\n\r\n".encode() + text.encode(codec)
    found = rebuild(message_of(raw=raw))
    assert (found.message.text, found.losses) == (text, ())


def test_received_fields_of_a_submission_are_no_loss() -> None:
    hops = ["Received: from a by b; Fri, 2 Jan 2026 03:04:05 +0000"] * MAX_SUBMISSION_HOPS
    assert read(TEXT, *hops).losses == ()
    assert read(TEXT, *hops, hops[0]).losses == (f"header Received (of {MAX_SUBMISSION_HOPS + 1} hops)",)


def test_what_sending_programs_add_is_no_loss() -> None:
    described = PDF.replace("\r\n\r\n", "\r\nContent-Description: =?utf-8?B?6KuL5rGC5pu4LnBkZg==?=\r\n\r\n")
    found = read(
        multipart("mixed", TEXT, described), "Sender: Shop <SHOP@example.org>", "Content-Language: ja",
        "Content-Class: urn:content-classes:message", "Date: Fri, 2 Jan 2026 03:04:05 +0000",
    )  # fmt: skip
    assert (found.losses, found.message.headers) == ((), {})


def test_envelope_stays_and_no_field_adds_to_it() -> None:
    raw = f"{HEAD}Bcc: eve@example.org\r\n{TEXT}".encode()
    message = message_of(
        "ada@example.org", "bob@example.org", raw=raw, tags=("a",), sender=Address(email="s@example.org")
    )
    found = rebuild(message).message
    assert (found.recipients, found.sender, found.tags, found.raw) == (message.recipients, message.sender, ("a",), None)
    assert "eve" not in str(found)


def test_attached_invitation_keeps_its_method() -> None:
    attached = CALENDAR.replace("\r\n\r\n", "\r\nContent-Disposition: attachment; filename=a.ics\r\n\r\n", 1)
    [file] = read(multipart("mixed", TEXT, attached)).message.attachments
    assert file == Attachment(name="a.ics", type="text/calendar; method=REQUEST", content=ICS.encode())


@pytest.mark.parametrize(
    ("field", "others"),
    [
        ("To: Ada <ADA@example.org>", False), ("To: undisclosed-recipients:;", False), ("", False),
        ("To: ada@example.org\r\nCc: list@example.org", True), ("To: team: ada@example.org, b@example.org;", True),
    ],
)  # fmt: skip
def test_other_addresses_in_to_and_cc_are_found(field: str, others: bool) -> None:
    assert names_others(message_of("ada@example.org", raw=f"Subject: x\r\n{field}\r\n\r\nhi".encode())) is others


def test_number_and_length_of_losses_are_bounded() -> None:
    odd = [f"Content-Type: text/{'x' * 200}{number}\r\n\r\nhi" for number in range(MAX_LOSSES + 5)]
    losses = read(multipart("alternative", *odd), *(f"Resent-{number}: x" for number in range(MAX_LOSSES))).losses
    assert len(losses) == MAX_LOSSES + 1
    assert losses[-1] == "1 more"
    assert max(map(len, losses)) <= 100


LOSSES = {
    "S/MIME signature": (
        multipart("signed", TEXT, PDF, parameters='; protocol="application/pkcs7-signature"'),
        ("S/MIME signature (multipart/signed)",),
    ),
    "PGP signature": (
        multipart("signed", TEXT, PDF, parameters='; protocol="application/pgp-signature"'),
        ("PGP signature (multipart/signed)",),
    ),
    "encrypted": (multipart("encrypted", PDF, PDF), ("multipart/encrypted",)),
    "report": (multipart("report", TEXT, ATTACHED), ("multipart/report",)),
    "S/MIME content": (
        "Content-Type: application/pkcs7-mime\r\n\r\nMIAG", ("S/MIME content (application/pkcs7-mime)",),
    ),
    "nested message": (multipart("mixed", TEXT, ATTACHED), ("nested message/rfc822 part",)),
    "AMP": (
        multipart("alternative", TEXT, "Content-Type: text/x-amp-html\r\n\r\n<p>", HTML),
        ("text part that is neither text/plain nor text/html (text/x-amp-html)",),
    ),
    "footer": (multipart("mixed", TEXT, TEXT), ("text part beside the text (text/plain)",)),
    "calendar without method": (
        multipart("alternative", TEXT, CALENDAR.replace(" method=REQUEST;", "")), ("calendar part without a valid method",),
    ),
    "invalid text": (
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n/w==",
        ("characters that are not valid in their charset (text/plain)",),
    ),
    "field of a part": (
        multipart("related", HTML, f"Content-Location: x.png\r\n{IMAGE}"), ("header Content-Location of a part",),
    ),
    "DKIM and a resent field": (
        f"DKIM-Signature: v=1\r\nResent-From: x@example.com\r\n{TEXT}", ("DKIM signature", "header Resent-From"),
    ),
    "other author and resent": (f"Sender: boss@example.org\r\n{TEXT}", ("header Sender",)),
    "flowed text": (TEXT.replace("utf-8", "utf-8; format=flowed"), ("format=flowed of the text",)),
    "text preferred to HTML": (
        multipart("alternative", HTML, TEXT), ("text after the HTML, which mail programs would prefer",),
    ),
    "named text": (
        TEXT.replace("utf-8", "utf-8; name=log.txt"), ("file name of the text (text/plain)",),
    ),
    "odd Message-ID": (
        f"Message-ID: <a b>\r\n{TEXT}", ("header Message-ID (its value does not follow its grammar)",),
    ),
    "odd address list": (
        f"Errors-To: nobody\r\n{TEXT}", ("header Errors-To (its value does not follow its grammar)",),
    ),
    "a field twice": (f"X-A: 1\r\nX-A: 2\r\n{TEXT}", ("header X-A (2 times)",)),
    "all at once": (
        f"ARC-Seal: i=1\r\n{multipart('mixed', TEXT, ATTACHED, multipart('digest', ATTACHED, level=1))}",
        ("ARC seal", "nested message/rfc822 part", "multipart/digest"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "losses"), LOSSES.values(), ids=LOSSES)
def test_each_loss_is_named(body: str, losses: tuple[str, ...]) -> None:
    assert read(body).losses == losses
