"""Call an ASGI application without a server."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

type Application = Callable[..., Awaitable[None]]


class Response:
    """The application's response."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    def header(self, name: bytes) -> bytes | None:
        return dict(self.headers).get(name)


async def call(
    application: Application,
    method: str = "GET",
    target: str = "/",
    *,
    headers: Sequence[tuple[bytes, bytes]] = (),
    body: Sequence[bytes] = (),
    is_chunked: bool = False,
) -> Response:
    """Send a request with its body in the given parts; `is_chunked` omits Content-Length."""
    path, _, query = target.partition("?")
    length = [] if is_chunked or not body else [(b"content-length", b"%d" % sum(map(len, body)))]
    scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost"), *length, *headers],
    }
    parts = [*body]
    response = Response()

    async def receive() -> MutableMapping[str, Any]:
        if not parts:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(sent: MutableMapping[str, Any]) -> None:
        response.status = sent.get("status", response.status)
        response.headers += sent.get("headers", [])
        response.body += sent.get("body", b"")

    await application(scope, receive, send)
    return response
