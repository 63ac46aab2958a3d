"""Reading the content of a message: only CRLF.CRLF ends it, and limits hold."""

import asyncio
import re
import smtplib

import hypothesis
import pytest
from hypothesis import strategies as st

from relay.submission.protocol.content import (
    CHUNK,
    TOO_MUCH_AT_ONCE,
    Content,
    Memory,
    is_smuggled,
    read_chunk,
    read_until_end,
    without_dots,
)
from tests.depth import examples
from tests.work import counted


def content_of(limit: int = 1_000_000, memory: int = 1_000_000, excess: int = 1_000_000) -> tuple[Content, Memory]:
    shared = Memory(memory)
    return Content(limit=limit, excess=excess, memory=shared, on_read=lambda _: None), shared


async def read(wire: bytes, pieces: int = 1) -> tuple[bytes, bytes]:
    """Return the content, and what is left on the wire."""
    reader = asyncio.StreamReader(limit=CHUNK)
    step = max(1, len(wire) // pieces)
    content, _ = content_of()

    async def feed() -> None:
        for start in range(0, len(wire), step):
            reader.feed_data(wire[start : start + step])
            await asyncio.sleep(0)
        reader.feed_eof()

    feeding = asyncio.create_task(feed())
    await read_until_end(reader, content)
    await feeding
    return content.take(), await reader.read()


@pytest.mark.parametrize(
    ("wire", "content", "left"),
    [
        (b".\r\nQUIT", b"", b"QUIT"),
        (b"a\r\n.\r\nQUIT", b"a\r\n", b"QUIT"),
        (b"\r\n.\r\n", b"\r\n", b""),
        (b"\r\n\r\n.\r\n", b"\r\n\r\n", b""),
        (b"a.\r\nb\r\n..\r\n.\r\n", b"a.\r\nb\r\n..\r\n", b""),
        (b"..\r\n.\r\n", b"..\r\n", b""),
        (b"a\n.\r\nb\r\n.\r\n", b"a\n.\r\nb\r\n", b""),
        (b"a\r.\r\nb\r\n.\r\n", b"a\r.\r\nb\r\n", b""),
        (b"a\r\n.\nb\r\n.\r\n", b"a\r\n.\nb\r\n", b""),
        (b"a\r\n.\rb\r\n.\r\n", b"a\r\n.\rb\r\n", b""),
        (b"a\n.\nb\r\n.\r\n", b"a\n.\nb\r\n", b""),
    ],
)
async def test_only_crlf_dot_crlf_ends_content(wire: bytes, content: bytes, left: bytes) -> None:
    for pieces in (1, len(wire)):
        assert await read(wire, pieces) == (content, left)


@hypothesis.settings(max_examples=examples(60), deadline=None)
@hypothesis.given(
    mail=st.text("\r\n.a", max_size=40),
    size=st.sampled_from([0, CHUNK - 3, CHUNK, 2 * CHUNK]),
    pieces=st.integers(1, 50),
)
def test_content_arrives_as_a_client_wrote_it(mail: str, size: int, pieces: int) -> None:
    """Python's smtplib doubles the dots; bare line ends become CRLF there."""
    text = re.sub(r"\r\n|\r|\n", "\r\n", "x" * size + mail)
    text = text if text.endswith("\r\n") else text + "\r\n"
    wire = smtplib._quote_periods(text.encode()) + b".\r\n"  # type: ignore[attr-defined] # what its data() sends
    content, left = asyncio.run(read(wire + b"NOOP", pieces))
    assert (without_dots(content), left) == (text.encode(), b"NOOP")
    assert not is_smuggled(content)


@pytest.mark.parametrize("before", [b"\n", b"\r", b"\r\n", b""])
@pytest.mark.parametrize("after", [b"\n", b"\r", b"\r\n", b"\r\r\n"])
def test_lone_dot_with_a_bare_line_end_is_found(before: bytes, after: bytes) -> None:
    if (before in (b"\r\n", b"")) and after == b"\r\n":
        return  # the end of the content, which is never in it
    text = b"a" + before if before else b""
    assert is_smuggled(text + b"." + after + b"MAIL FROM:<evil@example.com>\r\n")


@pytest.mark.parametrize("content", [b"a\r\n..\r\n", b"a.\r\n", b"a\nb\n", b"...\r\n", b".a\r\n", b"a\n..\n"])
def test_usual_lines_are_no_smuggling(content: bytes) -> None:
    assert not is_smuggled(content)


async def test_content_beyond_the_limit_is_dropped_and_read_to_its_end() -> None:
    reader = asyncio.StreamReader(limit=CHUNK)
    content, memory = content_of(limit=10)
    reader.feed_data(b"x" * 200_000 + b"\r\n.\r\nNOOP")
    reader.feed_eof()
    await read_until_end(reader, content)
    assert content.problem == "552 5.3.4 Message too large (limit 10 bytes)"
    assert (content.take(), memory.left) == (b"", 1_000_000)
    assert await reader.read() == b"NOOP"


async def test_content_far_beyond_the_limit_is_given_up() -> None:
    reader = asyncio.StreamReader(limit=CHUNK)
    content, _ = content_of(limit=10, excess=CHUNK)
    reader.feed_data(b"x" * CHUNK * 4)
    reader.feed_eof()
    await read_chunk(reader, CHUNK * 10, content)
    assert content.is_given_up
    assert len(await reader.read(CHUNK * 2)) == CHUNK


async def test_memory_is_shared_and_given_back() -> None:
    memory = Memory(100)
    first, second = (Content(limit=1_000, excess=1_000, memory=memory, on_read=lambda _: None) for _ in range(2))
    first.add(b"x" * 60)
    second.add(b"x" * 60)
    assert (first.problem, second.problem) == ("", TOO_MUCH_AT_ONCE)
    first.close()
    first.close()
    assert memory.left == 100


def test_content_that_was_taken_is_not_kept_but_stays_reserved() -> None:
    content, memory = content_of()
    content.add(b"x" * 60)
    assert (content.take(), content.take(), memory.left) == (b"x" * 60, b"", 1_000_000 - 60)
    content.close()
    assert memory.left == 1_000_000


async def test_reading_takes_work_by_size_and_not_by_lines_that_end_in_a_dot() -> None:
    reader = asyncio.StreamReader(limit=CHUNK)
    content, _ = content_of()
    reader.feed_data(b"x.\r\n" * 10_000 + b"\r\n.\r\n")
    with counted() as steps:
        await read_until_end(reader, content)
    assert steps.instructions < 10_000


async def test_chunk_is_read_to_its_size() -> None:
    reader = asyncio.StreamReader(limit=CHUNK)
    reader.feed_data(b"x" * 100_000 + b"NOOP")
    reader.feed_eof()
    content, _ = content_of()
    await read_chunk(reader, 100_000, content)
    assert (len(content.take()), await reader.read()) == (100_000, b"NOOP")
