"""A whole Relay in one process: storage in memory, a clock that moves only when a test moves it, and real delivery."""

import base64
import hashlib
import json as json_module
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import msgspec

from relay.api.errors import CODES
from relay.api.http import Request
from relay.bootstrap import Relay
from relay.bootstrap.configuration import load
from relay.clients.keys import Role
from relay.clients.policy import Policy
from relay.platform.storage.memory.memory_storage import MemoryStorage, memory_storage
from relay.platform.storage.ports import Blobs, Queues, Storage, Tables
from tests.api.responses import check_response
from tests.doubles import Clock, Watched

BASE = "https://relay.example"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class ApiResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response; `headers` by names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json_module.loads(self.body)

    @property
    def error(self) -> Any:
        """The error of a refusal."""
        return self.json["error"]

    @property
    def problems(self) -> list[tuple[str, str]]:
        """Code and target of each detail, in order."""
        return [(detail["code"], detail["target"]) for detail in self.error["details"]]


class Harness:
    """An application, its storage and its clock. Calls use the key of client `app` by default."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.clock = Clock(NOON)
        self._batches = 0
        self.memory: MemoryStorage = memory_storage(self.clock)
        self.queues, self.tables, self.blobs = (
            Watched(port) for port in (self.memory.queues, self.memory.tables, self.memory.blobs)
        )
        storage = Storage(
            queues=cast(Queues, self.queues), tables=cast(Tables, self.tables), blobs=cast(Blobs, self.blobs)
        )
        self.relay = Relay(
            load({"RELAY_PUBLIC_URL": BASE, **(environment or {})}),
            storage,
            clock=self.clock,
            draw=lambda: 0.5,
            sleep=self.clock.sleep,
            new_batch=self._new_batch,
        )
        self.keys: dict[str, str] = {}

    def _new_batch(self) -> str:
        """A batch name of the clock's time, in the order of asking and on any shard."""
        self._batches += 1
        number = hashlib.sha256(str(self._batches).encode()).hexdigest()[:15]
        return f"{int(self.clock().timestamp() * 1000):012x}7{self._batches:03x}8{number}"

    async def start(self) -> "Harness":
        """Create what storage needs, a client `app` and an operator `boss`."""
        await self.relay.create_storage()
        await self.add_client("app")
        await self.add_client("boss", role=Role.OPERATOR)
        return self

    async def add_client(self, name: str, *, role: Role = Role.CLIENT, policy: Policy | None = None) -> None:
        """Another client, which may send from any address unless the policy names some; its key is kept under its name."""
        chosen = policy or Policy()
        chosen = msgspec.structs.replace(chosen, senders=chosen.senders or ("*",))
        self.keys[name] = await self.relay.clients.create(name, role=role, policy=chosen)

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        client: str | None = "app",
    ) -> ApiResponse:
        """Make a call, as the Functions host would hand it over. Every response is checked against the OpenAPI document."""
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        if client is not None:
            sent.setdefault("authorization", f"Bearer {self.keys[client]}")
        if json is not None:
            body = json_module.dumps(json).encode()
        if body is not None:
            sent.setdefault("content-type", "application/json")
            sent.setdefault("content-length", str(len(body)))
        parts = urlsplit(path)
        request = Request(
            method=method,
            path=parts.path,
            url=BASE + path if path.startswith("/") else path,
            headers=sent,
            query=dict(parse_qsl(parts.query)),
            body=body or b"",
        )
        handled = await self.relay.api.handle(request)
        # azure.functions adds it to each text: written here too, it would stand there twice.
        assert "charset" not in handled.headers.get("Content-Type", "")
        check_response(request, handled)
        response = ApiResponse(
            status=handled.status,
            headers={name.lower(): value for name, value in handled.headers.items()},
            body=handled.body,
        )
        check_error(response, parts.path)
        return response

    async def send(self, client: str = "app", **fields: Any) -> str:
        """Submit a message that is fine but for `fields`; its id."""
        response = await self.call("POST", "/v1/messages", json=message(**fields), client=client)
        assert response.status == 202, response.body
        return str(response.json["id"])

    async def status(self, name: str, client: str = "app") -> Any:
        """Return the status of a message."""
        response = await self.call("GET", f"/v1/messages/{name}", client=client)
        assert response.status == 200, response.body
        return response.json

    async def deliver(self) -> int:
        """Deliver every entry that is visible now, as the host's listeners would; how many there were."""
        delivered = 0
        for lane, settings in self.relay.settings.lanes.items():
            for queue in settings.queues(lane):
                while received := await self.memory.queues.receive(queue, limit=32):
                    for entry in received:
                        await self.relay.delivery.deliver(queue, entry.body, is_redelivery=entry.dequeue_count > 1)
                        await self.memory.queues.delete(queue, entry)
                        delivered += 1
        return delivered

    async def pass_time(self, seconds: float) -> None:
        """Move the clock, let the timer of every minute run, and deliver what is due."""
        self.clock.move(seconds)
        await self.relay.recovery.run()
        await self.deliver()

    @property
    def waiting(self) -> int:
        """Entries on all outbound queues, visible or not."""
        queues = (queue for lane, settings in self.relay.settings.lanes.items() for queue in settings.queues(lane))
        return sum(len(self.memory.queues.bodies(queue)) for queue in queues)


def message(**fields: Any) -> dict[str, Any]:
    """Return a valid message, changed by `fields`; those that are None are left out."""
    whole = {
        "from": "Shop <orders@example.com>",
        "to": "ada@example.org",
        "subject": "Order 4711",
        "text": "Thank you.",
        **{name.rstrip("_"): value for name, value in fields.items()},
    }
    return {name: value for name, value in whole.items() if value is not None}


def file(content: bytes = b"hello", **fields: Any) -> dict[str, Any]:
    """Return an attachment, changed by `fields`."""
    return {"name": "hello.txt", "content": base64.b64encode(content).decode(), **fields}


def check_error(response: ApiResponse, path: str) -> None:
    """Check that an error has the documented shape and codes."""
    if response.status < 400 or not path.startswith("/v1") or "error" not in response.json:
        return
    error = response.error
    assert error["code"] == response.headers["x-ms-error-code"]
    assert error["message"].endswith((".", "?"))
    assert error["help"].endswith(error["code"])
    assert error["request_id"] == response.headers["x-ms-request-id"]
    unknown = {error["code"], *(detail["code"] for detail in error["details"])} - CODES.keys()
    assert not unknown
