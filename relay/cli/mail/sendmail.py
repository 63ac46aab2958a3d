"""`relay sendmail`: replace /usr/sbin/sendmail for scripts and cron jobs, and post to a relay.

Arguments follow sendmail(8) of Sendmail and Postfix; exit codes follow sysexits.h.
"""

import getpass
import re
import sys
import uuid
from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from relay.cli.mail.raw_mail import post, refusal_kind
from relay.cli.output import remote_of
from relay.cli.remote import RemoteError
from relay.mime import raw
from relay.mime.fields import is_field_name
from relay.submission.header import complete, mailboxes_of, qualify
from relay.submission.refusals import RefusalKind

EX_OK, EX_USAGE, EX_DATAERR, EX_NOUSER, EX_TEMPFAIL, EX_NOPERM, EX_CONFIG = 0, 64, 65, 67, 75, 77, 78
"""From sysexits.h; Python's `os` has them on Unix only."""
EXIT_CODES = {
    RefusalKind.RETRY: EX_TEMPFAIL,
    RefusalKind.NO_ACCESS: EX_NOPERM,
    RefusalKind.FORBIDDEN: EX_NOPERM,
    RefusalKind.BAD_RECIPIENT: EX_NOUSER,
    RefusalKind.TOO_LARGE: EX_DATAERR,
    RefusalKind.INVALID: EX_DATAERR,
}
_WITH_VALUE = frozenset("BCFLNORVXfhopr")
"""Options with a value, in the same argument or the next."""
_IGNORED = frozenset("ABCGLNORUVXehmnopv")
"""Options that configure a mail server's queue and behavior."""
_LINE_END = re.compile(rb"\r{1,2}\n|\n|\r")
"""Programs that write CRLF to a text stream end lines with CR CR LF."""
_RECIPIENTS = ("to", "cc", "bcc")


class UsageError(ValueError):
    """sendmail has no such argument, or does not support it. The text names it."""


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """The parsed arguments. `sender` is the envelope sender, empty for none; `reads_header` is -t; -i clears `ends_at_dot`."""

    recipients: tuple[str, ...] = ()
    sender: str | None = None
    full_name: str = ""
    reads_header: bool = False
    ends_at_dot: bool = True


def sendmail(
    context: typer.Context,
    arguments: Annotated[list[str] | None, typer.Argument(help="Options of sendmail, and recipients.")] = None,
    domain: Annotated[
        str,
        typer.Option(
            "--domain",
            envvar="RELAY_MAIL_DOMAIN",
            help="The domain to add to addresses and hosts without one (cron's root).",
        ),
    ] = "",
) -> None:
    """Send a message, with its header, from stdin: a replacement for /usr/sbin/sendmail.

    Supports -t (recipients from the header), -i and -oi (a lone dot does not end the message), -f and -r (envelope
    sender) and -F (full name); ignores other options of sendmail. Exits as in sysexits.h: 0 accepted, 64 usage,
    65 message refused, 67 recipients refused, 75 retry later, 77 not allowed, 78 no key.

    Example: relay sendmail -t -i < mail.eml
    """
    try:
        parsed = read_arguments(arguments or ())
        if not parsed.recipients and not parsed.reads_header:
            raise UsageError("no recipients; name them, or give -t to take them from the header")
        content = sys.stdin.buffer.read()
        mail, recipients = prepare(content, parsed, domain=domain, user=getpass.getuser())
        remote = remote_of(context)
        post(
            remote,
            mail,
            sender=parsed.sender and qualify(parsed.sender, domain),
            recipients=recipients,
            key=str(uuid.uuid4()),
        )
    except UsageError as error:
        _end(f"sendmail: {error}", EX_USAGE, error)
    except RemoteError as error:
        is_unset = error.status == 0 and error.exit_code == 2
        _end(f"sendmail: {error}", EX_CONFIG if is_unset else EXIT_CODES[refusal_kind(error)], error)


def read_arguments(arguments: Sequence[str]) -> Arguments:
    """Parse sendmail's arguments. Raises `UsageError`."""
    recipients: list[str] = []
    options: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            recipients += rest
            break
        if not word.startswith("-") or word == "-":
            recipients.append(word)
            continue
        letter, value = word[1], word[2:]
        if letter == "b" and value not in ("", "m"):
            raise UsageError(f"-{letter}{value} is not supported; only -bm (send a message)")
        if letter not in _IGNORED | frozenset("bfrFti"):
            raise UsageError(f"unknown option -{letter}")
        if letter in _WITH_VALUE and not value:
            if not rest:
                raise UsageError(f"-{letter} needs a value")
            value = rest.pop(0)
        options |= _option(letter, value)
    return Arguments(
        recipients=tuple(recipients),
        sender=options.get("f"),
        full_name=options.get("F", ""),
        reads_header="t" in options,
        ends_at_dot="i" not in options,
    )


def _option(letter: str, value: str) -> dict[str, str]:
    """Return the option and its value. Options without a value may be joined (-ti)."""
    if letter in "fr":
        return {"f": "" if value == "<>" else value}
    if letter == "o":
        return {"i": ""} if value == "i" else {}
    if letter in "ti":
        return dict.fromkeys([letter, *(other for other in value if other in "ti")], "")
    return {letter: value}


def prepare(content: bytes, arguments: Arguments, *, domain: str, user: str) -> tuple[bytes, list[str]]:
    """Return the message to post and its envelope recipients; none when only the header names them.

    Adds a missing From and missing domains. The first line that is not a header field begins the body.
    """
    head, body = _split(_until_dot(content) if arguments.ends_at_dot else content)
    fields = complete(raw.fields_of(head), author=arguments.sender or user, name=arguments.full_name, domain=domain)
    named = [qualify(address, domain) for address in arguments.recipients]
    if arguments.reads_header and named:
        shown = (field for field in fields if field.name in _RECIPIENTS)
        named = [*(each.email for field in shown for each in mailboxes_of(field)), *named]
    return b"".join([*(field.line for field in fields), b"\r\n", body]), named


def _split(content: bytes) -> tuple[bytes, bytes]:
    """Split header and body, with CRLF. As in sendmail, the first line that is not a field begins the body."""
    lines = _LINE_END.split(content)
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


def _end(text: str, code: int, error: Exception) -> None:
    typer.echo(text, err=True)
    raise typer.Exit(code) from error
