"""Posting a finished message, and what a refusal of it means to a program that sends mail."""

from collections.abc import Sequence
from enum import Enum
from typing import Any
from urllib.parse import quote

from relay.cli.remote import Remote, RemoteError

MAX_QUERY = 3_000
"""Characters of the envelope in the query; the Functions host takes 4,096 of the whole."""
MAX_RECIPIENTS_BYTES = 24_000
"""Of an envelope in headers, with its commas; a web server takes 32 KiB of all headers."""


class Meaning(Enum):
    """What a program that hands in mail has to know of a refusal."""

    LATER = "the relay is away or busy"
    BROKEN = "the relay refuses this program, whatever the mail"
    FORBIDDEN = "the client's policy does not allow this mail"
    NO_RECIPIENT = "nothing is wrong but the recipients"
    TOO_LARGE = "the message is too large"
    WRONG = "the message is wrong"


_OF_RECIPIENTS = ("query.to", "X-Relay-Rcpt-To", "headers.To", "headers.Cc", "headers.Bcc", "to")


def post(remote: Remote, mail: bytes, *, sender: str | None, recipients: Sequence[str], key: str) -> Any:
    """Post a message with this envelope; without `recipients` its own fields say who gets it.

    Bounces go to `sender`: to From when it is None, to nobody when it is empty.

    Raises `RemoteError`, also when the envelope is longer than a request can carry.
    """
    headers = {"Content-Type": "message/rfc822", "Idempotency-Key": key}
    people = ",".join(recipients)
    sender = "<>" if sender == "" else sender
    if len(quote(f"{sender or ''}{people}")) <= MAX_QUERY:
        query = {"from": sender, "to": people or None}
        return remote.call("POST", "/v1/messages", content=mail, headers=headers, query=query)
    if not people.isascii() or len(people) > MAX_RECIPIENTS_BYTES:
        raise RemoteError("There are more recipients than one call can name. Send several messages.", exit_code=1)
    headers |= {"X-Relay-Rcpt-To": people}
    return remote.call("POST", "/v1/messages", content=mail, headers=headers, query={"from": sender})


def meaning(error: RemoteError) -> Meaning:
    """What a refusal means."""
    code = error.error.get("code", "")
    if error.status == 0:
        return Meaning.WRONG if error.exit_code == 1 else Meaning.LATER
    if error.status in (408, 429) or error.status >= 500 or code == "idempotency_key_in_use":
        return Meaning.LATER
    if error.status in (401, 404, 405) or code in ("address_not_allowed", "operators_only"):
        return Meaning.BROKEN
    if error.status == 413:
        return Meaning.TOO_LARGE
    if error.status == 403:
        return Meaning.FORBIDDEN
    targets = [str(detail["target"]).partition("[")[0] for detail in error.error.get("details", ())]
    return Meaning.NO_RECIPIENT if targets and all(target in _OF_RECIPIENTS for target in targets) else Meaning.WRONG
