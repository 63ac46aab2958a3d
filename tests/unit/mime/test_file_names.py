"""File names as programs read them, and parts whose files cannot be seen: one table of what could hide an executable."""

import base64

import pytest

from relay.core.model import Attachment
from relay.mime.file_names import (
    MAX_INLINE,
    MAX_MESSAGE_FILES,
    Files,
    files_in_attachments,
    files_in_text,
    files_of,
    joined,
    kinds_of,
    opaque,
    readings,
)
from relay.mime.parts import parse
from tests.samples.mail.sample import mail, multipart, part


@pytest.mark.parametrize(
    "name",
    [
        "tool.exe", "TOOL.EXE", "tool.exe.", "tool.exe ", "tool.exe . .", "tool.exe\u00a0", "tool.exe\u3000",
        "tool.exe/", "tool.exe\\", "tool.exe::$DATA", "tool.exe:Zone.Identifier", "a/b/tool.exe", "C:\\tmp\\tool.exe",
        "a/tool.exe//", "'tool.exe'", '"tool.exe"', "tool.exe\0.txt", "tool.exe\x1b.txt", "tool.e\0xe",
        "tool.e\u0085xe", "tool.ex\u200be", "tool.exe\u200b", "tool\u2060.exe", "tool.exe\ufeff", "tool.\u202eexe",
        "tool.exe\u202c", "\u202etool.exe", "tool.e\u00adxe", "tool.exe\ufe0f", "tool.exe\u3164", "tool.e\u034fxe",
        "tool.e\U000e0065xe", "tool．ｅｘｅ", "tool.ｅｘｅ", "tool\u2024exe", "tool%2Eexe", "tool.exe%00.txt",
        "=?utf-8?q?tool=2Eexe?=", "=?utf-8?b?dG9vbC4=?= =?utf-8?b?ZXhl?=", "=?utf-8?q?tool=2Eexe=2E?=", "tool.exe\n",
        "tool.exe\t", "=?utf-8?q?tool=2Eex=E2=80=8Be?=",
    ],
)  # fmt: skip
def test_disguised_name_is_read_as_what_it_becomes(name: str) -> None:
    assert "tool.exe" in readings(name)


@pytest.mark.parametrize(
    "name",
    [
        "請求書 2026年11月分.pdf", "exe.pdf", "tool.exe.pdf", "toolexe", "mail.html", "a.tar.gz", "日本:語.pdf", "50%.pdf",
        "…", "", "/", "::",
    ],
)  # fmt: skip
def test_other_name_never_becomes_an_executable(name: str) -> None:
    assert not any(each.endswith(".exe") for each in readings(name))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("begin 644 tool.exe\n#0V%T\n`\nend\n", ("tool.exe",)),
        ("Hi\r\nbegin 0644  tool.exe  \r\n", ("tool.exe",)),
        ("Hi\rbegin 755 my tool.exe\r", ("my tool.exe",)),
        ("begin-base64 644 tool.exe\nTVo=\n====\n", ("tool.exe",)),
        (f"begin-base64-encoded 644 {base64.b64encode(b'tool.exe').decode()}\n", ("tool.exe",)),
        ("=ybegin line=128 size=3 name=tool.exe\n", ("tool.exe",)),
        ("Hi\n=ybegin part=1 line=128 size=3 name=my tool.exe\r\n", ("my tool.exe",)),
        ("They begin 644 tool.exe", ()),
        ("begin with 3 apples", ()),
        ("begin 9 tool.exe", ()),
        ("x=ybegin line=1 name=tool.exe", ()),
    ],
)
def test_files_in_a_text_are_found(text: str, names: tuple[str, ...]) -> None:
    assert files_in_text(text) == Files(names=names)


def test_binhex_and_too_many_files_in_a_text_cannot_be_looked_into() -> None:
    assert len(files_in_text("(This file must be converted with BinHex 4.0)\n:$f*TEQ").opaque) == 1
    many = files_in_text("begin 644 a.txt\n" * (MAX_INLINE + 1))
    assert (len(many.names), many.opaque) == (MAX_INLINE, ("a text with more than 1,000 files",))
    assert files_in_text(None) == files_in_text("The beginning of BinHex.") == Files()


@pytest.mark.parametrize(
    "line",
    [
        "ATTACH;FMTTYPE=application/x-msdownload;ENCODING=BASE64;VALUE=BINARY;X-FILENAME=tool.exe:TVo=",
        'ATTACH;VALUE=BINARY;X-ORACLE-FILENAME="tool.exe":TVo=',
        "ATTACH;FILEN\r\n AME=tool.exe;VALUE=BINARY:TVo=",
        "attach;filename=tool.exe;encoding=base64:TVo=",
        'ATTACH;X-NOTE="a:b;c";FILENAME=tool.exe:cid:1',
    ],
)
def test_file_of_an_invitation_is_found(line: str) -> None:
    text = f"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n{line}\r\nEND:VCALENDAR\r\n"
    assert files_in_text(text, "text/calendar").names == ("tool.exe",)
    raw = mail("Content-Type: text/calendar; method=REQUEST", body=text)
    assert files_of(parse(raw).root).names == ("tool.exe",)


@pytest.mark.parametrize(
    ("media_type", "name"),
    [
        ("application/ms-tnef", ""), ("Application/MS-TNEF; name=x", "a.pdf"), ("application/vnd.ms-tnef", ""),
        ("application/octet-stream", "winmail.dat"), ("application/octet-stream", "WinMail.dat."), ("message/partial; id=1", ""),
        ("message/external-body; access-type=URL", ""), ("application/mac-binhex40", "a.hqx"), ("application/applefile", ""),
    ],
)  # fmt: skip
def test_part_that_cannot_be_looked_into_is_named_by_what_it_is(media_type: str, name: str) -> None:
    assert len(opaque(media_type, [name])) == 1


def test_parts_of_a_message_are_judged_by_type_and_name() -> None:
    raw = multipart(
        part("x", "Content-Type: application/ms-tnef"),
        part("x", "Content-Type: application/octet-stream", "Content-Disposition: attachment; filename*=utf-8''winmail%2Edat"),
        part("x", "Content-Type: message/partial; id=a; number=1"),
        part("x", "Content-Type: message/external-body; access-type=URL; name=tool.exe"),
        part("x", "Content-Type: application/pkcs7-mime; smime-type=enveloped-data"),
        part("begin 644 odd.exe\n#0V%T\n`\nend\n", "Content-Type: application/x", "Content-Transfer-Encoding: x-uuencode"),
    )  # fmt: skip
    found = joined(map(files_of, parse(raw).root.walk()))
    assert set(found.names) >= {"winmail.dat", "tool.exe", "smime.p7m", "odd.exe"}
    assert len(found.opaque) == 3


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        (("Content-Type: application/x-msdownload",), "unnamed.exe"),
        (("Content-Type: text/javascript", "Content-Description: notes"), "unnamed.js"),
        (("Content-Type: application/x", "Content-Description: =?utf-8?Q?tool.exe?="), "tool.exe"),
        (("Content-Type: application/x", "Content-Location: https://example.org/a/tool.exe"), "tool.exe"),
        (("Content-Type: application/x", f"Content-Name: {'a' * 60_000}/tool.exe"), "tool.exe"),
    ],
)
def test_part_without_a_name_is_judged_by_what_programs_call_it(fields: tuple[str, ...], name: str) -> None:
    found = joined(map(files_of, parse(multipart(part("x", *fields))).root.walk()))
    assert name in {reading for each in found.names for reading in readings(each)}


def test_part_with_a_name_is_not_judged_by_its_type() -> None:
    found = parse(
        multipart(part("x", "Content-Type: application/x-msdownload; name=a.txt", "Content-Description: =?x?Q?a?="))
    )
    assert joined(map(files_of, found.root.walk())) == Files(names=("a.txt",))


def test_attached_messages_are_looked_into() -> None:
    inner = multipart(part("x", "Content-Type: text/plain; name=tool.exe"))
    deep = multipart(part(inner, "Content-Type: message/rfc822"), boundary="outer")
    names = files_in_attachments([Attachment(name="a.eml", type="Message/RFC822; x=y", content=deep)])
    assert names == Files(names=("tool.exe",))
    uploaded = Attachment(name="a.eml", type="message/rfc822", blob="b", size=9)
    odd = Attachment(name="a.eml", type="message/rfc822", content=mail("Content-Type: multipart/mixed"))
    assert len(files_in_attachments([odd]).opaque) == 1
    assert (kinds_of(uploaded), files_in_attachments([uploaded])) == (("an uploaded message",), Files())
    assert kinds_of(odd) == ()
    text = Attachment(name="a.txt", type="text/plain", content=b"begin 644 tool.exe\n")
    assert files_in_attachments([text]).names == ("tool.exe",)


EML = mail("Content-Type: application/octet-stream; name=tool.exe")


def eml(content: bytes, name: str = "a.eml", media_type: str = "application/octet-stream") -> bytes:
    encoded = base64.b64encode(content).decode()
    return mail(f"Content-Type: {media_type}; name={name}", "Content-Transfer-Encoding: base64", body=encoded)


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("a.eml", "application/octet-stream"), ("A.EML.", "application/x"), ("=?utf-8?Q?a=2Eeml?=", "text/plain")],
)
def test_message_that_only_its_name_shows_is_looked_into(name: str, media_type: str) -> None:
    assert "tool.exe" in files_of(parse(eml(EML, f'"{name}"', media_type)).root).names
    attached = Attachment(name=name, type=media_type, content=EML)
    assert files_in_attachments([attached]) == Files(names=("tool.exe",))
    uploaded = Attachment(name=name, type=media_type, blob="b", size=1_000_000)
    assert kinds_of(uploaded) == ("an uploaded message",)


def test_messages_by_name_within_each_other_are_looked_into_up_to_a_limit() -> None:
    deep = EML
    for _ in range(MAX_MESSAGE_FILES):
        deep = eml(deep)
    assert "tool.exe" in files_of(parse(deep).root).names
    too_deep = files_of(parse(eml(deep)).root)
    assert ("tool.exe" in too_deep.names, too_deep.opaque) == (False, ("a message in more than 3 others",))
    assert files_in_attachments([Attachment(name="a.eml", content=deep)]).opaque == too_deep.opaque


def test_message_by_name_that_programs_read_differently_cannot_be_looked_into() -> None:
    odd = mail("Content-Type: multipart/mixed")
    kinds = ("an attached message that mail programs read differently",)
    assert files_of(parse(eml(odd)).root).opaque == kinds
    assert files_in_attachments([Attachment(name="a.eml", content=odd)]).opaque == kinds


def test_file_with_another_name_is_not_read_as_a_message() -> None:
    assert files_of(parse(eml(EML, "a.eml.txt")).root).names == ("a.eml.txt",)
    assert files_in_attachments([Attachment(name="aeml", content=EML)]) == Files()
