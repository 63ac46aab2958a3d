"""What is written: URLs, request lines and headers."""

from collections.abc import AsyncIterator

import pytest

from relay.platform.http.client import HttpClient, Timeouts
from relay.platform.http.errors import InvalidRequest, NotSent
from relay.platform.http.request_head import request_head
from relay.platform.http.url import parse_url
from tests.unit.platform.http.servers import LARGE, OK, Peer, client_of, listening, request


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with client_of() as opened:
        yield opened


@pytest.mark.parametrize(
    ("text", "origin", "authority", "target"),
    [
        ("https://api.example.com/v3/mail/send", ("https", "api.example.com", 443), "api.example.com", "/v3/mail/send"),
        ("HTTP://Example.COM", ("http", "example.com", 80), "example.com", "/"),
        ("https://example.com:443/?a=b&c", ("https", "example.com", 443), "example.com", "/?a=b&c"),
        ("https://example.com:8443/a%2Fb?c=%20d", ("https", "example.com", 8443), "example.com:8443", "/a%2Fb?c=%20d"),
        ("http://[::1]:7071/x", ("http", "::1", 7071), "[::1]:7071", "/x"),
        ("https://[2001:db8::1]/", ("https", "2001:db8::1", 443), "[2001:db8::1]", "/"),
        ("https://bücher.example/ä?ö=件", ("https", "xn--bcher-kva.example", 443), "xn--bcher-kva.example",
         "/%C3%A4?%C3%B6=%E4%BB%B6"),
        ("https://example.com/a|b{c}#part", ("https", "example.com", 443), "example.com", "/a%7Cb%7Bc%7D"),
        ("https://example.com/emails:send?api-version=2023-03-31", ("https", "example.com", 443), "example.com",
         "/emails:send?api-version=2023-03-31"),
        ("https://example.com/users('a@b.c')/x?$filter=id eq 1".replace(" ", "%20"), ("https", "example.com", 443),
         "example.com", "/users('a@b.c')/x?$filter=id%20eq%201"),
    ],
)  # fmt: skip
def test_url_is_split_and_encoded(text: str, origin: tuple[str, str, int], authority: str, target: str) -> None:
    url = parse_url(text)
    assert (tuple(url.origin), url.origin.authority, url.target) == (origin, authority, target)


@pytest.mark.parametrize(
    "text",
    [
        "", "example.com/x", "//example.com/", "ftp://example.com/", "https:///x", "https://", "https://example.com:x/",
        "https://example.com:99999/", "https://[::1/", "https://user:secret@example.com/", "https://user@example.com/",
        "https://example.com/a b", "https://example.com/a\r\nX: secret", "https://exa\tmple.com/", "https://example.com/\0",
        "https://ex ample.com/", "https://\u2100.example/", "https://ex\xa0ample.com/", "https://example.com:0/",
    ],
)  # fmt: skip
def test_url_that_is_none_is_not_sent(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_url(text)
    assert isinstance(refused.value, NotSent)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET", "/", {"X": "a\r\nSecret: 1"}),
        ("GET", "/", {"X": "a\nSecret: 1"}),
        ("GET", "/", {"X": "a\rSecret: 1"}),
        ("GET", "/", {"X": "secret\0"}),
        ("GET", "/", {"X\r\nSecret": "1"}),
        ("GET", "/", {"X": "secret\r\n\r\nGET /admin HTTP/1.1"}),
        ("GET", "/ HTTP/1.1\r\nSecret: 1", {}),
        ("GET", "/secret x", {}),
        ("GET\r\nSecret: 1", "/", {}),
        ("GET /secret", "/", {}),
        ("GET", "/", {"X": "secret \u20ac"}),
        ("GET", "/\u20ac", {}),
    ],
)
def test_text_that_would_be_more_than_one_header_is_refused(method: str, target: str, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        request_head(method, target, "example.com", headers.items(), 0)
    assert "secret" not in f"{refused.value!r} {refused.value.__cause__!r}".lower()


async def test_refused_request_opens_no_connection(client: HttpClient) -> None:
    async with listening(Peer.read_to_the_end) as server:
        with pytest.raises(InvalidRequest):
            await client.request(
                "GET", parse_url(server.url), headers={"X": "a\nb"}, timeouts=Timeouts(), max_body_bytes=1
            )
        assert server.peers == []


async def test_request_has_the_right_lines_and_body(client: HttpClient) -> None:
    got: list[bytes] = []

    async def respond(peer: Peer) -> None:
        while True:
            body = await peer.read_request()
            got.append(peer.head + body)
            await peer.send(OK)

    async with listening(respond) as server:
        url = parse_url(server.url)
        host = url.origin.authority.encode()
        headers = {"x-one": "1", "Accept": "*/*"}
        for method, body in (("POST", b"body"), ("POST", b""), ("GET", b""), ("DELETE", b""), ("PATCH", b"")):
            await client.request(method, url, headers=headers, body=body, timeouts=Timeouts(), max_body_bytes=10)
        await request(client, server.url, LARGE)
    rest = b"x-one: 1\r\nAccept: */*\r\n\r\n"
    line = b" /there HTTP/1.1\r\nHost: " + host + b"\r\n"
    assert got[:5] == [
        b"POST" + line + b"Content-Length: 4\r\n" + rest + b"body",
        b"POST" + line + b"Content-Length: 0\r\n" + rest,
        b"GET" + line + rest,
        b"DELETE" + line + rest,
        b"PATCH" + line + b"Content-Length: 0\r\n" + rest,
    ]
    assert got[5].partition(b"\r\n\r\n")[2] == LARGE
