"""Answers in the shapes of mail programs: their text without the quotation, and whether a person or a program wrote them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core import entries
from relay.core.events import Answer, EventSource
from relay.events.answers.mail import MAX_FILES, MAX_READ, MAX_TEXT, MAX_TEXT_WEIGHT, fitting, read_answer
from relay.events.provider_events import ProviderEvent, decode, pack
from relay.providers.contract import MAX_ANSWER_BYTES, ReceivedAnswer

SAMPLES = Path(__file__).parents[3] / "samples" / "replies"
NAME = "msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HEAD = f"From: ada@example.org\r\nMessage-ID: <a@example.org>\r\nIn-Reply-To: <{NAME}@example.com>\r\n".encode()


def read(name: str) -> ProviderEvent | None:
    return read_answer(ReceivedAnswer(raw=(SAMPLES / f"{name}.eml").read_bytes(), received_at=NOW), NOW)


def of(body: str = "Yes.", *fields: str, message_class: str = "") -> ProviderEvent:
    raw = HEAD + "".join(f"{field}\r\n" for field in fields).encode() + b"\r\n" + body.encode()
    found = read_answer(ReceivedAnswer(raw=raw, message_class=message_class), NOW)
    assert found is not None
    return found


def answer_of(event: ProviderEvent | None) -> Answer:
    assert event is not None
    assert event.answer is not None
    return event.answer


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gmail", "Yes, Tuesday works."),
        ("gmail-html", "Yes, **Tuesday**."),
        ("outlook-german", "Ja, Dienstag geht.\n\nGrüße\nAda"),
        ("outlook-html-attachment", "Yes, see the price: € 12."),
        ("outlook-japanese", "火曜日で結構です。①\n\n山田"),
        ("japanese-iso-2022-jp", "はい。"),
        ("apple-mail", "Yes.\n\nSent from my iPhone"),
        ("thunderbird-below", "Yes, it does.\n\n--\nAda"),
        ("thread", "I agree."),
    ],
)
def test_reply_of_a_person(name: str, text: str) -> None:
    event = read(name)
    assert event is not None
    assert (event.kind, event.message, event.at, event.source) == ("replied", NAME, NOW, EventSource.MAIL)
    assert answer_of(event).text == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("oof-exchange-english", "I am out of the office until March 9."),
        ("oof-exchange-german", "Ich bin bis zum 9. März nicht im Büro."),
        ("oof-exchange-japanese", "3月9日まで不在にしております。"),
        ("vacation-gmail", "I am on vacation."),
        ("vacation-sieve", "Away."),
        ("autoresponder-null-path", "Ticket 12 was opened."),
        ("autoresponder-cpanel", "Away."),
    ],
)
def test_automatic_answer(name: str, text: str) -> None:
    event = read(name)
    assert event is not None
    assert (event.kind, answer_of(event).text) == ("auto_replied", text)


@pytest.mark.parametrize("name", ["no-reference", "of-another-mail", "own-mail", "read-receipt"])
def test_mail_that_is_no_answer_to_relay_is_not_recorded(name: str) -> None:
    assert read(name) is None


def test_every_sample_is_read_here() -> None:
    source = Path(__file__).read_text()
    assert [each.stem for each in SAMPLES.iterdir() if f'"{each.stem}"' not in source] == []


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("Auto-Submitted: no", "replied"),
        ("Auto-Submitted: auto-generated; owner-email=x", "auto_replied"),
        ("Auto-Submitted: auto-notified", "auto_replied"),
        ("Precedence: list", "replied"),
        ("Precedence: junk", "auto_replied"),
        ("Precedence: auto_reply", "auto_replied"),
        ("X-Autoreply: no", "replied"),
        ("X-Auto-Response-Suppress: DR, RN, NRN, OOF, AutoReply", "replied"),
        ("X-Auto-Response-Suppress: All", "auto_replied"),
        ("Subject: Automatic reply: out of office", "replied"),
    ],
)
def test_field_decides_the_kind(field: str, kind: str) -> None:
    assert of("Yes.", field).kind == kind


@pytest.mark.parametrize(
    ("message_class", "kind"),
    [
        ("IPM.Note", "replied"),
        ("IPM.Note.Rules.OofTemplate.Microsoft", "auto_replied"),
        ("IPM.Note.Rules.ReplyTemplate.Microsoft", "auto_replied"),
        ("IPM.Note.SMIME", "replied"),
    ],
)
def test_kind_of_item_decides_the_kind(message_class: str, kind: str) -> None:
    assert of(message_class=message_class).kind == kind


def test_answer_shows_its_writer_subject_id_and_the_names_of_its_files() -> None:
    answer = answer_of(read("outlook-html-attachment"))
    assert (answer.sender, answer.subject, answer.message_id) == (
        "ada@example.org",
        "RE: Tuesday",
        "<AM0PR2@prod.outlook.com>",
    )
    assert answer.attachments == ("Preisliste Ä.pdf",)
    assert answer_of(read("outlook-german")).subject == "AW: Dienstag – gut?"


def test_same_mail_has_the_same_key_whenever_and_however_it_is_read() -> None:
    raw = HEAD + b"\r\nYes."
    keys = {
        read_answer(ReceivedAnswer(raw=raw, received_at=NOW + timedelta(hours=hours), message_class=kind), NOW).key  # type: ignore[union-attr]  # it is an answer
        for hours in range(2)
        for kind in ("", "IPM.Note.Rules.OofTemplate.Microsoft")
    }
    assert len(keys) == 1
    other = raw.replace(b"<a@example.org>", b"<b@example.org>")
    assert read_answer(ReceivedAnswer(raw=other), NOW).key not in keys  # type: ignore[union-attr]  # it is an answer


def test_mail_without_an_id_is_known_by_its_content() -> None:
    raw = HEAD.replace(b"Message-ID: <a@example.org>\r\n", b"") + b"\r\n"
    one, same, other = (
        read_answer(ReceivedAnswer(raw=raw + body), NOW).key  # type: ignore[union-attr]  # it is an answer
        for body in (b"Yes.", b"Yes.", b"No.")
    )
    assert one == same != other


@pytest.mark.parametrize("text", ["a", "<", "\na", '"', "\x01", "日", "🎉", "\\", "\ufffe", "<日\n"])
def test_long_text_is_cut_so_that_every_entry_holds_it(text: str) -> None:
    answer = answer_of(of(text * 40_000))
    assert answer.is_truncated
    kept, is_cut = fitting(text * 40_000)
    assert is_cut
    assert 0 < len(kept) <= MAX_TEXT
    event = msgspec.structs.replace(of(), answer=Answer(text=kept))
    [packed] = pack([event])
    assert entries.weight(packed) <= entries.MAX_ENTRY_BYTES
    assert decode(packed).events == (event,)
    twice = entries.escaped(msgspec.json.encode(msgspec.json.encode(kept).decode()))
    assert entries.weight(twice) <= MAX_TEXT_WEIGHT


def test_short_text_is_whole_even_below_a_long_quotation() -> None:
    answer = answer_of(of("> quoted\r\n" * 19_000 + "Yes."))
    assert (answer.text, answer.is_truncated) == ("Yes.", False)
    assert answer_of(of("> quoted\r\n" * (MAX_READ // 10) + "Yes.")).is_truncated


def test_text_of_a_mail_that_was_cut_says_so() -> None:
    assert answer_of(of("Yes.\r\n" + "> a\r\n" * (MAX_ANSWER_BYTES // 5))).is_truncated


def test_many_files_are_named_up_to_a_bound() -> None:
    part = "--b\r\nContent-Disposition: attachment; filename=f{}.txt\r\n\r\nx\r\n"
    body = "".join(part.format(number) for number in range(MAX_FILES + 5))
    answer = answer_of(of(body, "Content-Type: multipart/mixed; boundary=b"))
    assert answer.attachments == tuple(f"f{number}.txt" for number in range(MAX_FILES))


def test_content_is_in_no_repr() -> None:
    assert "secret" not in repr(of("secret words"))


@given(st.binary(max_size=2_000))
def test_any_bytes_are_read(raw: bytes) -> None:
    found = read_answer(ReceivedAnswer(raw=HEAD + raw), NOW)
    if found is not None:
        assert list(pack([found]))
