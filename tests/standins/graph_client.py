"""A small Graph client for the tests of the stand-in."""

import base64
import io
import json
from typing import Any

import aiohttp

from standins.graph.server import AUDIENCE, GraphStandIn

SENDER = "relay@example.com"


class Reply:
    """Status, headers and JSON body (or None) of a response."""

    def __init__(self, status: int, headers: Any, text: str) -> None:
        self.status = status
        self.headers = headers
        self.text = text

    @property
    def json(self) -> Any:
        return json.loads(self.text) if self.text else None

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])


class GraphClient:
    """Calls paths under the mailbox SENDER, by default with a valid token."""

    def __init__(self, http: aiohttp.ClientSession, graph: GraphStandIn) -> None:
        self._http = http
        self._graph = graph
        self.token = graph.issuer.issue(AUDIENCE)

    async def call(self, method: str, path: str, body: Any = None, *, user: str = SENDER, **headers: str) -> Reply:
        url = path if path.startswith("https://") else f"{self._graph.url}/v1.0/users/{user}{path}"
        sent = {"Authorization": f"Bearer {self.token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if isinstance(body, bytes):
            raw: io.BytesIO | None = io.BytesIO(body)
        else:
            raw = None if body is None else io.BytesIO(json.dumps(body).encode())
            sent.setdefault("Content-Type", "application/json")
        async with self._http.request(method, url, data=raw, headers=sent) as reply:
            return Reply(reply.status, reply.headers, await reply.text())

    async def send(self, message: dict[str, Any], **more: Any) -> Reply:
        return await self.call("POST", "/sendMail", {"message": message, **more})

    async def put(self, url: str, content: bytes, start: int, total: int, **headers: str) -> Reply:
        """Upload one range of an upload session."""
        span = {"Content-Range": f"bytes {start}-{start + len(content) - 1}/{total}"}
        async with self._http.put(url, data=io.BytesIO(content), headers={**span, **headers}) as reply:
            return Reply(reply.status, reply.headers, await reply.text())


def message(**changes: Any) -> dict[str, Any]:
    """Return a message resource that Graph accepts."""
    return {
        "subject": "件名",
        "body": {"contentType": "html", "content": "<p>hello</p>"},
        "toRecipients": [{"emailAddress": {"address": "ada@example.org", "name": 'Ada, "A" @ home'}}],
        "bccRecipients": [{"emailAddress": {"address": "bob@example.org"}}],
        "internetMessageHeaders": [{"name": "X-Relay-Id", "value": "m1"}],
        **changes,
    }


def file(content: bytes, name: str = "図.png", **changes: Any) -> dict[str, Any]:
    """Return a fileAttachment resource."""
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": name,
        "contentType": "image/png",
        "contentBytes": base64.b64encode(content).decode(),
        **changes,
    }


def mime(**headers: str) -> bytes:
    """Return a message in the format that Graph accepts as text/plain: all of it in base64."""
    fields = {"From": SENDER, "To": "ada@example.org", "Subject": "hi", "X-Relay-Id": "m1", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return base64.b64encode(f"{head}\r\nhello\r\n".encode())
