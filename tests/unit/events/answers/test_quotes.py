"""Quotations are left out of replies, in the shapes and languages of mail programs; what is not certainly one stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.events.answers.quotes import MAX_LINES, new_text
from tests.work import counted

RELAY = "Relay <relay@example.com>"
HEADERS = {
    "english": "From: {}\nSent: Monday, March 2, 2026 9:14 AM\nTo: Ada <ada@example.org>\nSubject: Tuesday",
    "german": "Von: {}\nGesendet: Montag, 2. März 2026 09:14\nAn: Ada\nBetreff: Dienstag",
    "french": "De : {}\nEnvoyé : lundi 2 mars 2026 09:14\nÀ : Ada\nObjet : Mardi",
    "spanish": "De: {}\nEnviado el: lunes, 2 de marzo de 2026 9:14\nPara: Ada\nAsunto: Martes",
    "japanese": "差出人: {}\n送信日時: 2026年3月2日 9:14\n宛先: Ada <ada@example.org>\n件名: 火曜日",
    "chinese": "发件人：{}\n发送时间：2026年3月2日 9:14\n收件人：Ada\n主题：星期二",
    "korean": "보낸 사람: {}\n보낸 날짜: 2026년 3월 2일 월요일 9:14\n받는 사람: Ada\n제목: 화요일",
    "bold, from HTML": "**From:** {}  \n**Date:** Monday, 2 March 2026 at 09:14  \n**To:** Ada  \n**Subject:** Tuesday",
    "with cc": "From: {}\nDate: 2026-03-02\nCc: Bob\nTo: Ada\nSubject: Tuesday",
    "in mailto": "From: Relay [mailto:relay@example.com]\nSent: Monday, March 2, 2026\nTo: Ada\nSubject: Tuesday",
}
ATTRIBUTIONS = {
    "Gmail": "On Mon, Mar 2, 2026 at 9:14 AM Relay <relay@example.com> wrote:",
    "Gmail, wrapped": "On Mon, Mar 2, 2026 at 9:14 AM The Shop of Example Limited <\nrelay@example.com> wrote:",
    "Gmail, German": "Am Mo., 2. März 2026 um 09:14 Uhr schrieb Relay <relay@example.com>:",
    "Gmail, Japanese": "2026年3月2日(月) 9:14 Relay <relay@example.com>:",
    "Gmail, French": "Le lun. 2 mars 2026 à 09:14, Relay <relay@example.com> a écrit :",
    "Gmail, Spanish": "El lun, 2 mar 2026 a las 9:14, Relay (<relay@example.com>) escribió:",
    "Gmail, Chinese": "Relay <relay@example.com> 于2026年3月2日周一 09:14写道：",
    "Yahoo": "On Monday, March 2, 2026 at 09:14:12 AM GMT+1, Relay <relay@example.com> wrote:",
}
THUNDERBIRD = {
    "English": "On 3/2/26 9:14 AM, Relay wrote:",
    "German": "Am 02.03.26 um 09:14 schrieb Relay:",
    "Japanese": "On 2026/03/02 9:14, Relay wrote:",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("rule", ["", "-----Original Message-----\n", "_" * 32 + "\n", "---\n\n"])
def test_header_and_mail_below_it_are_left_out(header: str, rule: str) -> None:
    assert new_text(f"はい、Tuesday.\r\n\r\nAda\r\n\r\n{rule}{header.format(RELAY)}\n\nDoes it suit you?\n") == (
        "はい、Tuesday.\n\nAda"
    )


@pytest.mark.parametrize("attribution", ATTRIBUTIONS.values(), ids=ATTRIBUTIONS)
@pytest.mark.parametrize("mark", ["> ", ""], ids=["marked", "unmarked"])
def test_attribution_and_what_is_below_it_are_left_out(attribution: str, mark: str) -> None:
    assert new_text(f"Yes.\n\n{attribution}\n\n{mark}Does it?\n{mark}\n{mark}Relay\n") == "Yes."


@pytest.mark.parametrize("attribution", THUNDERBIRD.values(), ids=THUNDERBIRD)
def test_text_below_and_between_quotations_stays(attribution: str) -> None:
    assert new_text(f"{attribution}\n> Does it?\n>> Older\n\nYes.\n\n> Where?\n\nHere.\n") == "Yes.\n\nHere."


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("Apple", "Yes.\n\nSent from my iPhone\n\n> On 2 Mar 2026, Relay <a@b.c> wrote:\n> Hm\n", "Yes.\n\nSent from my iPhone"),
        ("Apple, Japanese", "了解しました。\n\n> 2026/03/02 9:14、Relay <a@b.c>のメール:\n> 火曜日\n", "了解しました。"),
        ("nothing quoted", "My points:\n\n- one\n- two\n\nAda", "My points:\n\n- one\n- two\n\nAda"),
        ("two fields only", "Done.\nFrom: 9:00\nTo: 10:00\nThanks", "Done.\nFrom: 9:00\nTo: 10:00\nThanks"),
        ("form", "Data: 12 rows\nDo: this\nA: yes\nA: no", "Data: 12 rows\nDo: this\nA: yes\nA: no"),
        ("address and year", "Write to <ada@example.org> in 2026:\n\nThanks", "Write to <ada@example.org> in 2026:\n\nThanks"),
        ("colon above an interleaved quotation", "> a\n\nOf 2026 I say:\n\n> b\n\nNo.", "Of 2026 I say:\n\nNo."),
        ("only a quotation", "> a\n> b\n", ""),
        ("empty", "", ""),
        ("old line ends", "Yes.\r\r> a\r", "Yes."),
    ],
)  # fmt: skip
def test_shapes(name: str, text: str, expected: str) -> None:
    assert new_text(text) == expected, name


@given(st.lists(st.sampled_from([*HEADERS.values(), *ATTRIBUTIONS.values(), "> a", "", "---", "Yes.", "a:", "2026"])))
def test_any_mixture_is_read_and_nothing_is_added(pieces: list[str]) -> None:
    text = "\n".join(pieces)
    lines = {line.strip() for line in text.splitlines()}
    assert {line.strip() for line in new_text(text).splitlines()} <= lines | {""}


@pytest.mark.parametrize(
    "piece",
    ["On ", "On 1:00 a wrote:\n", "> ", "From: a\n", "From: a\nTo: b\n", "\n", "_", "--" + "a" * 60 + "\n", "a:\n",
     "a " * 190 + ":\n", "<" * 398 + ":\n", "<a@b" * 90 + ":\n", "1" * 390 + ":\n", " ", "日 "],
)  # fmt: skip
def test_hostile_text_takes_time_in_proportion(piece: str) -> None:
    taken = []
    for size in (3_000, 12_000):
        with counted() as work:
            new_text(piece * (size // len(piece)))
        taken.append(work.instructions)
    assert taken[1] < 6 * taken[0] + 10_000


def test_lines_are_bounded() -> None:
    assert len(new_text("a\n" * (MAX_LINES + 10)).splitlines()) == MAX_LINES
