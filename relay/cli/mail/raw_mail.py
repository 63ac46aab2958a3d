"""Posts raw messages, and classifies refusals for programs that send mail."""

from collections.abc import Sequence
from typing import Any

from relay.cli.remote import REFUSED, Remote, RemoteError
from relay.submission import refusals
from relay.submission.envelope import envelope_of, fits
from relay.submission.refusals import RefusalKind


def calls(sender: str | None, recipients: Sequence[str]) -> list[list[str]]:
    """Split recipients into the calls that can carry them: one if they are in the header."""
    found: list[list[str]] = [[]]
    for recipient in recipients:
        if found[-1] and not fits(sender, [*found[-1], recipient]):
            found.append([])
        found[-1].append(recipient)
    return found


def post(remote: Remote, mail: bytes, *, sender: str | None, recipients: Sequence[str], key: str) -> Any:
    """Post a message with this envelope (`relay.submission.envelope`).

    Waits a few seconds for a relay that starts: programs give up mail. Raises `RemoteError`, also when the envelope is longer
    than a request can carry.
    """
    try:
        envelope = envelope_of(sender, recipients)
    except ValueError as error:
        raise RemoteError(str(error), exit_code=REFUSED) from error
    headers = {"Content-Type": "message/rfc822", "Idempotency-Key": key, **envelope.headers}
    return remote.call(
        "POST", "/v1/messages", content=mail, headers=headers, query=envelope.query, waits_for_start=True
    )


def refusal_kind(error: RemoteError) -> RefusalKind:
    """Classify the refusal of a call."""
    if error.status == 0 and error.exit_code == REFUSED:
        return RefusalKind.INVALID
    return refusals.refusal_kind(error.status, error.error)
