"""No text in a message can become a header field."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.core.model import Address, Attachment
from relay.mime import build
from relay.mime.fields import addr_spec, clean, holds_address, text_field
from tests.depth import examples
from tests.unit.mime.mime_reading import STANDARD, fields, people, read, send_request

# Letters of every kind, and what tries to end a line, a quoted string or an encoded word. Lone surrogates are refused with the
# JSON that holds them.
NASTY = st.text(
    st.one_of(
        st.sampled_from('\r\n\0\t \x0b\x0c\x1c\x85\u2028",;:<>@()[]\\=?_.'), st.characters(exclude_categories=["Cs"])
    ),
    max_size=120,
)
BREAKOUTS = st.sampled_from(
    [
        "a\r\nBcc: eve@example.com",
        "a\nBcc: eve@example.com",
        "a\rBcc: eve@example.com",
        "a\r\n\r\n<body>",
        "=?utf-8?q?a=0D=0ABcc=3A_eve=40example.com?=",
        'a" <eve@example.com>, "b',
        "a\u2028Bcc: eve@example.com",
        "a\x85Bcc: eve@example.com",
    ]
)
TEXTS = st.one_of(NASTY, BREAKOUTS)


@given(texts=st.tuples(TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS))
@settings(max_examples=examples(100))
@example(texts=("", "", "", "", "", ""))
@example(texts=("", "", "", "=??Q?=0A0=3A", "", ""))
@example(texts=("", "", "", "<>", "", ""))
@example(texts=("", "", "", "\u00a0", "", ""))
@example(texts=("", "", "", "", 'text/calendar; method="=??Q?=0A0=3A"', ""))
def test_no_text_starts_another_field(texts: tuple[str, str, str, str, str, str]) -> None:
    name, subject, header, filename, kind, content_id = texts
    person = Address(email="ann@example.com", name=name)
    inline = Attachment(name=filename, type=kind, content=b"1", disposition="inline", content_id=content_id)
    file = Attachment(name=filename, type=kind, content=b"2", content_id=content_id)
    whole = send_request(
        sender=person,
        to=(person, Address(email="bob@example.com", name=name)),
        reply_to=(person,),
        subject=subject,
        headers={"X-Custom": header},
        html="<p>",
        attachments=(inline, file),
    )
    content = build.build(whole)
    message = read(content)
    assert fields(content) == [
        *["From", "Reply-To", "To", "Subject", "Date", "Message-ID", "X-Relay-Id", "X-Custom"],
    ]
    assert [email for _, email in people(message, "From")] == ["ann@example.com"]
    assert [email for _, email in people(message, "To")] == ["ann@example.com", "bob@example.com"]
    assert message["Subject"] == clean(subject)
    assert message["X-Custom"] == clean(header)
    # Not get_filename(): it takes angle brackets around a name for quotes.
    names = [part["Content-Disposition"].params.get("filename") for part in message.iter_attachments()]
    # How much of the space around a name is kept, the two forms of the parameter (RFC 2231) differ in.
    assert all(found is None or found.strip() == clean(filename).strip() for found in names)
    allowed = {"content-type", "content-transfer-encoding", "content-disposition", "content-id", "mime-version"}
    leaves = [part for part in message.walk() if not part.is_multipart()]
    assert len(leaves) == 4
    assert all(name.lower() in allowed for part in leaves for name in part)


@given(name=NASTY)
@settings(max_examples=examples(100))
def test_display_name_is_read_back(name: str) -> None:
    message = read(build.build(send_request(sender=Address(email="ann@example.com", name=name))))
    # An address in a name is not written in encoded words.
    allowed = {clean(name), clean(name).replace("@", "＠")} if holds_address(clean(name)) else {clean(name)}
    [(shown, email)] = people(message, "From")
    assert shown in allowed
    assert email == "ann@example.com"


@given(email=st.one_of(NASTY, st.builds(lambda local, domain: f"{local}@{domain}", NASTY, NASTY)))
@settings(max_examples=examples(100))
def test_any_address_is_refused_or_stays_one_address(email: str) -> None:
    try:
        content = build.build(send_request(to=(Address(email=email),)))
    except ValueError:
        return
    assert fields(content) == STANDARD
    assert content.count(b"@" + addr_spec(email).rpartition("@")[2].encode()) >= 1


@given(text=TEXTS)
@settings(max_examples=examples(100))
def test_any_header_stays_one_field(text: str) -> None:
    lines = text_field("X-A", text).split(b"\r\n")
    assert lines[-1] == b""
    assert all(line.startswith(b" ") and line.strip() for line in lines[1:-1])
    assert b"\n" not in b"".join(lines)
    assert b"\r" not in b"".join(lines)
