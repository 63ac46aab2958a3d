"""Converting a function's result to a response."""

from http.cookies import SimpleCookie
from typing import Any

import pytest

from devhost.replies import Reply, reply_of
from devhost.values import Datum
from devhost.worker import Invocation
from tests.devhost.doubles import function

FUNCTION = function("echo", "httpTrigger", http_output="$return")


def reply(value: Datum) -> Reply:
    return reply_of(FUNCTION, Invocation(succeeded=True, outputs=(("other", Datum("string", "x")), ("$return", value))))


def http(cookies: list[Any] | None) -> Datum:
    content = {"status_code": Datum("string", "201"), "headers": {"Content-Type": Datum("string", "text/x")}}
    return Datum("http", {**content, "cookies": cookies, "body": Datum("bytes", b"hi")})


def test_http_response_is_unchanged() -> None:
    got = reply(http(None))
    assert (got.status, got.body, got.headers) == (201, b"hi", [(b"content-type", b"text/x")])


@pytest.mark.parametrize(
    ("cookie", "sent"),
    [
        ("a=b", "a=b"),
        ("a=b; Path=/; Secure; HttpOnly; SameSite=Lax", "a=b; path=/; secure; samesite=lax; httponly"),
        (
            "a=b; Max-Age=60; Domain=example.org; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
            "a=b; expires=Wed, 21 Oct 2026 07:28:00 GMT; max-age=60; domain=example.org",
        ),
    ],
)
def test_cookie_keeps_its_attributes(cookie: str, sent: str) -> None:
    got = reply(http([SimpleCookie(cookie), SimpleCookie("c=d")]))
    assert list(got.headers)[1:] == [(b"set-cookie", sent.encode()), (b"set-cookie", b"c=d")]


def test_text_becomes_a_plain_text_body() -> None:
    got = reply(Datum("string", "hé"))
    assert (got.status, got.body, got.headers) == (
        200,
        "hé".encode(),
        [(b"content-type", b"text/plain; charset=utf-8")],
    )


def test_json_text_with_body_is_an_envelope() -> None:
    got = reply(Datum("string", '{"body": {"a": 1}, "statusCode": 202, "headers": {"X-A": "b"}}'))
    assert (got.status, got.body, got.headers) == (202, b'{"a": 1}', [(b"x-a", b"b")])
    assert reply(Datum("string", '{"body": "plain"}')).body == b"plain"


@pytest.mark.parametrize("text", ['{"a": 1}', '["body"]', '{"body": ', "body"])
def test_other_texts_are_not_envelopes(text: str) -> None:
    got = reply(Datum("string", text))
    assert (got.status, got.body) == (200, text.encode())


def test_function_without_a_response_is_204() -> None:
    assert reply_of(FUNCTION, Invocation(succeeded=True)).status == 204
