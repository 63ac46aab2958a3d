"""`relay pickup`: files become messages, also when it is killed at any step."""

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from relay.cli.mail.pickup import Pickup, Result
from relay.cli.mail.pickup_folder import PickupFolder
from relay.cli.remote import Remote
from tests.api.harness import Harness

MAIL = b"From: a@example.com\r\nTo: ada@example.org\r\nSubject: Hi\r\n\r\n..dots\r\n"
ENVELOPE = b"X-Sender: a@example.com\r\nX-Receiver: eve@example.org\r\nX-Receiver: bob@example.org\r\n"


class Killed(Exception):
    """The process ended here."""


class Api(httpx2.BaseTransport):
    """Hands requests to an application in this process. `responses` replace the next ones; `steps` are what is counted."""

    def __init__(self, harness: Harness, step: Callable[[], None]) -> None:
        self.harness = harness
        self.loop = asyncio.get_running_loop()
        self.step = step
        self.responses: list[httpx2.Response] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.step()
        if self.responses:
            return self.responses.pop(0)
        path = request.url.raw_path.decode()
        call = self.harness.call(request.method, path, body=request.content, headers=dict(request.headers), client=None)
        response = asyncio.run_coroutine_threadsafe(call, self.loop).result()
        self.step()
        return httpx2.Response(response.status, content=response.body, headers=dict(response.headers))


class Place:
    """A folder, a relay, and a clock. `kill_at` is the step at which the next run ends; steps count from 1."""

    def __init__(self, folder: Path, harness: Harness) -> None:
        self.folder = folder
        self.harness = harness
        self.now = 0.0
        self.steps = 0
        self.kill_at = 0
        self.reports: list[str] = []
        self.api = Api(harness, self.step)
        self.worker = self.start()

    def start(self, **options: Any) -> Pickup:
        """Start another run, which knows only the folder."""
        files = PickupFolder(self.folder, settle_seconds=2)
        files.create()
        remote = Remote("https://relay.example", self.harness.keys["app"], self.api)
        self.worker = Pickup(files, remote, report=self.reports.append, clock=lambda: self.now, **options)
        return self.worker

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.kill_at:
            raise Killed

    async def run(self, seconds: float = 2) -> list[Result]:
        """Look at the folder, let time pass, and look again."""
        stopping = asyncio.Event()
        first = await self.worker.step(stopping)
        self.now += seconds
        return first + await self.worker.step(stopping)

    async def recipients(self) -> list[list[str]]:
        """Return the recipients of each message that the relay has."""
        await self.harness.pass_time(1)
        response = await self.harness.call("GET", "/v1/messages")
        each = [await self.harness.status(message["id"]) for message in response.json["value"]]
        return sorted(sorted(row["email"] for row in message["recipients"]) for message in each)

    def files(self) -> list[str]:
        """Return the kinds of the files that are left."""
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        return sorted(f"{path.parent}/{path.stem.partition('-')[0]}{path.suffix}" for path in found)


@pytest.fixture
async def place(tmp_path: Path) -> Place:
    return Place(tmp_path, await Harness().start())


async def test_file_becomes_a_message_for_its_receivers(place: Place) -> None:
    (place.folder / "a.eml").write_bytes(ENVELOPE + MAIL)
    assert await place.run() == [Result.ACCEPTED]
    assert await place.recipients() == [["bob@example.org", "eve@example.org"]]
    assert place.files() == []


async def test_file_without_an_envelope_goes_to_the_recipients_of_its_header(place: Place) -> None:
    (place.folder / "B.EML").write_bytes(MAIL.replace(b"Subject", b"Bcc: eve@example.org\r\nSubject"))
    (place.folder / "note.txt").write_bytes(MAIL)
    assert await place.run() == [Result.ACCEPTED]
    assert await place.recipients() == [["ada@example.org", "eve@example.org"]]
    assert place.files() == ["./note.txt"]


async def test_equal_files_are_different_mails(place: Place) -> None:
    for _ in range(2):
        (place.folder / "same.eml").write_bytes(MAIL)
        assert await place.run() == [Result.ACCEPTED]
    assert len(await place.recipients()) == 2


async def test_file_that_is_still_written_is_left_alone(place: Place) -> None:
    growing = place.folder / "a.eml"
    growing.write_bytes(b"")
    assert await place.run() == []
    for length in (10, 20):
        growing.write_bytes(MAIL[:length])
        assert await place.run(seconds=1.9) == []
    growing.write_bytes(MAIL)
    assert await place.run() == [Result.ACCEPTED]


async def test_locked_file_is_left_alone(place: Place) -> None:
    fcntl = pytest.importorskip("fcntl")
    path = place.folder / "a.eml"
    path.write_bytes(MAIL)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # as .NET does for a file that others may read
        assert await place.run() == []
    assert await place.run() == [Result.ACCEPTED]


@pytest.mark.parametrize("status", [429, 503, 500, 401])
async def test_temporary_error_keeps_the_file_and_its_key(place: Place, status: int) -> None:
    (place.folder / "a.eml").write_bytes(MAIL)
    refusal = {"error": {"code": "x", "message": "No."}}
    place.api.responses = [httpx2.Response(status, json=refusal, headers={"retry-after": "0"}) for _ in range(4)]
    place.api.responses = place.api.responses[: 4 if status in (429, 503) else 1]
    assert await place.run() == [Result.WAITING]
    assert place.files() == ["Queue/a.eml"]
    assert await place.worker.step(asyncio.Event()) == [], "not due before the backoff ended"
    assert await place.run() == [Result.ACCEPTED]
    assert len(await place.recipients()) == 1


async def test_backoff_doubles_up_to_its_limit(place: Place) -> None:
    (place.folder / "a.eml").write_bytes(MAIL)
    waits = []
    for _ in range(12):
        place.api.responses = [httpx2.Response(500)]
        before = place.now
        while await place.run(seconds=1) != [Result.WAITING]:
            pass
        waits.append(place.now - before)
    assert waits[1:5] == [2, 4, 8, 16]
    assert waits[-1] == 300


async def test_refused_mail_goes_to_badmail_with_the_reason(place: Place) -> None:
    (place.folder / "a.eml").write_bytes(MAIL.replace(b"ada@example.org", b"nobody"))
    assert await place.run() == [Result.REFUSED]
    assert place.files() == ["Badmail/a.eml", "Badmail/a.txt"]
    [reason] = (place.folder / "Badmail").glob("*.txt")
    assert "headers.To" in reason.read_text(encoding="utf-8")
    assert stat.S_IMODE(reason.parent.stat().st_mode) == 0o700


async def test_more_recipients_than_a_message_may_have_become_several_messages(place: Place) -> None:
    people = [f"a{number}@example.org" for number in range(1001)]
    envelope = "".join(f"X-Receiver: {each}\r\n" for each in people)
    (place.folder / "a.eml").write_bytes(envelope.encode() + MAIL)
    place.steps, place.kill_at = 0, 4  # the second call was accepted, and its response is lost
    with pytest.raises(Killed):
        await place.run()
    place.start()
    await place.run()
    assert sorted(map(len, await place.recipients())) == [1, 1000]


async def test_reason_names_the_recipients_that_were_accepted(place: Place) -> None:
    people = [*(f"a{number}@example.org" for number in range(1000)), "nobody"]
    (place.folder / "a.eml").write_bytes("".join(f"X-Receiver: {each}\r\n" for each in people).encode() + MAIL)
    assert await place.run() == [Result.REFUSED]
    [reason] = (place.folder / "Badmail").glob("*.txt")
    assert reason.read_text(encoding="utf-8").startswith("Accepted for the first 1000 recipients")


async def test_too_large_file_is_refused_unread(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.start(max_bytes=20)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("read"))
    (place.folder / "a.eml").write_bytes(MAIL)
    assert await place.run() == [Result.REFUSED]
    [reason] = (place.folder / "Badmail").glob("*.txt")
    assert "(limit 20)" in reason.read_text(encoding="utf-8")


async def test_unreadable_file_is_reported_and_the_others_are_sent(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name.startswith("bad"):
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    for name in ("bad", "good"):
        (place.folder / f"{name}.eml").write_bytes(MAIL)
    assert sorted(result.value for result in await place.run()) == ["accepted", "waiting"]
    assert any("Permission denied" in line for line in place.reports)


async def test_accepted_mail_that_cannot_be_removed_is_posted_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.folder / "a.eml").write_bytes(MAIL)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        assert await place.run() == [Result.WAITING]
    posted = place.steps
    place.now += 2
    assert await place.worker.step(asyncio.Event()) == [Result.ACCEPTED]
    assert place.steps == posted
    assert place.files() == []


async def test_stopped_run_begins_no_call(place: Place) -> None:
    (place.folder / "a.eml").write_bytes(MAIL)
    stopping = asyncio.Event()
    stopping.set()
    await place.worker.step(stopping)
    place.now += 2
    assert await place.worker.step(stopping) == [Result.WAITING]
    assert place.steps == 0


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    """Count a step before and after every change of the folder."""

    def around(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            place.step()
            result = change(*arguments, **options)
            place.step()
            return result

        return changed

    for owner, name in [(os, "rename"), (os, "replace"), (Path, "unlink"), (Path, "write_text"), (Path, "read_bytes")]:
        monkeypatch.setattr(owner, name, around(getattr(owner, name)))


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize(("recipient", "steps"), [(b"ada@example.org", 10), (b"nobody", 10)])
async def test_kill_at_any_step_loses_and_repeats_nothing(place: Place, recipient: bytes, steps: int) -> None:
    is_valid = b"@" in recipient
    for number in range(1, steps + 1):
        (place.folder / f"{number}.eml").write_bytes(MAIL.replace(b"ada@example.org", recipient))
        place.steps, place.kill_at = 0, number
        with pytest.raises(Killed):
            await place.run()
        place.kill_at = 0
        place.start()
        await place.run()
        assert len(await place.recipients()) == (number if is_valid else 0)
        left = [] if is_valid else ["Badmail"] * 2 * number
        assert [name.partition("/")[0] for name in place.files()] == left
    place.steps = 0
    (place.folder / "last.eml").write_bytes(MAIL.replace(b"ada@example.org", recipient))
    await place.run()
    assert place.steps == steps, "a step was not killed"
