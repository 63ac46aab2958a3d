"""Calls of every operation that lead to something: things of the operator `boss`, their paths, and the documented bodies."""

import re
from collections.abc import Mapping
from typing import Any

from relay.api.operation import Operation
from tests.api.harness import Harness
from tests.api.sendgrid_requests import mail


async def values_of(relay: Harness) -> dict[str, dict[str, str]]:
    """Path values that lead to something, by the beginning of the path."""
    await relay.send("boss")
    waiting = await relay.send("boss", send_at="2026-03-02T12:00:00Z")
    stored = await relay.call("POST", "/v1/attachments?name=a.txt", body=b"hello", client="boss")
    hook = await relay.call("POST", "/v1/webhooks", json={"url": "https://example.com/mail"}, client="boss")
    theirs = await relay.call("POST", "/v1/webhooks", json={"url": "https://example.com/mail"})
    group = (await relay.call("POST", "/v3/mail/batch", client="boss")).json["batch_id"]
    await relay.call("POST", "/v3/mail/send", json=mail(batch_id=group), client="boss")
    await relay.call("POST", "/v3/user/scheduled_sends", json={"batch_id": group, "status": "pause"}, client="boss")
    await relay.call("PUT", "/v1/templates/hello", json={"subject": "Hello", "text": "Hello"}, client="boss")
    await relay.call("POST", "/v1/suppressions", json={"email": "ada@example.org"}, client="boss")
    await relay.call("PUT", "/v1/topics/news", json={}, client="boss")
    await relay.call("POST", "/v1/topics/news/suppressions", json={"email": "ada@example.org"}, client="boss")
    await relay.deliver()
    [caught] = (await relay.call("GET", "/v1/inbox", client="boss")).json["value"]
    [key] = (await relay.call("GET", "/v1/clients/app", client="boss")).json["keys"]
    return {
        "/v1/messages": {"id": waiting},
        "/v1/attachments": {"id": stored.json["id"]},
        "/v1/webhooks": {"id": hook.json["id"]},
        "/v1/templates": {"name": "hello"},
        "/v1/suppressions": {"email": "ada@example.org"},
        "/v1/topics": {"name": "news", "email": "ada@example.org"},
        "/v1/inbox": {"name": caught["name"]},
        "/v1/clients/{name}/webhooks": {"name": "app", "id": theirs.json["id"]},
        "/v1/clients": {"name": "app", "id": key["id"]},
        "/v1/routes": {"name": "capture"},
        "/v1/timers": {"name": "orphan_entries"},
        "/v3": {"batch_id": group},
    }


def path_of(operation: Operation, known: Mapping[str, Mapping[str, str]]) -> str:
    values = next((values for start, values in known.items() if operation.path.startswith(start)), {})
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], "1"), operation.path)


def body_of(operation: Operation) -> Any:
    return operation.body.example if operation.body is not None else None
