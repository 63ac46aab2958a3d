"""Text under the labels that programs give it."""

import base64

from tests.samples.mail.sample import Sample, mail


def _labelled(label: str, octets: bytes, text: str) -> Sample:
    raw = mail(f"Content-Type: text/plain; charset={label}", "Content-Transfer-Encoding: 8bit", body=octets)
    return Sample(name=f"text in {label}", raw=raw, text=text, refused="")


def _subject(label: str, octets: bytes, text: str) -> Sample:
    word = f"=?{label}?B?{base64.b64encode(octets).decode()}?="
    return Sample(name=f"subject in {label}", raw=mail(f"Subject: {word}"), subject=text, refused="")


_ISO_2022_JP = b"\x1b$B-!-j\x1b(B and \x1b$BF|K\\8l\x1b(B"
_KANA = b"\x1b(I123\x1b(B"

CHARSETS = (
    _labelled("utf-8", "Grüße €".encode(), "Grüße €"),
    _labelled('"UTF-8"', "Grüße".encode(), "Grüße"),
    _labelled("utf8", "Grüße".encode(), "Grüße"),
    _labelled("us-ascii", b"Hello", "Hello"),
    _labelled("us-ascii", "Grüße".encode(), "Grüße"),
    _labelled("us-ascii", b"Gr\xfc\xdfe", "Grüße"),
    _labelled("iso-8859-1", b"Gr\xfc\xdfe \x80 \x93a\x94", "Grüße € “a”"),
    _labelled("latin1", b"caf\xe9", "café"),
    _labelled("iso-8859-15", b"\xa4", "€"),
    _labelled("iso-8859-2", b"\xb3\xf3d\xbc", "łódź"),
    _labelled("iso-8859-9", b"\xfe \x80", "ş €"),
    _labelled("windows-1250", b"\xb3\xf3d\x9f", "łódź"),
    _labelled("windows-1251", "Привет".encode("cp1251"), "Привет"),
    _labelled("windows-1252", b"\x80\x99", "€™"),
    _labelled("windows-1254", b"\xfe", "ş"),
    _labelled("koi8-r", "Привет".encode("koi8_r"), "Привет"),
    _labelled("koi8-u", "Київ".encode("koi8_u"), "Київ"),
    _labelled("iso-8859-7", "Αθήνα".encode("iso8859_7"), "Αθήνα"),
    _labelled("windows-1255", "שלום".encode("cp1255"), "שלום"),
    _labelled("iso-8859-8-i", "שלום".encode("iso8859_8"), "שלום"),
    _labelled("windows-1256", "سلام".encode("cp1256"), "سلام"),
    _labelled("tis-620", "ไทย".encode("cp874"), "ไทย"),
    _labelled("iso-2022-jp", _ISO_2022_JP, "①㈱ and 日本語"),
    _labelled("ISO-2022-JP", _KANA, "ｱｲｳ"),
    _labelled("iso-2022-jp", b"\x1b$BF|K\\8l\r\n\x1b(Bend", "日本語\r\nend"),
    _labelled("shift_jis", "①髙㈱ｱ".encode("cp932"), "①髙㈱ｱ"),
    _labelled("x-sjis", "①髙".encode("cp932"), "①髙"),
    _labelled("windows-31j", "①".encode("cp932"), "①"),
    _labelled("euc-jp", "日本語ｱ".encode("euc_jp") + b"\xad\xa1", "日本語ｱ①"),
    _labelled("gb2312", "€朱镕基".encode("gb18030"), "€朱镕基"),
    _labelled("gbk", "镕".encode("gbk") + "㐀".encode("gb18030"), "镕㐀"),
    _labelled("gb18030", "㐀".encode("gb18030"), "㐀"),
    _labelled("big5", "中文€".encode("cp950"), "中文€"),
    _labelled("euc-kr", "한국 뷁".encode("cp949"), "한국 뷁"),
    _labelled("ks_c_5601-1987", "뷁".encode("cp949"), "뷁"),
    _labelled("utf-16", "hi".encode("utf-16"), "hi"),
    _labelled("utf-7", b"Gr+APwA3w-e", "Grüße"),
    _labelled("x-unknown", "Grüße".encode(), "Grüße"),
    _labelled("x-unknown", b"Gr\xfc\xdfe", "Grüße"),
    _labelled("zip", b"not packed", "not packed"),
    _labelled("idna", b"xn--a", "xn--a"),
    _labelled('""', b"Hello", "Hello"),
    _labelled("utf-8", b"broken \xff end", "broken \ufffd end"),
    _labelled("utf-8 (Unicode)", "Grüße".encode(), "Grüße"),
    Sample(name="a NUL in a charset", raw=mail('Content-Type: text/plain; charset="a\0b"'), text="Hello\r\n"),
    Sample(name="no charset, UTF-8", raw=mail(body="Grüße"), text="Grüße", refused=""),
    Sample(name="no charset, Latin-1", raw=mail(body=b"Gr\xfc\xdfe"), text="Grüße", refused=""),
    Sample(name="a byte order mark", raw=mail("Content-Type: text/plain; charset=utf-8", body="\ufeffHi"), text="Hi"),
    _subject("utf-8", "Grüße".encode(), "Grüße"),
    _subject("iso-8859-1", b"\x80 5", "€ 5"),
    _subject("iso-2022-jp", _KANA, "ｱｲｳ"),
    _subject("iso-2022-jp", _ISO_2022_JP, "①㈱ and 日本語"),
    _subject("shift_jis", "①髙".encode("cp932"), "①髙"),
    _subject("gb2312", "镕".encode("gbk"), "镕"),
    _subject("x-unknown", b"abc", "abc"),
)
