"""An export on the command line follows the links from page to page."""

import httpx2
import pytest

from relay.cli.remote import Remote, RemoteError

URL = "https://relay.example"


def served(request: httpx2.Request) -> httpx2.Response:
    """Two pages, of which the first links to the second by a public name that is not the relay's address here."""
    if "cursor" not in request.url.params:
        link = '<https://public.example/v1/audit/export.csv?client=a%26b&cursor=2>; rel="next"'
        return httpx2.Response(200, content=b"client\r\na&b\r\n", headers={"Link": link})
    assert dict(request.url.params) == {"client": "a&b", "cursor": "2"}
    assert request.url.host == "relay.example"
    return httpx2.Response(200, content=b"a&b\r\n")


def test_pages_of_an_export_are_joined() -> None:
    remote = Remote(URL, "key", httpx2.MockTransport(served))
    assert b"".join(remote.export("/v1/audit/export.csv", {"client": "a&b"})) == b"client\r\na&b\r\na&b\r\n"


def test_refused_export_raises() -> None:
    error = {"error": {"code": "operators_only", "message": "Only operators may call this operation."}}
    remote = Remote(URL, "key", httpx2.MockTransport(lambda _: httpx2.Response(403, json=error)))
    with pytest.raises(RemoteError, match="Only operators"):
        list(remote.export("/v1/audit/export.csv"))
