"""Change sample mails at random, and give them to every place that reads mail from outside.

The tests do this briefly. To search for longer, with other changes each time:

    python -m tests.mail_fuzzing --seconds 600 --entrance reader
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from relay.acceptance.draft import Limits
from relay.api.http import Request
from relay.api.problems import Problems
from relay.api.reading import addresses as api_addresses
from relay.api.reading.raw.message import parse_raw
from relay.cli.mail import sendmail
from relay.core.errors import Refusal
from relay.events.dsn import read_report
from relay.mime import addresses, pickup, raw, reader
from relay.submission.header import complete
from relay.submission.protocol.arguments import read_path
from standins.mime import read_mime
from tests.samples.mail.all import SAMPLES
from tests.work import counted

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = Limits()
_BOUNCES = Path(__file__).parent / "samples" / "bounces"
CORPUS = tuple(sample.raw for sample in SAMPLES) + tuple(path.read_bytes() for path in sorted(_BOUNCES.glob("*.eml")))
MAX_WORK = 100_000, 3_000
"""Instructions that any mail may take, and more for each of its bytes."""

_TOKENS = (
    b"\r\n", b"\n", b"\r", b"\r\r\n", b"\r\n\r\n", b"\0", b"\xff", b"\x1b$B", b"\x1b(B", b"--b\r\n", b"--b--\r\n", b":",
    b";", b",", b"<", b">", b"(", b")", b'"', b"\\", b"@", b" ", b"\t", b"=", b"=?", b"?=", b"=?utf-8?q?",
    b"=?iso-2022-jp?b?GyRC?=", b"%", b"*0*=", b"*=utf-8''%ff", b"boundary=b", b'boundary="', b"charset=", b"filename=",
    b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: message/rfc822\r\n",
    b"Content-Type: message/delivery-status\r\n", b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: x-uuencode\r\n", b"Date: Fri, 31 Dec 9999 23:59:59 -2359\r\n", b"Action: failed\r\n",
    b" folded\r\n", b"From: ", b"To: ", b"Reply-To: ", b"X-Receiver: ", b"..\r\n", b".\r\n", "ü㈱".encode(),
    b"\xed\xa0\x80", b"9" * 50,
)  # fmt: skip


def mutated(source: random.Random) -> bytes:
    """Return a sample mail with one to six changes: bytes lost, repeated, replaced, or taken from another sample."""
    mail = bytearray(source.choice(CORPUS))
    for _ in range(source.randint(1, 6)):
        start = source.randint(0, len(mail))
        end = min(len(mail), start + source.choice((0, 1, 4, 40, 400)))
        match source.randint(0, 5):
            case 0:
                del mail[start:end]
            case 1:
                mail[start:end] = source.choice(_TOKENS)
            case 2:
                mail[start:start] = source.choice(_TOKENS) * source.choice((1, 1, 3, 60))
            case 3:
                mail[start:end] = mail[start:end] * source.choice((2, 2, 30))
            case 4:
                other = source.choice(CORPUS)
                begin = source.randint(0, len(other))
                mail[start:end] = other[begin : begin + source.choice((10, 100, 1_000))]
            case _ if mail:
                mail[min(start, len(mail) - 1)] = source.randint(0, 255)
    return bytes(mail)


def _intake(mail: bytes) -> None:
    try:
        draft = parse_raw(Request(method="POST", path="/v1/messages", body=mail), now=NOW, limits=LIMITS)
    except Refusal:
        return
    reader.read(draft.message.raw or b"")
    head = raw.split(draft.message.raw or b"")[0]
    if sum(field.name == "from" for field in raw.fields_of(head)) != 1 or b"\nbcc:" in head.lower():
        raise AssertionError("an accepted message has one From and no Bcc")


def _addresses(mail: bytes) -> None:
    text = mail.decode("utf-8", "replace")[:5_000]
    addresses.mailboxes(text)
    addresses.spelling(text)
    api_addresses.read_mailboxes(text, "to", Problems(), LIMITS, limit=100)
    read_path(text)


def _smtp(mail: bytes) -> None:
    fields = raw.fields_of(raw.split(mail)[0])
    complete(fields, author="root", name="Ö", domain="example.com")


ENTRANCES: Mapping[str, Callable[[bytes], object]] = {
    "reader": reader.read,
    "raw intake": _intake,
    "bounce report": lambda mail: read_report(mail, NOW, provider="graph"),
    "addresses": _addresses,
    "pickup": pickup.read_pickup,
    "sendmail": lambda mail: sendmail.prepare(
        mail, sendmail.Arguments(reads_header=True), domain="example.com", user="ö"
    ),
    "smtp": _smtp,
    "stand-in": lambda mail: read_mime(mail, mail_id="m", accepted_at=NOW),
}
"""Every place that reads mail from outside, by name. Each must return, whatever the mail."""


@cache
def _warm(entrance: str) -> None:
    """Load the modules that an entrance loads when it first needs them: they are no work of a mail."""
    for mail in CORPUS:
        ENTRANCES[entrance](mail)


def check(entrance: str, mail: bytes) -> None:
    """Give a mail to an entrance. Raises if it raises, or takes too many instructions."""
    _warm(entrance)
    fixed, each = MAX_WORK
    with counted() as work:
        ENTRANCES[entrance](mail)
    if work.instructions > fixed + each * len(mail):
        raise AssertionError(f"{work.instructions} instructions for {len(mail)} bytes")


def main() -> None:
    """Search for the time that is given, and print what escapes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--entrance", choices=[*ENTRANCES, "all"], default="all")
    asked = parser.parse_args()
    names = list(ENTRANCES) if asked.entrance == "all" else [asked.entrance]
    source = random.Random()
    done, escaped, end = Counter[str](), Counter[str](), time.monotonic() + asked.seconds
    while time.monotonic() < end:
        mail = mutated(source)
        for name in names:
            done[name] += 1
            try:
                # Counting takes twenty times as long as reading.
                check(name, mail) if done[name] % 50 == 0 else ENTRANCES[name](mail)
            except Exception as error:
                escaped[name] += 1
                print(name, type(error).__name__, error, repr(mail[:2_000]), flush=True)
    print("mails:", dict(done), "escaped:", dict(escaped))


if __name__ == "__main__":
    main()
