"""What a run of the stack keeps in the project's folder: its settings, its lock, its first client's key."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from devhost.settings import HostConfigurationError, apply_local_settings


class StackError(Exception):
    """The run cannot start or go on; the text is the sentence to show."""


def environment_for(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` with the values of local.settings.json added, which is made from the sample if absent.

    Raises `StackError` when the file cannot be used.
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
    """Hold the folder: two Azurites on the same files would spoil them. Raises `StackError`."""
    local.mkdir(exist_ok=True)
    with (local / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError("Relay runs already from this folder: stop that run first.") from None
        yield


def keep_key(path: Path, new_key: str | None) -> str:
    """The client's key: the new one, written down for its owner alone, or the one written down before.

    Raises `StackError` when there is neither.
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
            "The storage has a client already, but .local/client-key, which held its key, is gone: "
            "remove .local/azurite to begin anew."
        ) from None
