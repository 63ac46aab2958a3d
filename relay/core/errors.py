"""Every exception Relay raises, drawn as a tree.

    RelayError
    ├── SettingsError          the configuration is wrong; lists every problem
    ├── Refusal                a caller's request is refused; becomes an HTTP error response
    ├── UnreadableEntry        a queue entry, or its record, that is foreign or damaged
    │   └── NewerVersion       a newer version of Relay wrote it
    └── StorageError           Azure Storage returned an error or did not respond
        ├── NotFound
        ├── AlreadyExists
        ├── Changed            the ETag did not match: another writer was first
        └── Unavailable        throttled, unreachable or timed out; the write may or may not have happened

Delivery has no exceptions of its own: the result of an attempt is a value, an `Outcome`
(`relay.core.outcomes`). Exception texts never carry addresses, subjects, bodies, tokens or keys.
"""

from collections.abc import Mapping, Sequence

import msgspec


class RelayError(Exception):
    """The root of the tree."""


class SettingsError(RelayError):
    """The configuration cannot be used. `problems` lists every problem, not only the first."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One problem of a request: a stable code, its place (JSON path), and how to fix it."""

    code: str
    target: str
    message: str


class Refusal(RelayError):
    """A request that is refused, with everything the caller needs to correct it.

    `status` is the HTTP status, `code` a stable code documented in docs/errors.md, `problems` one
    entry for each problem. `headers` are added to the response (for example `Retry-After`).
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        target: str | None = None,
        problems: Sequence[Problem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.message = message
        self.target = target
        self.problems = tuple(problems)
        self.headers = dict(headers or {})


class UnreadableEntry(RelayError):
    """A queue entry or its record that cannot be decoded: foreign, damaged, or of an unknown version."""


class NewerVersion(UnreadableEntry):
    """An entry or record that a newer version of Relay wrote, before a rollback or while instances are replaced.

    Only that version can read it.
    """


class StorageError(RelayError):
    """An operation of Azure Storage failed."""


class NotFound(StorageError):
    """The entity, blob or queue does not exist."""


class AlreadyExists(StorageError):
    """The entity or blob to insert exists already."""


class Changed(StorageError):
    """The ETag did not match: another writer was first. Read again and decide again."""


class Unavailable(StorageError):
    """Storage throttles, is unreachable, or did not respond in time.

    The operation may or may not have taken effect. `retry_after_seconds` is the time to wait before a retry, None if not known.
    """

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
