"""Header fields: encoded words, folding, and addresses."""

import base64

from tests.samples.mail.sample import Sample, mail

_LONG = "株式会社日本電子計算機システム開発第一営業部"


def _word(text: str | bytes, label: str = "utf-8") -> str:
    octets = text.encode() if isinstance(text, str) else text
    return f"=?{label}?B?{base64.b64encode(octets).decode()}?="


def _from(name: str, value: str, *people: tuple[str, str], refused: str | None = "") -> Sample:
    return Sample(name=name, raw=mail(sender=value), people=(*people, ("", "ada@example.org")), refused=refused)


def _to(name: str, value: str, *people: tuple[str, str], refused: str | None = "") -> Sample:
    return Sample(name=name, raw=mail(to=value), people=(("", "shop@example.com"), *people), refused=refused)


def _subject(name: str, value: str | bytes, text: str, refused: str | None = "") -> Sample:
    octets = value.encode() if isinstance(value, str) else value
    return Sample(name=name, raw=mail(b"Subject: " + octets), subject=text, refused=refused)


SUBJECTS = (
    _subject("plain", "Your order", "Your order"),
    _subject("folded", "Your\r\n order", "Your order"),
    _subject("folded at a tab", "Your\r\n\torder", "Your\torder"),
    _subject("adjacent words", f"{_word('日本')} {_word('語')}", "日本語"),
    _subject("adjacent words on two lines", f"{_word('日本')}\r\n {_word('語')}", "日本語"),
    _subject("a character in two words", f"{_word('日本'.encode()[:4])} {_word('日本'.encode()[4:])}", "日本"),
    _subject("words of two charsets", f"{_word(b'caf' + bytes([0xE9]), 'iso-8859-1')} {_word('日本')}", "café日本"),
    _subject("a word and text", f"Re: {_word('日本')} x", "Re: 日本 x"),
    _subject("a word without blanks around it", f"a{_word('日本')}b", "a日本b"),
    _subject("Q with underscores", "=?utf-8?Q?a_b=20c?=", "a b c"),
    _subject("Q with a space", "=?utf-8?Q?a b?=", "a b"),
    _subject("a language", "=?utf-8*de?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
    _subject("base64 without padding", "=?utf-8?B?YQ?=", "a"),
    _subject("half a word", "=?utf-8?B?YQ", "=?utf-8?B?YQ"),
    _subject("UTF-8 as it is", "Grüße", "Grüße"),
    _subject("Latin-1 as it is", b"Gr\xfc\xdfe", "Grüße", refused="invalid_text"),
    _subject("empty", "", ""),
)
ADDRESSES = (
    _from("a name", "Ada Lovelace <ada@example.com>", ("Ada Lovelace", "ada@example.com")),
    _from("a quoted name", '"Lovelace, Ada" <ada@example.com>', ("Lovelace, Ada", "ada@example.com")),
    _from("escapes in a name", r'"Ada \"the\" L" <ada@example.com>', ('Ada "the" L', "ada@example.com")),
    _from("an apostrophe", "O'Brien <a@example.com>", ("O'Brien", "a@example.com")),
    _from("a comment for a name", "root@example.com (Cron Daemon)", ("Cron Daemon", "root@example.com")),
    _from("a comment with a comma", "a@example.com (Lovelace, Ada)", ("Lovelace, Ada", "a@example.com")),
    _from("a comment before", "(Ada) a@example.com", ("Ada", "a@example.com")),
    _from("a comment within a comment", "a@example.com (Ada (L))", ("Ada (L)", "a@example.com")),
    _from("a colon in a name", "Shop: Support <a@example.com>", ("Shop: Support", "a@example.com")),
    _from("a name in two words", f"{_word('日本')} {_word('語')} <a@example.com>", ("日本語", "a@example.com")),
    _from(
        "15 kanji and more", f"{_word(_LONG[:10])}\r\n {_word(_LONG[10:])} <a@example.com>", (_LONG, "a@example.com")
    ),
    _from(
        "a name with half a character",
        f"{_word(_LONG.encode()[:31])} {_word(_LONG.encode()[31:])} <a@example.com>",
        (_LONG, "a@example.com"),
    ),
    _from("a word with a comma", f"{_word('Ada, L')} <a@example.com>", ("Ada, L", "a@example.com")),
    _from("a word in quotes", f'"{_word("Zoë")}" <a@example.com>', ("Zoë", "a@example.com")),
    _from("UTF-8 as it is", "Zoë <a@example.com>", ("Zoë", "a@example.com")),
    _from("no blank", "Ada<a@example.com>", ("Ada", "a@example.com")),
    _from("only brackets", "<a@example.com>", ("", "a@example.com")),
    _from("blanks around @", "a @ example.com", ("", "a@example.com")),
    _from("a source route", "<@x.example,@y.example:a@example.com>", ("", "a@example.com")),
    _from("a trailing comma", "a@example.com,", ("", "a@example.com")),
    _from("an address as the name", '"a@example.com" <a@example.com>', ("a@example.com", "a@example.com")),
    _from("quotes in the local part", '"a b"@example.com', ("", '"a b"@example.com')),
    _from("quotes without need", '"ada"@example.com', ("", "ada@example.com")),
    _from("a carrier's address", "aaa..bb@docomo.ne.jp", ("", '"aaa..bb"@docomo.ne.jp')),
    _from("a carrier's address in quotes", '"xxx.yyy."@docomo.ne.jp', ("", '"xxx.yyy."@docomo.ne.jp')),
    _from("full-width letters", "ａｄａ@example.com", ("", "ada@example.com")),
    _from(
        "two authors",
        "a@example.com, b@example.com",
        ("", "a@example.com"),
        ("", "b@example.com"),
        refused="invalid_address",
    ),
    _from("no address", "Cron", refused="invalid_address"),
    _to("several", "a@example.com, B <b@example.com>", ("", "a@example.com"), ("B", "b@example.com")),
    _to("semicolons", "a@example.com; b@example.com", ("", "a@example.com"), ("", "b@example.com")),
    _to("a group", "Team: a@example.com, b@example.com;", ("", "a@example.com"), ("", "b@example.com")),
    _to("two groups", "A: a@example.com;, B: b@example.com;", ("", "a@example.com"), ("", "b@example.com")),
    _to("an empty group", "undisclosed-recipients:;", refused="no_recipients"),
    _to("an empty group and a comment", "undisclosed-recipients:; (hidden)", refused="no_recipients"),
    _to("empty elements", ",, a@example.com,,", ("", "a@example.com")),
    _to("folded", "a@example.com,\r\n b@example.com", ("", "a@example.com"), ("", "b@example.com")),
    _to("an unquoted comma", "Lovelace, Ada <a@example.com>", ("Ada", "a@example.com"), refused="invalid_address"),
    _to("a domain outside ASCII", "a@bücher.example", ("", "a@xn--bcher-kva.example")),
)
