"""Reading files of pickup folders: the envelope in the header, and doubled dots."""

import pytest

from relay.mime.pickup import PickupMail, read_pickup

HEAD = b"From: shop@example.com\r\nTo: ada@example.org\r\nSubject: x\r\n"


def test_envelope_is_read_and_its_fields_are_removed() -> None:
    raw = b"X-Sender: bounces@example.com\r\nX-Receiver: ada@example.org\r\nX-Receiver: eve@example.org\r\n"
    assert read_pickup(raw + HEAD + b"\r\nHi\r\n") == PickupMail(
        sender="bounces@example.com",
        recipients=("ada@example.org", "eve@example.org"),
        mail=HEAD + b"\r\nHi\r\n",
    )


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("<ada@example.org>", "ada@example.org"),
        ("<ada@example.org> NOTIFY=NEVER ORcpt=rfc822;ada@example.org", "ada@example.org"),
        ("ada@example.org NOTIFY=FAILURE", "ada@example.org"),
        ('"a b"@example.org', '"a b"@example.org'),
        ("aaa..bb@docomo.ne.jp", '"aaa..bb"@docomo.ne.jp'),
    ],
)
def test_address_is_read_without_its_parameters(value: str, address: str) -> None:
    assert read_pickup(f"X-Receiver: {value}\r\n".encode() + HEAD + b"\r\n").recipients == (address,)


def test_empty_sender_differs_from_no_sender() -> None:
    assert read_pickup(b"X-Sender: <>\r\n" + HEAD + b"\r\n").sender == ""
    assert read_pickup(HEAD + b"\r\n").sender is None


@pytest.mark.parametrize(
    ("body", "mail"),
    [
        (b"..\r\n..a\r\nb.c\r\n", b".\r\n.a\r\nb.c\r\n"),
        (b"..a\r\n.\r\n", b".a\r\n"),
        (b"..a\r\n.b\r\n", b"..a\r\n.b\r\n"),
        (b"Hi\n..a\n", b"Hi\r\n.a\r\n"),
    ],
)
def test_doubled_dots_become_one_unless_a_line_shows_otherwise(body: bytes, mail: bytes) -> None:
    assert read_pickup(b"X-Receiver: a@example.org\r\n" + HEAD + b"\r\n" + body).mail == HEAD + b"\r\n" + mail


def test_file_without_an_envelope_keeps_its_dots_and_its_header() -> None:
    assert read_pickup(HEAD + b"\r\n..a\r\n") == PickupMail(mail=HEAD + b"\r\n..a\r\n")


def test_fields_of_the_replay_folder_are_removed_with_its_envelope() -> None:
    replay = b"X-CreatedBy: MSExchange15\r\nX-HeloDomain: web1.corp.example\r\nX-SourceIPAddress: 10.0.0.4\r\n"
    replay += b"X-ExtendedProps: BQBjAAoA\r\nX-ExtendedMessageProps: BQBjAAoA\r\nX-EndOfInjectedXHeaders: 151\r\n"
    sender = b"X-Receiver: <ada@example.org> NOTIFY=SUCCESS,FAILURE ORcpt=rfc822;ada@example.org\r\n"
    found = read_pickup(sender + replay + HEAD + b"\r\nHi\r\n")
    assert (found.mail, found.recipients) == (HEAD + b"\r\nHi\r\n", ("ada@example.org",))
    assert read_pickup(replay + HEAD + b"\r\nHi\r\n").mail == replay + HEAD + b"\r\nHi\r\n"
