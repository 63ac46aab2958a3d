"""Remove the quotation from a reply: the text of the mail that it answers (decision 0046).

Mail programs quote in three ways: lines that begin with `>`, below a line that says who wrote when; that line, with the whole
mail below it; the header of the mail, with the mail below it (Outlook). Text that is not certainly a quotation stays, because a
text that is too long does less harm than missing words of the writer. The time is proportional to the length of the text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, takewhile

MAX_LINES = 20_000
_MAX_LINE = 400
"""Characters of the longest line that can begin a quotation."""
_NAMES: Mapping[str, str] = {
    "from": "from von de da van från fra od от 差出人 送信者 发件人 寄件者 보낸사람 lähettäjä kimden",
    "sent": "sent date gesendet datum envoyé enviado fecha data inviato verzonden skickat sendt dato wysłano odesláno отправлено"
    " дата 送信日時 日時 日付 发送时间 日期 寄件日期 보낸날짜 날짜 lähetetty tarih",
    "to": "to an à a para aan till til do komu кому 宛先 收件人 收件者 받는사람 vastaanottaja kime",
    "subject": "subject betreff objet asunto assunto oggetto onderwerp ämne emne temat předmět тема 件名 主题 主旨 제목 aihe"
    " konu",
}
"""The names of header fields that mail programs write above a quoted mail, in the languages of their users."""
_FIELDS = {name: field for field, names in _NAMES.items() for name in names.split()}
_FIELD = re.compile(r"[ \t*_|]*([^\W\d_]{1,20}(?: [^\W\d_]{1,20}){0,2})[ \xa0*_]*[:：]")
_MAX_FIELDS = 8
"""Lines within which a header has three of its fields; other fields and blank lines lie between."""
_QUOTED = re.compile(r"[ \t]*[>＞]")
_RULE = re.compile(r"[ \t*]*(?:[-_=]{3,}|[-_]{2,}.{3,60}[-_]{2,})[ \t*]*")
"""A line above a quoted mail: `-----Original Message-----`."""
_WHEN = re.compile(r"\d{1,2}[:.]\d{2}|\d{4}|\d{1,2}[./-]\d{1,2}")
_CERTAIN = tuple(
    re.compile(text)
    for text in (r"(?<!\d)\d{1,2}[:.]\d{2}(?!\d)", r"(?<!\d)\d{4}(?!\d)", r"< ?[^\s<>@]{1,64}@[^\s<>@]{1,255}>")
)
"""A time, a year and an address: an attribution needs them if nothing below it is marked as quoted."""
_MAX_ATTRIBUTION = 3
"""Lines of `On Mon, Mar 2, 2026 at 9:14 AM Ada <ada@example.com> wrote:`, which mail programs wrap."""
_BLANKS = re.compile(r"\n{3,}")


def new_text(text: str) -> str:
    """Return the text that the writer of a reply added."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = _without_header([line.rstrip() for line in plain.split("\n", MAX_LINES)[:MAX_LINES]])
    quoted = next((at for at, line in enumerate(lines) if _QUOTED.match(line)), None)
    if quoted is None:
        start = _unquoted_mail(lines)
        kept: Sequence[str] = lines if start is None else lines[:start]
    else:
        before = lines[: _attribution(lines, quoted)]
        kept = [line for line in chain(before, lines[quoted:]) if not _QUOTED.match(line)]
    return _BLANKS.sub("\n\n", "\n".join(kept)).strip()


def _without_header(lines: Sequence[str]) -> Sequence[str]:
    """Cut where a mail's header begins: its From, with two of the other fields below it. Rules above it go too."""
    fields = [_field(line) for line in lines]
    for at, field in enumerate(fields):
        if field == "from" and len({each for each in fields[at : at + _MAX_FIELDS] if each}) >= len(_NAMES) - 1:
            end = at
            while end and (not lines[end - 1] or _is_rule(lines[end - 1])):
                end -= 1
            return lines[:end]
    return lines


def _field(line: str) -> str | None:
    found = _FIELD.match(line) if len(line) <= _MAX_LINE else None
    if found is None:
        return None
    name = found[1].lower()
    return _FIELDS.get(name.replace(" ", "")) or _FIELDS.get(name.partition(" ")[0])


def _is_rule(line: str) -> bool:
    return len(line) <= _MAX_LINE and _RULE.fullmatch(line) is not None


def _attribution(lines: Sequence[str], quoted: int) -> int:
    """Return where the attribution (who wrote, and when) of a quotation begins; the quotation's own place without one."""
    end = quoted
    while end and not lines[end - 1]:
        end -= 1
    start = next((begin for begin in _begins(lines, end) if _WHEN.search(_joined(lines, begin, end))), None)
    return quoted if start is None else start


def _unquoted_mail(lines: Sequence[str]) -> int | None:
    """Return where an attribution begins that is certain without quoted lines below it; None without one."""
    for end in range(1, len(lines) + 1):
        for begin in _begins(lines, end):
            text = _joined(lines, begin, end)
            if all(pattern.search(text) for pattern in _CERTAIN):
                return begin
    return None


def _begins(lines: Sequence[str], end: int) -> Iterator[int]:
    """Yield where an attribution that ends at a place can begin, the nearest first; nothing if no line ends with a colon."""
    if not end or not lines[end - 1].endswith((":", "：")):
        return
    places = range(end - 1, max(end - 1 - _MAX_ATTRIBUTION, -1), -1)
    yield from takewhile(lambda at: bool(lines[at]) and len(lines[at]) <= _MAX_LINE, places)


def _joined(lines: Sequence[str], begin: int, end: int) -> str:
    return " ".join(lines[begin:end])
