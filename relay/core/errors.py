"""Every exception Relay raises, drawn as a tree.

    RelayError
    ├── SettingsError          the configuration is wrong; lists every fault
    ├── Refusal                a caller's request is refused; becomes an HTTP error answer
    ├── UnreadableEntry        a queue entry, or its record, that is not ours or is damaged
    │   └── NewerVersion       a newer version of Relay wrote it
    └── StorageError           Azure Storage said no, or said nothing
        ├── NotFound
        ├── AlreadyExists
        ├── Changed            the ETag did not match: another writer was first
        └── Unavailable        throttled, away or timed out; the write may or may not have happened

Delivery has no exceptions of its own: what a provider answers is an `Outcome`, a value
(`relay.core.outcomes`). Exception texts never carry addresses, subjects, bodies, tokens or keys.
"""

from collections.abc import Mapping, Sequence

import msgspec


class RelayError(Exception):
    """The root of the tree."""


class SettingsError(RelayError):
    """The configuration cannot be used. `problems` names every fault, not only the first."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a request: a stable code, where (JSON path), and what would be right."""

    code: str
    target: str
    message: str


class Refusal(RelayError):
    """A request that is refused, with everything the caller needs to correct it.

    `status` is the HTTP status, `code` a stable word documented in docs/errors.md, `problems` one
    entry per fault. `headers` are added to the answer (for example `Retry-After`).
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
    """A newer version of Relay wrote it: before a rollback, or beside us while instances are replaced. It needs that one."""


class StorageError(RelayError):
    """Azure Storage did not do what was asked."""


class NotFound(StorageError):
    """The entity, blob or queue does not exist."""


class AlreadyExists(StorageError):
    """An insert met an existing entity or blob."""


class Changed(StorageError):
    """The ETag did not match: another writer was first. Read again and decide again."""


class Unavailable(StorageError):
    """Storage is throttling, away, or did not answer in time.

    Whether the operation took effect is not known. `retry_after_seconds` is storage's own advice if it gave any.
    """

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
