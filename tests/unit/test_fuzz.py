"""Fuzz tests: parsers of external input refuse invalid input with an error, and never crash or hang.

Bounded in each run; `FUZZ=100000 make unit` runs longer, with new inputs each time.
"""

import asyncio
import contextlib
import copy
import json
import math
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.api.http import Request, Response
from relay.bootstrap import Relay, configuration
from relay.clients.keys import Role
from relay.clients.policy import Policy
from relay.core import entries, ids
from relay.core.errors import UnreadableEntry
from relay.core.model import Address, Message
from relay.core.outcomes import MAX_REPLY
from relay.core.send_request import SendRequest
from relay.mime import raw as mime_raw
from relay.mime.writing import transfer
from relay.platform.storage.memory.memory_storage import memory_storage
from relay.providers.http_exchange import retry_after
from relay.providers.smtp.outcomes import SmtpReply, read_reply

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EXAMPLES = int(os.environ.get("FUZZ", "150"))
BOUNDED = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

MESSAGE: dict[str, Any] = {
    "from": {"email": "ada@example.com", "name": "Ada"},
    "to": ["Bob <bob@example.com>", {"email": "eve@example.com"}],
    "cc": "carol@example.com",
    "reply_to": "desk@example.com",
    "subject": "Hello",
    "text": "Hello",
    "html": "<p>Hello</p>",
    "headers": {"X-One": "1"},
    "attachments": [
        {"name": "a.txt", "content": "YQ==", "content_id": "a", "disposition": "inline"},
        {"name": "b.txt", "content": {"$content-type": "text/plain", "$content": "YQ=="}},
    ],
    "tags": ["one"],
    "metadata": {"key": "value"},
    "lane": "bulk",
    "expires_in_seconds": 3600,
    "delivery": "at_most_once",
    "send_at": "2026-03-02T12:00:00Z",
    "route": "capture",
    "options": {},
    "dry_run": False,
}
SENDGRID: dict[str, Any] = {
    "personalizations": [
        {
            "to": [{"email": "bob@example.com", "name": "Bob"}],
            "cc": [{"email": "carol@example.com"}],
            "subject": "Hello",
            "headers": {"X-One": "1"},
            "substitutions": {"-name-": "Bob"},
            "custom_args": {"a": "b"},
            "send_at": 1_772_366_400,
        }
    ],
    "from": {"email": "ada@example.com", "name": "Ada"},
    "reply_to_list": [{"email": "desk@example.com"}],
    "subject": "Hello -name-",
    "content": [{"type": "text/plain", "value": "Hello"}, {"type": "text/html", "value": "<p>Hello</p>"}],
    "attachments": [{"content": "YQ==", "filename": "a.txt", "type": "text/plain", "disposition": "inline"}],
    "categories": ["one"],
    "mail_settings": {"sandbox_mode": {"enable": True}},
    "tracking_settings": {"click_tracking": {"enable": False, "enable_text": False}},
}
SEEDS = {
    "/v1/messages": MESSAGE,
    "/v1/messages/batch": {"defaults": {"from": "ada@example.com"}, "messages": [MESSAGE, {"to": "bob@example.com"}]},
    "/v3/mail/send": SENDGRID,
}

_odd_texts = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "", " ", "\r\nBcc: x@example.com", "\x00", "\ud800", "a@b", '"a b"@example.com', "ü@bücher.example", "@",
            "<a@example.com", "a@example.com,b@example.com;c@example.com", "a@[127.0.0.1]", "=?utf-8?q?a?=", "1e400",
            "9999-99-99T99:99:99Z", "2026-03-01T12:00:00+99:99", "é" * 300, "(" * 200 + "a@example.com", ",;" * 100,
        ]
    ),
)  # fmt: skip
_odd_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _odd_texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_odd_texts, inner, max_size=4),
    max_leaves=8,
)


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value within a JSON value."""
    yield here
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield from places(member, (*here, key))


@st.composite
def damaged(draw: st.DrawFn, seed: Any) -> Any:
    """Draw a valid request in which one to three values are replaced, removed or duplicated by name."""
    value = copy.deepcopy(seed)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(value))))
        if not path:
            continue
        holder = value
        for step in path[:-1]:
            holder = holder[step]
        act = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if act == "remove":
            del holder[path[-1]]
        elif act == "add" and isinstance(holder, dict):
            holder[draw(_odd_texts)] = draw(_odd_values)
        else:
            holder[path[-1]] = draw(_odd_values)
    return value


@st.composite
def torn(draw: st.DrawFn, seed: Any) -> bytes:
    """Draw the bytes of a request, some of them lost, doubled or changed."""
    body = bytearray(json.dumps(seed).encode())
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 20)))
        body[start:end] = draw(st.binary(max_size=8) | st.just(bytes(body[start:end]) * 2))
    return bytes(body)


class Door:
    """A relay whose responses are all checked."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        relay = Relay(configuration.load({}), memory_storage(lambda: NOW), clock=lambda: NOW)
        self.relay = relay
        self.runner.run(relay.create_storage())
        self.key = self.runner.run(relay.clients.create("caller", role=Role.OPERATOR, policy=Policy(senders=("*",))))

    def call(
        self, path: str, body: bytes = b"", *, method: str = "POST", headers: Mapping[str, str] | None = None
    ) -> Response:
        given = {"content-type": "application/json", "content-length": str(len(body)), "x-api-key": self.key}
        address = f"https://relay.example{path}"
        plain, _, query = path.partition("?")
        request = Request(
            method=method,
            path=plain,
            url=address,
            headers={**given, **(headers or {})},
            query={"q": query} if query else {},
            body=body,
        )
        return self.runner.run(self.relay.api.handle(request))


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    opened = Door()
    yield opened
    opened.runner.run(opened.relay.close())
    opened.runner.close()


def check(response: Response) -> None:
    """Check that a response is a success or a documented error, and not an internal failure."""
    assert response.status < 500 or response.status == 503, response.body
    assert "\n" not in "".join((*response.headers, *response.headers.values()))
    if response.body:
        json.loads(response.body)


@pytest.mark.parametrize("path", SEEDS)
def test_seed_requests_are_valid(door: Door, path: str) -> None:
    response = door.call(path, json.dumps(SEEDS[path]).encode())
    assert response.status in (200, 202), response.body


@pytest.mark.parametrize("path", SEEDS)
@given(data=st.data())
@BOUNDED
def test_damaged_request_gets_a_response(door: Door, path: str, data: st.DataObject) -> None:
    value = data.draw(damaged(SEEDS[path]))
    check(door.call(path, json.dumps(value).encode()))


@pytest.mark.parametrize("path", SEEDS)
@given(data=st.data())
@BOUNDED
def test_truncated_request_gets_a_response(door: Door, path: str, data: st.DataObject) -> None:
    check(door.call(path, data.draw(torn(SEEDS[path]))))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", b'{"a": {"b": 1, "b": 2}, "c"'),
        ("/v1/messages", b'{"a": {"b": 1, "b": 2}, "c": NaN}'),
        ("/v1/messages", b'{"a": {"b": 1, "b": 2}, "c": ' + b"9" * 5_000 + b"}"),
        ("/v3/mail/send", b'{"a": {"b": 1, "b": 2}, "c"'),
    ],
    ids=["repeated, then torn", "repeated, then no number", "repeated, then too large", "the same at the other face"],
)
def test_requests_found_by_longer_searches_get_a_response(door: Door, path: str, body: bytes) -> None:
    assert door.call(path, body).status == 400


@given(
    path=st.text(max_size=60).map(lambda text: f"/{text}") | st.sampled_from(["/v1/messages/{}", "/v1/inbox/{}"]),
    method=st.sampled_from(["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "POST"]),
    headers=st.dictionaries(
        st.sampled_from(
            [
                "authorization", "x-api-key", "content-type", "content-length", "content-encoding", "idempotency-key",
                "traceparent", "x-forwarded-for", "x-ms-client-principal", "x-ms-client-request-id", "prefer",
            ]
        ),
        st.text(max_size=60),
        max_size=4,
    ),
    body=st.binary(max_size=60),
)  # fmt: skip
@BOUNDED
def test_any_call_gets_a_response(door: Door, path: str, method: str, headers: dict[str, str], body: bytes) -> None:
    check(door.call(path.replace("{}", "x"), body, method=method, headers=headers))


@pytest.mark.parametrize("depth", [100, 10_000, 200_000])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_deeply_nested_request_is_refused(door: Door, depth: int, brackets: str) -> None:
    opening = b"[" if brackets == "[]" else b'{"a":'
    response = door.call("/v1/messages", opening * depth)
    assert response.status == 400


# ── entries on the queue ──


@given(st.binary(max_size=200) | torn({"relay": 1, "ref": "a" * 32, "lane": "bulk", "indices": [0], "attempt": 2}))
@BOUNDED
def test_queue_entry_is_decoded_or_unreadable(body: bytes) -> None:
    try:
        entries.decode_entry(body)
    except UnreadableEntry:
        return


@given(
    st.text(max_size=80)
    | st.text("0123456789abcdefghijklmnopqrstuvwxyz=", min_size=40, max_size=40).map("msg_{}".format)
    | st.text(min_size=40, max_size=40).map("msg_{}".format)
)
@BOUNDED
def test_message_id_is_parsed_or_invalid(text: str) -> None:
    try:
        found = ids.parse(text)
    except ValueError:
        return
    assert str(found) == text.lower()


# ── MIME ──

_mime_lines = st.sampled_from(
    [
        b"From: a@example.com", b"Bcc: hidden@example.com", b"bcc : hidden@example.com", b" folded", b"\tfolded", b"",
        b"To: =?utf-8?b?w7w=?= <b@example.com>", b"To: (", b"Subject: \xff\xfe", b"Content-Type: multipart/mixed",
        b"Content-Transfer-Encoding: base64", b"no colon", b": no name", b"X-Relay-Id: other", b"--", b"body \x00 text",
        b"Content-Type: text/plain; charset=nowhere", b"Content-Type: message/rfc822", b"MIME-Version: 1.0",
        b"Resent-Bcc: hidden@example.com",
    ]
)  # fmt: skip
_mime = st.lists(_mime_lines | st.binary(max_size=30), max_size=15).flatmap(
    lambda lines: st.sampled_from([b"\r\n", b"\n", b"\r"]).map(lambda end: end.join(lines))
)


@given(raw=_mime, with_bcc=st.booleans())
@BOUNDED
def test_raw_message_is_sent_without_its_bcc(raw: bytes, with_bcc: bool) -> None:
    message = Message(sender=Address(email="a@example.com"), to=(Address(email="b@example.com"),), raw=raw)
    request = SendRequest(
        id="msg_x", message=message, recipients=(0,), message_id_header="x@relay", attempt=1, attempt_id="1", date=NOW
    )
    prepared = mime_raw.prepare(request, with_bcc=with_bcc)
    head, _ = mime_raw.split(prepared)
    fields = mime_raw.fields_of(head)
    assert [field.value for field in fields if field.name == "x-relay-id"] == [b"msg_x"]
    assert not [field for field in fields if field.name.endswith("bcc") and b"hidden" in field.line]
    assert with_bcc or not [field for field in fields if field.name in ("bcc", "resent-bcc")]
    assert b"\n" not in prepared.replace(b"\r\n", b"")
    with contextlib.suppress(ValueError):
        transfer.seven_bit(transfer.shortened(prepared))


# ── providers ──


@given(st.text(max_size=60) | st.integers().map(str) | st.floats().map(str))
@BOUNDED
def test_prefer_wait_is_parsed_or_ignored(text: str) -> None:
    found = retry_after({"retry-after": text}, NOW)
    assert found is None or (math.isfinite(found) and found >= 0)


@given(
    step=st.sampled_from(["connect", "auth", "mail", "rcpt", "data", "content"]),
    code=st.integers(-1, 999),
    text=st.text(max_size=2_000) | st.just("5.7.1 no"),
)
@BOUNDED
def test_any_smtp_reply_becomes_an_outcome(step: str, code: int, text: str) -> None:
    assert len(read_reply(SmtpReply(step=step, code=code, text=text)).reply) <= MAX_REPLY
