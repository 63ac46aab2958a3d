"""Parts: how they are divided, encoded and named, also wrongly."""

import base64

from tests.samples.mail.sample import Sample, mail, multipart, part

_TEXT = part("Hi", "Content-Type: text/plain")
_PDF = part(base64.b64encode(b"%PDF"), "Content-Type: application/pdf; name=a.pdf", "Content-Transfer-Encoding: base64")
_FILE = ("a.pdf", "application/pdf", b"%PDF")
_INNER = b"Subject: inner\r\n\r\nforwarded"


def _named(name: str, disposition: str, file: str, refused: str = "") -> Sample:
    raw = multipart(_TEXT, part("x", "Content-Type: application/octet-stream", f"Content-Disposition: {disposition}"))
    return Sample(name=name, raw=raw, text="Hi", files=[(file, "application/octet-stream", b"x")], refused=refused)


def _typed(name: str, value: str, refused: str = "ambiguous_part", text: str | None = None) -> Sample:
    raw = mail(f"Content-Type: {value}", body=b"--b\r\n\r\nhi\r\n--b--\r\n")
    return Sample(name=name, raw=raw, refused=refused, text=text)


STRUCTURE = (
    Sample(name="no body", raw=mail(body=""), text="", files=[], refused=""),
    Sample(
        name="text and HTML",
        raw=multipart(_TEXT, part("<p>Hi", "Content-Type: text/html"), kind="alternative"),
        text="Hi",
        html="<p>Hi",
        files=[],
        refused="",
    ),
    Sample(name="only HTML", raw=mail("Content-Type: text/html", body="<p>Hi"), html="<p>Hi", files=[], refused=""),
    Sample(name="a file", raw=multipart(_TEXT, _PDF), text="Hi", files=[_FILE], refused=""),
    Sample(
        name="a preamble and an epilogue",
        raw=multipart(_TEXT).replace(b"\r\n\r\n--b", b"\r\n\r\npre\r\n--b") + b"end",
        text="Hi",
        refused="",
    ),
    Sample(name="LF only", raw=multipart(_TEXT, _PDF).replace(b"\r\n", b"\n"), text="Hi", files=[_FILE], refused=""),
    Sample(name="CR only", raw=multipart(_TEXT, _PDF).replace(b"\r\n", b"\r"), text="Hi", files=[_FILE], refused=""),
    Sample(name="no closing boundary", raw=multipart(_TEXT, _PDF).replace(b"--b--", b""), text="Hi", refused=""),
    Sample(
        name="blanks after a boundary",
        raw=multipart(_TEXT, _PDF).replace(b"--b\r\n", b"--b  \r\n"),
        files=[_FILE],
        refused="",
    ),
    Sample(
        name="a boundary like another",
        raw=multipart(_TEXT, part("--bb\r\nx"), _PDF),
        files=[(None, "text/plain", b"--bb\r\nx"), _FILE],
        refused="",
    ),
    Sample(
        name="an attached message",
        raw=multipart(_TEXT, part(_INNER, "Content-Type: message/rfc822")),
        text="Hi",
        files=[(None, "message/rfc822", _INNER)],
        refused="",
    ),
    Sample(
        name="an attached message in base64",
        raw=multipart(
            _TEXT, part(base64.b64encode(_INNER), "Content-Type: message/rfc822", "Content-Transfer-Encoding: base64")
        ),
        files=[(None, "message/rfc822", _INNER)],
        refused="",
    ),
    Sample(
        name="a digest",
        raw=multipart(part(_INNER), kind="digest"),
        files=[(None, "message/rfc822", _INNER)],
        refused="",
    ),
    Sample(
        name="a related multipart without parts",
        raw=mail("Content-Type: multipart/related; boundary=b", body="nothing"),
        text="nothing",
        files=[],
        refused="",
    ),
    Sample(
        name="a multipart without a boundary",
        raw=mail("Content-Type: multipart/mixed", body="nothing"),
        text="nothing",
        refused="ambiguous_part",
    ),
    Sample(
        name="a text attachment first",
        raw=multipart(part("x", "Content-Disposition: attachment; filename=x.txt"), _TEXT),
        text="Hi",
        files=[("x.txt", "text/plain", b"x")],
        refused="",
    ),
    Sample(
        name="quoted-printable",
        raw=mail("Content-Transfer-Encoding: quoted-printable", body="Gr=C3=BC=C3=9F=\r\ne"),
        text="Grüße",
        refused="",
    ),
    Sample(
        name="an equals sign at the end",
        raw=mail("Content-Transfer-Encoding: quoted-printable", body="a=zz="),
        text="a=zz",
        refused="",
    ),
    Sample(
        name="base64 with noise", raw=mail("Content-Transfer-Encoding: base64", body="SG*k=\r\n"), text="Hi", refused=""
    ),
    Sample(name="base64 cut off", raw=mail("Content-Transfer-Encoding: base64", body="SGkgd"), refused="", text="Hi "),
    Sample(
        name="uuencode",
        raw=mail("Content-Transfer-Encoding: x-uuencode", body=b'begin 644 a\r\n"2&D \r\n`\r\nend\r\n'),
        text="Hi",
    ),
    Sample(
        name="an unknown transfer encoding",
        raw=mail("Content-Transfer-Encoding: x-own", body="Hi"),
        text="Hi",
        refused="",
    ),
    Sample(
        name="a body without an empty line",
        raw=b"From: shop@example.com\r\nno field\r\nHi",
        text="no field\r\nHi",
    ),
    Sample(
        name="an mbox line first",
        raw=b"From shop Thu Jan 1 00:00:00 2026\r\n" + mail(),
        text="Hello\r\n",
        refused="invalid_header_name",
    ),
    Sample(name="a byte order mark first", raw=b"\xef\xbb\xbf" + mail(), text="Hello\r\n", refused=""),
    Sample(name="no header", raw=b"\r\nHello", text="Hello"),
    Sample(name="nothing", raw=b"", text=""),
    _named("a name", "attachment; filename=a.txt", "a.txt"),
    _named("a name with blanks", 'attachment; filename="annual report.pdf"', "annual report.pdf"),
    _named("a name with blanks and no quotes", "attachment; filename=annual report.pdf", "annual report.pdf"),
    _named("a name with a semicolon", 'attachment; filename="a;b.txt"', "a;b.txt"),
    _named("a name in RFC 2231", "attachment; filename*=utf-8''%E8%AB%8B%E6%B1%82.pdf", "請求.pdf"),
    _named("a name in pieces", "attachment; filename*0*=utf-8''%E8%AB; filename*1*=%8B.pdf", "請.pdf"),
    _named(
        "pieces with and without percent signs", "attachment; filename*0*=utf-8''%E8%AB%8B; filename*1=.pdf", "請.pdf"
    ),
    _named("a name in both forms", "attachment; filename=x.pdf; filename*=utf-8''%E8%AB%8B.pdf", "請.pdf"),
    _named("a name in an encoded word", 'attachment; filename="=?utf-8?B?6KuL?=.pdf"', "請.pdf"),
    _named("a name in two encoded words", 'attachment; filename="=?utf-8?B?6KuL?= =?utf-8?B?6KuL?="', "請請"),
    _named("a name in UTF-8", "attachment; filename=請.pdf", "請.pdf"),
    _named("a trailing semicolon", "attachment; filename=a.txt;", "a.txt"),
    _named("a name in upper case", "ATTACHMENT; FILENAME=a.txt", "a.txt"),
    _named("pieces that do not begin at 0", "attachment; filename*1*=b.txt", "b.txt", "ambiguous_part"),
    _named("an unclosed quote", 'attachment; filename="a.txt', "a.txt", "ambiguous_part"),
    _named("text after a quote", 'attachment; filename="a.txt".exe', '"a.txt".exe', "ambiguous_part"),
    _typed("a comment after a parameter", "multipart/mixed; boundary=b; x=y (z)", refused="", text="hi"),
    _typed("a comment before the type", "(x) multipart/mixed; boundary=b", text="hi"),
    _typed("a comment after the type", "multipart/mixed (x); boundary=b", text="hi"),
    _typed("an unclosed quote in the boundary", 'multipart/mixed; boundary="b'),
    _typed("two boundaries", "multipart/mixed; boundary=b; boundary=c"),
    _typed("a boundary in RFC 2231", "multipart/mixed; boundary*=utf-8''b"),
    _typed("a boundary with a comment", "multipart/mixed; boundary=b (x)"),
    _typed("pieces beside a whole", "multipart/mixed; boundary=b; x*=a; x*1=b", text="hi"),
    _typed("no subtype", "text", text="--b\r\n\r\nhi\r\n--b--\r\n"),
    Sample(
        name="a multipart in base64",
        raw=multipart(_TEXT, fields=["Content-Transfer-Encoding: base64"]),
        refused="ambiguous_part",
    ),
    Sample(
        name="parts after the end",
        raw=multipart(_TEXT) + b"--b\r\n\r\nmore\r\n--b--\r\n",
        text="Hi",
        refused="ambiguous_part",
    ),
    Sample(
        name="a blank before a colon",
        raw=multipart(_TEXT, part("x", "Content-Disposition : attachment; filename=a.exe")),
        files=[("a.exe", "text/plain", b"x")],
        refused="ambiguous_part",
    ),
    Sample(
        name="a line before a field",
        raw=multipart(_TEXT, part("x", "no field", "Content-Disposition: attachment; filename=a.exe")),
        refused="ambiguous_part",
    ),
    Sample(
        name="a field twice in a part",
        raw=multipart(_TEXT, part("x", "Content-Type: text/plain", "Content-Type: text/html")),
        refused="duplicate_header",
    ),
)
