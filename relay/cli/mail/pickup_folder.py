"""Move the files of a pickup folder, so that a program that ends at any step neither loses a mail nor sends it twice.

A complete file moves to `Queue` under a name of its own. The name and the content determine the idempotency key: a mail that was
accepted shortly before a kill is posted again with the same key, and the relay returns its first response.
"""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec

_STEM_CHARACTERS = 40
"""Characters of the original name that are kept. With the id they fit into the 255 bytes of a name in most file systems."""


class _Seen(msgspec.Struct, frozen=True):
    size: int
    modified: int
    since: float


class PickupFolder:
    """The folder, with `Queue` for the files being sent and `Badmail` for refused ones. Methods raise `OSError`."""

    def __init__(self, folder: Path, *, settle_seconds: float) -> None:
        self._folder = folder
        self._settle_seconds = settle_seconds
        self._queue = folder / "Queue"
        self._badmail = folder / "Badmail"
        self._seen: dict[str, _Seen] = {}

    def create(self) -> None:
        """Create the two subfolders, which only this user may read: they contain mail."""
        self._queue.mkdir(mode=0o700, exist_ok=True)
        self._badmail.mkdir(mode=0o700, exist_ok=True)

    def claim(self, now: float) -> list[str]:
        """Move complete files to `Queue`: those that did not change for a while, and that no program locks.

        `now` is a time of any clock that never goes back. A file without content is not complete. Returns the names of files
        that cannot be moved: on Windows also those that a program still has open.
        """
        stuck: list[str] = []
        seen = {entry.name: self._observe(entry, now) for entry in _mails(self._folder)}
        self._seen = {name: each for name, each in seen.items() if each is not None}
        for name, each in sorted(self._seen.items(), key=lambda item: item[1].modified):
            path = self._folder / name
            if each.size and now - each.since >= self._settle_seconds and not _is_locked(path):
                try:
                    os.rename(path, self._queue / f"{path.stem[:_STEM_CHARACTERS]}-{uuid.uuid4().hex}.eml")
                except OSError:
                    stuck.append(name)
        return stuck

    def waiting(self) -> list[Path]:
        """Return the files to send, including those of a killed run, oldest first."""
        found = ((entry.stat().st_mtime_ns, entry.name) for entry in _mails(self._queue))
        return [self._queue / name for _, name in sorted(found)]

    def count_incomplete(self) -> int:
        """Return how many files `claim` left in the folder."""
        return sum(1 for _ in _mails(self._folder))

    def remove(self, path: Path) -> None:
        """Remove a mail that the relay accepted. Another run may have done so."""
        _reason(self._badmail / path.name).unlink(missing_ok=True)
        path.unlink(missing_ok=True)

    def refuse(self, path: Path, reason: str) -> None:
        """Move a mail to `Badmail`. The reason is written first, so that no mail is there without one."""
        _reason(self._badmail / path.name).write_text(f"{reason}\n", encoding="utf-8")
        with contextlib.suppress(FileNotFoundError):  # another run moved it
            os.replace(path, self._badmail / path.name)

    def _observe(self, entry: os.DirEntry[str], now: float) -> _Seen | None:
        try:
            # `os.stat`, because on Windows the directory entry's size is not updated while the file is open.
            found = os.stat(entry.path)
        except OSError:
            return None
        before = self._seen.get(entry.name)
        is_same = before is not None and (before.size, before.modified) == (found.st_size, found.st_mtime_ns)
        since = before.since if before is not None and is_same else now
        return _Seen(size=found.st_size, modified=found.st_mtime_ns, since=since)


def idempotency_key(path: Path, content: bytes) -> str:
    """Return the key of a file in `Queue`."""
    return f"pickup-{hashlib.sha256(os.fsencode(path.name) + b'\0' + content).hexdigest()}"


def _reason(path: Path) -> Path:
    return path.with_suffix(".txt")


def _mails(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.lower().endswith(".eml") and entry.is_file(follow_symlinks=False):
                yield entry


def _is_locked(path: Path) -> bool:
    """Return whether a program holds a lock on the file: .NET does while it writes one, on Linux too (FileShare)."""
    try:
        import fcntl
    except ImportError:  # Windows: moving an open file fails
        return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # it cannot be read, or the file system has no locks: reading it will show that
        return False
    return False
