"""Large mail is read, encoded and built off the event loop, small mail on it; and how much memory its acceptance takes."""

import asyncio
import base64
import json
import os
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from relay.acceptance import content_blobs
from relay.api.messages import batch, send
from relay.api.reading import attachments
from relay.api.reading.message import parse_message
from relay.api.reading.raw import message as raw_message
from relay.api.sendgrid import mail as sendgrid_mail
from relay.api.sendgrid import send as sendgrid_send
from relay.clients import idempotency
from relay.core import entries
from relay.core.model import Message, Submission
from relay.journal import content
from relay.mime import build
from relay.mime.finished import content as finished_content
from relay.platform.concurrency import LARGE_BYTES
from relay.providers.acs import body as acs_body
from relay.providers.acs import provider as acs
from relay.providers.finished import as_content
from relay.providers.graph import body as graph_body
from relay.providers.graph import provider as graph
from relay.providers.sendgrid import body as sendgrid_body
from relay.providers.sendgrid import provider as sendgrid
from relay.providers.smtp import envelope as smtp
from tests.api.harness import Harness, file, message
from tests.api.sendgrid_requests import mail
from tests.doubles import message_of
from tests.send_requests import send_request_of

HEAVY: tuple[tuple[Any, str], ...] = (
    (send, "parse_message"),
    (raw_message, "parse_raw"),
    (attachments, "decode_base64"),
    (batch, "open_batch"),
    (sendgrid_send, "read_body"),
    (sendgrid_mail, "_common"),
    (idempotency, "fingerprint"),
    (content_blobs, "encode_content"),
    (content, "decode_content"),
    (build, "build"),
)
"""The functions whose time grows with the content."""
SMALL, LARGE = 2_000, 2 * LARGE_BYTES
PLACES = pytest.mark.parametrize(("size", "is_inline"), [(SMALL, True), (LARGE, False)])


class Watch:
    """Notes on which thread the heavy functions run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: dict[str, set[bool]] = {}
        self._patch = monkeypatch
        self._loop_thread = threading.get_ident()

    def add(self, module: Any, name: str) -> None:
        """Note whether each call of a function is on the loop's thread."""
        function: Callable[..., Any] = getattr(module, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            self.calls.setdefault(name, set()).add(threading.get_ident() == self._loop_thread)
            return function(*args, **kwargs)

        self._patch.setattr(module, name, watched)


@pytest.fixture
async def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    made = Watch(monkeypatch)
    for module, name in HEAVY:
        made.add(module, name)
    return made


def mime(size: int) -> bytes:
    text = base64.encodebytes(os.urandom(size * 3 // 4))
    return b"From: orders@example.com\r\nTo: ada@example.org\r\nSubject: x\r\n\r\n" + text.replace(b"\n", b"\r\n")


def requests(entrance: str, size: int) -> dict[str, Any]:
    """A call of an entrance with content of this size."""
    content = os.urandom(size)
    key = {"Idempotency-Key": "one"}
    match entrance:
        case "raw":
            return {"path": "/v1/messages", "body": mime(size), "headers": {**key, "Content-Type": "message/rfc822"}}
        case "batch":
            return {
                "path": "/v1/messages/batch",
                "json": {"messages": [message(attachments=[file(content)])]},
                "headers": key,
            }
        case "sendgrid":
            attached = {"content": base64.b64encode(content).decode(), "filename": "a.bin"}
            return {"path": "/v3/mail/send", "json": mail(attachments=[attached]), "headers": key}
        case _:
            return {"path": "/v1/messages", "json": message(attachments=[file(content)]), "headers": key}


EXPECTED = {
    "json": {"parse_message", "decode_base64", "fingerprint", "build"},
    "raw": {"parse_raw", "build"},
    "batch": {"open_batch", "decode_base64", "fingerprint", "build"},
    "sendgrid": {"read_body", "_common", "decode_base64", "fingerprint", "build"},
}


@PLACES
@pytest.mark.parametrize("entrance", EXPECTED)
async def test_large_mail_is_read_and_built_off_the_loop(
    relay: Harness, watch: Watch, entrance: str, size: int, is_inline: bool
) -> None:
    answer = await relay.call("POST", **requests(entrance, size))
    assert answer.status == 202, answer.body
    await relay.deliver()
    expected = EXPECTED[entrance] | (set() if is_inline else {"encode_content", "decode_content"})
    assert expected <= watch.calls.keys()
    # A batch of any size is read in a thread: many small messages take long too.
    inline = {name: places for name, places in watch.calls.items() if name not in ("open_batch", "decode_base64")}
    assert set.union(*inline.values()) == {is_inline}, inline
    assert watch.calls.get("decode_base64", {is_inline}) == {is_inline and entrance != "batch"}


@PLACES
async def test_each_provider_builds_a_large_mail_off_the_loop(watch: Watch, size: int, is_inline: bool) -> None:
    request = send_request_of(message_of(text="x" * size))
    for module, name in ((sendgrid_body, "build"), (acs, "build"), (graph_body, "mail"), (graph_body, "draft")):
        watch.calls.clear()
        watch.add(module, name)
        if module is sendgrid_body:
            await sendgrid._body(request, {}, sandbox=False)
        elif module is acs:
            [group] = acs_body.recipient_groups(request)
            await acs.Acs._body(AnyRoute, request, group)  # type: ignore[arg-type] # it uses only `_tracks`
        elif name == "mail":
            await graph.Graph._request_body(AnyRoute, request)  # type: ignore[arg-type] # it uses only `_saves`
        else:
            await graph.Graph._draft(AnyRoute, request)  # type: ignore[arg-type] # it uses only `_saves`
        assert watch.calls[name] == {is_inline}, module
    watch.add(finished_content, "rebuild")
    await as_content(send_request_of(message_of(raw=mime(size))))
    assert watch.calls["rebuild"] == {is_inline}
    watch.calls.clear()
    await smtp.content_of(request)
    assert watch.calls["build"] == {is_inline}


class AnyRoute:
    """What building a body asks of a route."""

    _saves = False
    _tracks = False


async def test_message_too_large_for_an_entry_is_encoded_once(relay: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    original = entries.encode_submission

    def encode(submission: Submission) -> bytes:
        encoded.append(0 if submission.message is None else submission.message.content_size)
        return original(submission)

    monkeypatch.setattr(entries, "encode_submission", encode)
    await relay.send(attachments=[file(os.urandom(entries.MAX_INLINE_BYTES + 1))])
    assert encoded == [0]
    await relay.send(attachments=[file(os.urandom(1_000))])
    assert encoded == [0, 1_010]


def test_content_size_counts_all_content() -> None:
    whole = Message(sender=message_of().sender, text="ab", html="cde", raw=b"fghi")
    assert whole.content_size == 9


MOST = 2.8
"""Memory as a multiple of the body, at most: its text, the base64 in it, and the file; or the file and the blob."""

MOST_FINISHED = 3.1
"""The same for a finished message: its checked form, and its parts or the blob with it."""


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}])
async def test_accepting_a_large_mail_takes_a_bounded_multiple_of_its_size(
    relay: Harness, headers: dict[str, str]
) -> None:
    await relay.send()  # imports
    body = json.dumps(message(attachments=[file(os.urandom(6_000_000))])).encode()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        answer = await relay.call("POST", "/v1/messages", body=body, headers=headers)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status == 202
    assert (peak - before) / len(body) < MOST


@pytest.mark.parametrize("kind", ["application/pdf", "text/plain"])
async def test_accepting_a_large_finished_message_takes_a_bounded_multiple_of_its_size(
    relay: Harness, kind: str
) -> None:
    await relay.call("POST", **requests("raw", 100))  # imports
    body = mime(4_000_000).replace(b"\r\n\r\n", f"\r\nContent-Type: {kind}\r\n\r\n".encode(), 1)
    if kind == "application/pdf":
        body = body.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        answer = await relay.call("POST", "/v1/messages", body=body, headers={"Content-Type": "message/rfc822"})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status == 202
    assert (peak - before) / len(body) < MOST_FINISHED


async def test_another_call_is_answered_while_a_large_mail_is_read(
    relay: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_answered = threading.Event()
    has_begun = threading.Event()
    original = parse_message

    def parse(*args: Any, **kwargs: Any) -> Any:
        has_begun.set()
        # Waits for the other call, which only a free loop can answer.
        assert is_answered.wait(30)
        return original(*args, **kwargs)

    monkeypatch.setattr(send, "parse_message", parse)
    large = asyncio.create_task(relay.call("POST", **requests("json", LARGE)))
    await asyncio.to_thread(has_begun.wait)
    assert (await relay.call("GET", "/v1/health", client=None)).status == 200
    is_answered.set()
    assert (await large).status == 202
