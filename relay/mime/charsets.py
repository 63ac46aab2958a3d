"""Decode text by the label of its charset, as mail programs and browsers do. Never raises.

Labels mean what the Encoding Standard says (encoding.spec.whatwg.org, section 4.2): mostly a larger charset of the same family,
because software labels its text too narrowly. Python's codecs follow the narrow standards, so ① in ISO-2022-JP, or € in
ISO-8859-1, would be lost.
"""

import re
from encodings.aliases import aliases

_SUPERSETS = {
    "ascii": "cp1252",
    "latin_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "cp936": "gb18030",
    "big5": "big5hkscs",
    "cp950": "big5hkscs",
    "euc_kr": "cp949",
    "cp154": "ptcp154",
    "cp10007": "mac_cyrillic",
}
"""The codec to use instead of each of these codecs of Python."""
_LABELS = {
    "x_sjis": "cp932",
    "x_ms_cp932": "cp932",
    "cp943": "cp932",
    "cp943c": "cp932",
    "x_gbk": "gb18030",
    "x_euc_jp": "euc_jp",
    "cp51932": "euc_jp",
    "eucjp_ms": "euc_jp",
    "cp50220": "iso2022_jp",
    "cp50221": "iso2022_jp",
    "iso_2022_jp_ms": "iso2022_jp",
    "csiso2022jp": "iso2022_jp",
    "x_x_big5": "big5hkscs",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "unicode_1_1_utf_8": "utf_8",
    "utf8mb4": "utf_8",
    "x_mac_cyrillic": "mac_cyrillic",
    "x_mac_roman": "mac_roman",
    "dos_874": "cp874",
    "windows_874": "cp874",
    "ansi_x3_110_1983": "cp1252",
    "unicode": "utf_16",
    "ks_c_5601": "cp949",
    "windows_949": "cp949",
}
"""Labels in use that Python does not know."""
_CODECS = frozenset((
    "utf_8", "utf_8_sig", "utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_7", "iso2022_jp", "iso2022_jp_1", "iso2022_jp_2",
    "iso2022_jp_3", "iso2022_jp_ext", "iso2022_jp_2004", "iso2022_kr", "euc_jp", "euc_jis_2004", "euc_jisx0213",
    "shift_jis_2004", "shift_jisx0213", "cp932", "gb18030", "hz", "big5hkscs", "cp949", "johab", "koi8_r", "koi8_u", "koi8_t",
    "cp437", "cp850", "cp852", "cp855", "cp858", "cp866", "cp874", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255",
    "cp1256", "cp1257", "cp1258", "iso8859_2", "iso8859_3", "iso8859_4", "iso8859_5", "iso8859_6", "iso8859_7", "iso8859_8",
    "iso8859_10", "iso8859_13", "iso8859_14", "iso8859_15", "iso8859_16", "mac_roman", "mac_cyrillic", "mac_greek",
    "mac_latin2", "mac_turkish", "ptcp154", "kz1048",
))  # fmt: skip
"""Codecs that decode text in linear time. Python has others (`zip`, `idna`, `punycode`), which a label must not select."""
_MAX_OWN = 1_000_000
"""Maximum of bytes that this module decodes itself. Python's codecs, for longer texts, lack some characters, but are a hundred
times as fast."""
_NOT_WORD = re.compile(r"[^a-z0-9]+")
_ESCAPE = re.compile(rb"\x1b(\([BJI]|\$[@B]|\$\([BD])")
_EUC = re.compile(
    rb"[\x00-\x7f]+|(?:[\xa1-\xfe][\xa1-\xfe])+|(?:\x8e[\xa1-\xdf])+|(?:\x8f[\xa1-\xfe]{2})+|.", re.DOTALL
)


def decode(content: bytes, label: str) -> str:
    """Decode text. Invalid bytes become U+FFFD. Without a known label, the text is UTF-8, or else Windows-1252."""
    codec = codec_of(label)
    if codec in ("", "cp1252"):
        return _western(content, is_labelled=codec != "" and not label.lower().endswith("ascii"))
    if codec == "iso2022_jp" and len(content) <= _MAX_OWN:
        return _iso_2022_jp(content)
    if codec == "euc_jp" and len(content) <= _MAX_OWN:
        return "".join(_euc_run(run[0]) for run in _EUC.finditer(content))
    if codec == "big5hkscs":
        # Hong Kong's and Microsoft's additions are in two codecs of Python.
        readings = [content.decode(each, "replace") for each in (codec, "cp950")]
        return min(readings, key=lambda text: text.count("\ufffd"))
    try:
        text = content.decode(codec, "replace")
    except ValueError:  # Some codecs raise for text that they cannot replace, such as half a surrogate pair.
        text = content.decode("cp1252", "replace")
    return text.removeprefix("\ufeff").encode("utf-8", "replace").decode()


def codec_of(label: str) -> str:
    """Return the name of Python's codec for a charset's label; empty for a label that is not known."""
    name = _NOT_WORD.sub("_", label.lower()).strip("_")
    name = _LABELS.get(name) or aliases.get(name, name)
    name = _SUPERSETS.get(name, name)
    return name if name in _CODECS else ""


def _western(content: bytes, *, is_labelled: bool) -> str:
    """Decode UTF-8 if possible, unless the label says otherwise; else decode Windows-1252."""
    if not is_labelled:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            pass
    # The five bytes that Windows-1252 does not define are control characters.
    return content.decode("cp1252", "surrogateescape").translate(_C1)


_C1 = {0xDC00 + octet: octet for octet in range(0x80, 0xA0)}


def _iso_2022_jp(content: bytes) -> str:
    """Decode ISO-2022-JP with the JIS X 0208 of Windows-31J, which has the characters of NEC and IBM that mail programs write."""
    pieces = _ESCAPE.split(content)
    text = [_western(pieces[0], is_labelled=False)]
    for mode, run in zip(pieces[1::2], pieces[2::2], strict=True):
        if mode == b"(I":
            text.append(bytes(octet | 0x80 for octet in run if octet > 0x20).decode("cp932", "replace"))
        elif mode in (b"$@", b"$B", b"$(B"):
            text.append(_double_byte(run))
        elif mode == b"$(D":
            text.append(b"".join(b"\x8f" + pair for pair in _pairs(run)).decode("euc_jp", "replace"))
        else:
            text.append(_western(run, is_labelled=False))
    return "".join(text)


def _double_byte(run: bytes) -> str:
    """Decode pairs of JIS X 0208. Line ends between them are kept: some programs leave out the escape before a line end."""
    lines = re.split(rb"([\r\n]+)", run)
    return "".join(line.decode() if line[:1] in (b"\r", b"\n") else _jis(_pairs(line)) for line in lines)


def _pairs(run: bytes) -> list[bytes]:
    """Return pairs of bytes with the high bit set, as in EUC-JP. A lone byte at the end is dropped."""
    high = bytes(octet | 0x80 for octet in run)
    return [high[at : at + 2] for at in range(0, len(high) - 1, 2)]


def _euc_run(run: bytes) -> str:
    if run[0] < 0x80:
        return run.decode()
    if run[0] == 0x8E and len(run) > 1:
        return run[1::2].decode("cp932", "replace")
    if run[0] == 0x8F and len(run) > 1:
        return run.decode("euc_jp", "replace")
    return _jis([run[at : at + 2] for at in range(0, len(run), 2)]) if len(run) > 1 else "\ufffd"


def _jis(pairs: list[bytes]) -> str:
    return b"".join(map(_shifted, pairs)).decode("cp932", "replace")


def _shifted(pair: bytes) -> bytes:
    """Convert a pair of EUC-JP to Shift_JIS (JIS X 0208 annex 1)."""
    row, cell = pair[0] - 0xA0, pair[1] - 0xA0
    if not (1 <= row <= 94 and 1 <= cell <= 94):
        return b"?"
    lead = (row + 1) // 2 + (0x80 if row <= 62 else 0xC0)
    trail = cell + 0x9E if row % 2 == 0 else cell + (0x3F if cell <= 63 else 0x40)
    return bytes((lead, trail))
