"""`relay sendmail`: takes the place of /usr/sbin/sendmail for scripts and cron jobs, and posts to a relay.

Arguments and exit codes are those that programs count on: sendmail(8) of Sendmail and Postfix, and sysexits.h.
"""

import getpass
import sys
import uuid
from collections.abc import Sequence
from email import policy
from email.headerregistry import AddressHeader
from typing import Annotated

import msgspec
import typer

from relay.cli.mail.raw_mail import Meaning, meaning, post
from relay.cli.output import remote_of
from relay.cli.remote import RemoteError
from relay.core.model import Address
from relay.mime import raw
from relay.mime.fields import address_field, is_field_name

EX_OK, EX_USAGE, EX_DATAERR, EX_NOUSER, EX_TEMPFAIL, EX_NOPERM, EX_CONFIG = 0, 64, 65, 67, 75, 77, 78
"""sysexits.h; Python's `os` has them on Unix only."""
EXIT_CODES = {
    Meaning.LATER: EX_TEMPFAIL,
    Meaning.BROKEN: EX_NOPERM,
    Meaning.FORBIDDEN: EX_NOPERM,
    Meaning.NO_RECIPIENT: EX_NOUSER,
    Meaning.TOO_LARGE: EX_DATAERR,
    Meaning.WRONG: EX_DATAERR,
}
_WITH_VALUE = frozenset("BCFLNORVXfhopr")
"""Options whose value follows, in the same word or the next."""
_IGNORED = frozenset("ABCGLNORUVXehmnopv")
"""Options that concern a mail server's own queue and manners."""
_QUALIFIED = frozenset(("from", "sender", "reply-to", "to", "cc", "bcc"))
_RECIPIENTS = ("to", "cc", "bcc")


class UsageError(ValueError):
    """The arguments are none that sendmail has; the text says which."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments: `sender` is that of the envelope, empty for none; `reads_header` is -t, `ends_at_dot` the absence of -i."""

    recipients: tuple[str, ...] = ()
    sender: str | None = None
    full_name: str = ""
    reads_header: bool = False
    ends_at_dot: bool = True


def sendmail(
    context: typer.Context,
    arguments: Annotated[list[str] | None, typer.Argument(help="sendmail's options, and recipients.")] = None,
    domain: Annotated[
        str,
        typer.Option(
            "--domain", envvar="RELAY_MAIL_DOMAIN", help="What an address without a domain gets (root, from cron)."
        ),
    ] = "",
) -> None:
    """Take sendmail's place: a message with its header comes by the input.

    Knows -t (recipients from the header), -i and -oi (a lone dot does not end the message), -f and -r (envelope sender),
    -F (full name); other options of sendmail are taken and have no effect. Exit codes are those of sysexits.h: 0 accepted,
    64 usage, 65 message refused, 67 recipients refused, 75 try again later, 77 not allowed, 78 no key.

    Example: relay sendmail -t -i < mail.eml
    """
    try:
        asked = read_arguments(arguments or ())
        if not asked.recipients and not asked.reads_header:
            raise UsageError("name recipients, or give -t to take them from the header")
        content = sys.stdin.buffer.read()
        mail, recipients = prepared(content, asked, domain=domain, user=getpass.getuser())
        remote = remote_of(context)
        post(remote, mail, sender=qualified(asked.sender, domain), recipients=recipients, key=str(uuid.uuid4()))
    except UsageError as error:
        _end(f"sendmail: {error}", EX_USAGE, error)
    except RemoteError as error:
        is_unset = error.status == 0 and error.exit_code == 2
        _end(f"sendmail: {error}", EX_CONFIG if is_unset else EXIT_CODES[meaning(error)], error)


def read_arguments(arguments: Sequence[str]) -> Asked:
    """What sendmail's arguments ask for. Raises `UsageError`."""
    recipients: list[str] = []
    said: dict[str, str] = {}
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if word == "--":
            recipients += waiting
            break
        if not word.startswith("-") or word == "-":
            recipients.append(word)
            continue
        letter, value = word[1], word[2:]
        if letter == "b" and value not in ("", "m"):
            raise UsageError(f"-b{value} is for a mail server; this only hands in a message (-bm)")
        if letter not in _IGNORED | frozenset("bfrFti"):
            raise UsageError(f"there is no option -{letter}")
        if letter in _WITH_VALUE and not value:
            if not waiting:
                raise UsageError(f"-{letter} needs a value")
            value = waiting.pop(0)
        said |= _said(letter, value)
    return Asked(
        recipients=tuple(recipients),
        sender=said.get("f"),
        full_name=said.get("F", ""),
        reads_header="t" in said,
        ends_at_dot="i" not in said,
    )


def _said(letter: str, value: str) -> dict[str, str]:
    """What one option says; those without a value may stand in one word (-ti)."""
    if letter in "fr":
        return {"f": "" if value == "<>" else value}
    if letter == "o":
        return {"i": ""} if value == "i" else {}
    if letter in "ti":
        return dict.fromkeys([letter, *(other for other in value if other in "ti")], "")
    return {letter: value}


def prepared(content: bytes, asked: Asked, *, domain: str, user: str) -> tuple[bytes, list[str]]:
    """The message to post, and the envelope; no recipients when the header alone names them.

    A missing From is written, addresses without a domain get one, and what is no header belongs to the body.
    """
    head, body = _parted(_until_dot(content) if asked.ends_at_dot else content)
    fields = [_with_domain(field, domain) for field in raw.fields_of(head)]
    if not any(field.name == "from" for field in fields):
        sender = qualified(asked.sender or user, domain) or user
        if "@" in sender:
            line = address_field("From", [Address(email=sender, name=asked.full_name)])
            fields.insert(0, raw.Field(name="from", line=line))
    named = [qualified(address, domain) or address for address in asked.recipients]
    if asked.reads_header and named:
        named = [*(email for field in fields if field.name in _RECIPIENTS for email, _ in _people(field)), *named]
    return b"".join([*(field.line for field in fields), b"\r\n", body]), named


def qualified(address: str | None, domain: str) -> str | None:
    """An address with a domain, if there is one to give."""
    if not address or not domain or "@" in address:
        return address
    return f"{address}@{domain}"


def _parted(content: bytes) -> tuple[bytes, bytes]:
    """Header and body with CRLF: the first line that is no field begins the body, as sendmail has it."""
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if lines[0].startswith((b"From ", b">From ")):
        del lines[0]
    count = 0
    for line in lines:
        is_more = count > 0 and line[:1] in (b" ", b"\t") and line.strip()
        if not is_more and not (b":" in line and is_field_name(line.partition(b":")[0].decode("latin-1"))):
            break
        count += 1
    body = lines[count + 1 :] if count < len(lines) and not lines[count].strip() else lines[count:]
    return b"".join(line + b"\r\n" for line in lines[:count]), b"\r\n".join(body)


def _until_dot(content: bytes) -> bytes:
    kept = []
    for line in content.splitlines(keepends=True):
        if line.rstrip(b"\r\n") == b".":
            break
        kept.append(line)
    return b"".join(kept)


def _with_domain(field: raw.Field, domain: str) -> raw.Field:
    if not domain or field.name not in _QUALIFIED:
        return field
    people = _people(field)
    if all("@" in email for email, _ in people):
        return field
    written = [Address(email=qualified(email, domain) or email, name=name) for email, name in people]
    name = field.line.partition(b":")[0].decode("ascii")
    try:
        return raw.Field(name=field.name, line=address_field(name, written))
    except ValueError:
        return field  # the relay tells what is wrong with it


def _people(field: raw.Field) -> list[tuple[str, str]]:
    """Address and display name of everybody in a field; nobody when it cannot be read."""
    try:
        header = policy.default.header_factory(field.name, field.value.decode())
    except (ValueError, LookupError, AttributeError, TypeError):
        return []
    people = header.addresses if isinstance(header, AddressHeader) else ()
    return [(str(each.addr_spec), str(each.display_name)) for each in people]


def _end(text: str, code: int, error: Exception) -> None:
    typer.echo(text, err=True)
    raise typer.Exit(code) from error
