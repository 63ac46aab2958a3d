"""The requests of a soak: single messages, finished MIME, batches, scheduled messages, and those that are cancelled."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from tests.e2e.soak_accounting import TrackedSubmission

BATCH = 4
RAW_DOMAIN = "raw.example"
_JSON = {"Content-Type": "application/json"}
_SOON = timedelta(seconds=4)
_LATER = timedelta(seconds=20)


class SoakRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request and the messages in it. `is_cancelled`: its message is cancelled after it was accepted."""

    path: str
    body: bytes
    headers: Mapping[str, str]
    submissions: Sequence[TrackedSubmission]
    is_cancelled: bool = False

    def count(self) -> None:
        """Count a request that may have arrived."""
        for submission in self.submissions:
            submission.requests += 1

    def note_ids(self, answer: bytes) -> None:
        """Note the ids in a 202 response."""
        decoded = msgspec.json.decode(answer)
        results = decoded["value"] if len(self.submissions) > 1 else [decoded]
        for submission, result in zip(self.submissions, results, strict=True):
            submission.ids.append(str(result["id"]))


def request_of(number: int) -> SoakRequest:
    """Make the request of this number. Every second one has a key, and every batch."""
    label = f"message {number}"
    if number % 12 == 5:
        return _batch(number)
    if number % 12 == 7:
        return _raw(number, label)
    fields: dict[str, object] = {}
    if number % 12 in (1, 8):
        at = datetime.now(UTC) + (_SOON if number % 12 == 1 else _LATER)
        fields = {"send_at": at.isoformat()}
    return SoakRequest(
        path="/v1/messages",
        body=msgspec.json.encode(_message(number, label) | fields),
        headers=_JSON | _key(number, has_key=number % 2 == 0),
        submissions=[TrackedSubmission(label=label, has_key=number % 2 == 0)],
        is_cancelled=number % 12 == 8,
    )


def _batch(number: int) -> SoakRequest:
    labels = [f"message {number}, {each} of a batch" for each in range(BATCH)]
    return SoakRequest(
        path="/v1/messages/batch",
        body=msgspec.json.encode({"messages": [_message(number, label) for label in labels]}),
        headers=_JSON | _key(number, has_key=True),
        submissions=[TrackedSubmission(label=label, has_key=True) for label in labels],
    )


def _raw(number: int, label: str) -> SoakRequest:
    lines = (
        f"From: app@{RAW_DOMAIN}",
        f"To: person-{number}@example.net",
        f"Subject: {label}",
        f"Message-ID: <{number}@sender.example>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "",
        "Hello.",
        "",
    )
    return SoakRequest(
        path="/v1/messages",
        body="\r\n".join(lines).encode(),
        headers={"Content-Type": "message/rfc822"} | _key(number, has_key=True),
        submissions=[TrackedSubmission(label=label, has_key=True)],
    )


def _message(number: int, label: str) -> dict[str, object]:
    is_careful = number % 7 == 0
    return {
        "from": "app@sender.example",
        "to": [f"person-{number}@example.net"],
        "subject": label,
        "text": "Hello. " * (number % 150 + 1),
        "delivery": "at_most_once" if is_careful else "at_least_once",
        "route": "careful" if is_careful else "main",
    }


def _key(number: int, *, has_key: bool) -> dict[str, str]:
    return {"Idempotency-Key": f"soak-{number}"} if has_key else {}
