"""`relay pickup`: send the files of a folder, as IIS SMTP's pickup folder does, by posting each one to a relay."""

import asyncio
import time
from collections.abc import Callable
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from relay.cli.mail.pickup_folder import PickupFolder, idempotency_key
from relay.cli.mail.raw_mail import calls, post, refusal_kind
from relay.cli.mail.stopping import stopped_by_signals
from relay.cli.output import remote_of, reports_errors
from relay.cli.remote import BAD_RESULT, UNAVAILABLE, Remote, RemoteError
from relay.mime.fields import clean
from relay.mime.pickup import read_pickup
from relay.platform.concurrency import gather_limited
from relay.submission.refusals import RefusalKind

MAX_MESSAGE_BYTES = 31_457_280
CONCURRENCY = 4
"""Calls to the relay at once. Each has one mail in memory."""
POLL_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 300.0


class Result(Enum):
    """The result of posting a file. `WAITING`: it stays in `Queue` for another try."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    WAITING = "waiting"


class _Retry(msgspec.Struct, frozen=True):
    failures: int
    due: float


class Pickup:
    """Posts the files of a folder. A file that could not be posted is tried again with backoff."""

    def __init__(
        self, folder: PickupFolder, remote: Remote, *, report: Callable[[str], None], passes_sender: bool = True,
        max_bytes: int = MAX_MESSAGE_BYTES, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._folder = folder
        self._remote = remote
        self._report = report
        self._passes_sender = passes_sender
        self._max_bytes = max_bytes
        self._clock = clock
        self._retries: dict[Path, _Retry] = {}
        self._accepted: set[Path] = set()
        self._stuck: set[str] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Watch the folder until `stopping` is set; calls that run then are finished."""
        while not stopping.is_set():
            await self.step(stopping)
            try:
                await asyncio.wait_for(stopping.wait(), POLL_SECONDS)
            except TimeoutError:
                continue

    async def step(self, stopping: asyncio.Event) -> list[Result]:
        """Take complete files, and post each one that is due."""
        try:
            stuck = set(self._folder.claim(self._clock()))
            waiting = self._folder.waiting()
        except OSError as error:  # such as a network share that is temporarily unavailable
            self._report(f"the folder cannot be read: {error.strerror}")
            return [Result.WAITING]
        for name in sorted(stuck - self._stuck):
            self._report(f"{_shown(name)} stays: a program has it open, or it may not be moved")
        self._stuck = stuck
        self._retries = {path: self._retries[path] for path in waiting if path in self._retries}
        now = self._clock()
        due = [path for path in waiting if path not in self._retries or self._retries[path].due <= now]
        return await gather_limited([partial(self._send, path, stopping) for path in due], limit=CONCURRENCY)

    async def _send(self, path: Path, stopping: asyncio.Event) -> Result:
        if stopping.is_set():
            return Result.WAITING
        try:
            result = await asyncio.to_thread(self._settle, path)
        except OSError as error:
            self._report(f"{_shown(path.name)} waits: {error.strerror}")
            result = Result.WAITING
        if result is Result.WAITING:
            failures = self._retries[path].failures + 1 if path in self._retries else 1
            delay = min(MAX_BACKOFF_SECONDS, 2.0 ** min(failures, 10))
            self._retries[path] = _Retry(failures=failures, due=self._clock() + delay)
        return result

    def _settle(self, path: Path) -> Result:
        # A mail that was accepted but could not be removed is not posted again: its key is valid for a day only.
        if path not in self._accepted and (result := self._post(path)) is not Result.ACCEPTED:
            return result
        self._accepted.add(path)
        self._folder.remove(path)
        self._accepted.discard(path)
        return Result.ACCEPTED

    def _post(self, path: Path) -> Result:
        if (size := path.stat().st_size) > self._max_bytes:
            return self._refuse(path, f"The file has {size:,} bytes (limit {self._max_bytes:,}).")
        content = path.read_bytes()
        found = read_pickup(content)
        sender = found.sender if self._passes_sender else None
        key = idempotency_key(path, content)
        posted = 0
        for people in calls(sender, found.recipients):
            # A retried file repeats the calls that were accepted, with the same keys.
            part_key = f"{key}-{posted}" if posted else key
            try:
                accepted = post(self._remote, found.mail, sender=sender, recipients=people, key=part_key)
            except RemoteError as error:
                kind = refusal_kind(error)
                if kind in (RefusalKind.RETRY, RefusalKind.NO_ACCESS):
                    self._report(f"{_shown(path.name)} waits: {kind.value}")
                    return Result.WAITING
                before = f"Accepted for the first {posted} recipients, refused for the others.\n" if posted else ""
                return self._refuse(path, f"{before}{error}")
            self._report(f"{_shown(path.name)} accepted as {accepted['id']}")
            posted += len(people)
        return Result.ACCEPTED

    def _refuse(self, path: Path, reason: str) -> Result:
        self._folder.refuse(path, reason)
        self._report(f"{_shown(path.name)} moved to Badmail")
        return Result.REFUSED


@reports_errors
def pickup(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The folder where applications put .eml files.")],
    once: Annotated[bool, typer.Option("--once", help="Send what is there, and end.")] = False,
    settle_seconds: Annotated[
        float, typer.Option(help="How long a file must stay unchanged before it is taken.", min=0)
    ] = 2.0,
    ignore_x_sender: Annotated[
        bool,
        typer.Option(
            "--ignore-x-sender", help="Ignore X-Sender: bounces go to From. For routes without a return path."
        ),
    ] = False,
    max_bytes: Annotated[
        int, typer.Option(help="The maximum size of a message, in bytes.", min=1_000)
    ] = MAX_MESSAGE_BYTES,
) -> None:
    """Send the .eml files of a folder: a replacement for the pickup folder of IIS SMTP.

    Takes the envelope from X-Sender and X-Receiver, or the recipients from the header. Moves a complete file to the
    subfolder Queue, posts it, and removes it after the relay accepted it. Retries while the relay is unreachable or busy;
    moves refused mail to Badmail, with the reason in a file beside it. --once exits with 3 if files must be retried, and
    with 4 if files were refused.

    Example: relay pickup /srv/mail/pickup
    """
    files = PickupFolder(folder, settle_seconds=settle_seconds)
    try:
        files.create()
    except OSError as error:
        raise RemoteError(f"Cannot use the folder {folder}: {error.strerror}.", exit_code=2) from error
    worker = Pickup(
        files, remote_of(context), report=typer.echo, passes_sender=not ignore_x_sender, max_bytes=max_bytes
    )
    try:
        code = asyncio.run(_run(worker, files, once=once, settle_seconds=settle_seconds))
    except KeyboardInterrupt:
        return
    if code:
        raise typer.Exit(code)


async def _run(worker: Pickup, files: PickupFolder, *, once: bool, settle_seconds: float) -> int:
    stopping = stopped_by_signals()
    if not once:
        typer.echo("Watching the folder")
        await worker.run(stopping)
        return 0
    files.claim(time.monotonic())  # notes the files, so that the step sees which ones have changed since
    await asyncio.sleep(settle_seconds)
    results = await worker.step(stopping)
    if Result.WAITING in results or files.count_incomplete():
        return UNAVAILABLE
    return BAD_RESULT if Result.REFUSED in results else 0


def _shown(name: str) -> str:
    return clean(name.encode("utf-8", "replace").decode())
