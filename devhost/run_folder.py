"""Manage the files of `make run` in the project's folder: settings, lock, the first client's key."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from devhost.settings import HostConfigurationError, apply_local_settings


class StackError(Exception):
    """The run cannot start or continue; the text is the message to show."""


def environment_for(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` with the values of local.settings.json, which is copied from the sample if missing.

    Raises `StackError` if the file is invalid.
    """
    path = folder / "local.settings.json"
    if not path.exists():
        shutil.copyfile(folder / "local.settings.sample.json", path)
    environment = dict(environ)
    try:
        apply_local_settings(path, environment)
    except HostConfigurationError as error:
        raise StackError(str(error)) from error
    return environment


@contextmanager
def only_run_of(local: Path) -> Iterator[None]:
    """Lock the folder: two Azurites on the same files would corrupt them. Raises `StackError`."""
    local.mkdir(exist_ok=True)
    with (local / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError("Relay is already running from this folder: stop that run first.") from None
        yield


def keep_key(path: Path, new_key: str | None) -> str:
    """Return the client's key: store a new one in a file that only its owner can read, or read the stored one.

    Raises `StackError` if there is neither.
    """
    if new_key is not None:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{new_key}\n")
        return new_key
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        raise StackError(
            "The storage already has a client, but its key in .local/client-key is missing: "
            "delete .local/azurite to start with empty storage."
        ) from None
