"""Error codes: each occurs, each is documented, and no other is returned."""

import ast
import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from relay.api.app import Api
from relay.api.errors import CODES
from relay.api.http import Request, Response
from relay.api.operation import Operation, Operations, Tag
from relay.api.services import Call
from relay.clients.keys import Role
from relay.clients.policy import Policy
from relay.core import ids
from relay.core.errors import Unavailable
from relay.core.events import RecordedEvent
from relay.core.outcomes import CAUSES, FIXES
from relay.journal.record_rows import partition
from relay.journal.records import TABLE
from relay.operations.timers.run_now import LEASE
from relay.platform.resources import IDEMPOTENCY_TABLE, TIMERS_TABLE
from relay.platform.storage.ports import Entity, Value
from relay.unsubscribe.topics import MAX_TOPICS
from tests.api.entra import ROLES, person
from tests.api.harness import BASE, ApiResponse, Harness, file, message

ROOT = Path(__file__).parent.parent.parent

type Provoke = Callable[[Harness], Awaitable[ApiResponse]]


def fields(**values: Any) -> Provoke:
    """A message with these fields."""

    async def provoke(relay: Harness) -> ApiResponse:
        return await relay.call("POST", "/v1/messages", json=message(**values))

    return provoke


def request(method: str, path: str, **options: Any) -> Provoke:
    """Any other call."""

    async def provoke(relay: Harness) -> ApiResponse:
        return await relay.call(method, path, **options)

    return provoke


def under(policy: Policy, **values: Any) -> Provoke:
    """A message of a client with this policy."""

    async def provoke(relay: Harness) -> ApiResponse:
        await relay.add_client("limited", policy=policy)
        return await relay.call("POST", "/v1/messages", json=message(**values), client="limited")

    return provoke


def beyond(policy: Policy) -> Provoke:
    """Two messages of a client that may send one."""

    async def provoke(relay: Harness) -> ApiResponse:
        await relay.add_client("limited", policy=policy)
        await relay.send("limited")
        return await relay.call("POST", "/v1/messages", json=message(), client="limited")

    return provoke


async def three_keys(relay: Harness) -> ApiResponse:
    """A second key, and a third."""
    await relay.call("POST", "/v1/clients/app/keys", client="boss")
    return await relay.call("POST", "/v1/clients/app/keys", client="boss")


async def many_topics(relay: Harness) -> ApiResponse:
    """One topic more than a client may have."""
    for number in range(MAX_TOPICS):
        await relay.call("PUT", f"/v1/topics/t{number}", json={})
    return await relay.call("PUT", "/v1/topics/more", json={})


async def insecure_link(_: Harness) -> ApiResponse:
    """A message about a topic, in a relay that is known by an address without https."""
    relay = await Harness({"RELAY_PUBLIC_URL": "http://relay.example"}).start()
    return await relay.call("POST", "/v1/messages", json=message(unsubscribe={"topic": "news"}))


async def wrong_keys(relay: Harness) -> ApiResponse:
    """More wrong keys than one address may try."""
    wrong = {"Authorization": "Bearer relay_00000000_wrong", "X-Forwarded-For": "203.0.113.9"}
    for _ in range(20):
        await relay.call("GET", "/v1/inbox", headers=wrong, client=None)
    return await relay.call("GET", "/v1/inbox", headers=wrong, client=None)


def keyed(*payloads: dict[str, Any], key: str = "k") -> Provoke:
    """Messages under the same Idempotency-Key."""

    async def provoke(relay: Harness) -> ApiResponse:
        for payload in payloads:
            response = await relay.call("POST", "/v1/messages", json=payload, headers={"Idempotency-Key": key})
        return response

    return provoke


async def key_in_use(relay: Harness) -> ApiResponse:
    relay.queues.is_away = True
    relay.tables.failing = frozenset(("merge",))  # so that the reservation cannot be given back
    await keyed(message())(relay)
    relay.queues.is_away = False
    return await keyed(message())(relay)


async def damaged_key(relay: Harness) -> ApiResponse:
    await keyed(message())(relay)
    [row] = relay.memory.tables.rows(IDEMPOTENCY_TABLE)
    await relay.memory.tables.merge(IDEMPOTENCY_TABLE, replace(row, properties={"chunks": "many"}))
    return await keyed(message())(relay)


async def step_running(relay: Harness) -> ApiResponse:
    lease: dict[str, Value] = {"name": "purge", "token": "another", "until": relay.clock() + LEASE}
    await relay.memory.tables.upsert(TIMERS_TABLE, Entity(partition="manual", row="lease", properties=lease))
    return await relay.call("POST", "/v1/timers/recovery/run", client="boss")


async def damaged_record(relay: Harness) -> ApiResponse:
    name = await relay.send()
    await relay.deliver()
    row = Entity(partition=partition(ids.parse(name).batch), row="batch", properties={"m00": b"{"})
    await relay.memory.tables.merge(TABLE, row)
    return await relay.call("GET", f"/v1/messages/{name}/content")


async def busy(relay: Harness) -> ApiResponse:
    harness = await Harness({"RELAY_MAX_WAITING_MESSAGES": "32"}).start()
    harness.queues.gate = asyncio.Event()
    calls = [asyncio.create_task(harness.call("POST", "/v1/messages", json=message())) for _ in range(80)]
    [first, *_], _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    harness.queues.gate.set()
    responses = await asyncio.gather(*calls)
    assert [response.status for response in responses].count(202) == 32
    assert harness.waiting == 1
    response: ApiResponse = first.result()
    return response


async def upload_used(relay: Harness) -> ApiResponse:
    name = await uploaded(relay, "")
    await relay.send(attachments=[{"id": name}])
    return await relay.call("DELETE", f"/v1/attachments/{name}")


async def uploaded(relay: Harness, query: str) -> str:
    """The id of an upload; with `&parts=true` of one that is only begun."""
    response = await relay.call("POST", f"/v1/attachments?name=a.txt{query}", body=b"" if query else b"hello")
    return str(response.json["id"])


def of_upload(method: str, path: str, query: str = "", body: bytes | None = None) -> Provoke:
    """A call about an upload."""

    async def provoke(relay: Harness) -> ApiResponse:
        return await relay.call(method, f"/v1/attachments/{await uploaded(relay, query)}{path}", body=body)

    return provoke


async def storage_unavailable(relay: Harness) -> ApiResponse:
    relay.queues.is_away = True
    return await relay.call("POST", "/v1/messages", json=message())


async def message_erased(relay: Harness) -> ApiResponse:
    name = await relay.send()
    await relay.deliver()
    await relay.call("POST", "/v1/erase", json={"recipient": "ada@example.org"}, client="boss")
    return await relay.call("GET", f"/v1/messages/{name}/content")


async def newer_version(relay: Harness) -> ApiResponse:
    name = await relay.send()
    await relay.deliver()
    row = Entity(partition=partition(ids.parse(name).batch), row="batch", properties={"content": b'{"relay":3}'})
    await relay.memory.tables.merge(TABLE, row)
    return await relay.call("GET", f"/v1/messages/{name}")


async def audit_away(relay: Harness) -> ApiResponse:
    """The audit log cannot be written."""
    relay.tables.fail("insert", Unavailable("away"))
    return await relay.call("POST", "/v1/resume", client="boss")


def waited(local: str) -> Provoke:
    """Waiting for a message that will not be sent."""

    async def provoke(relay: Harness) -> ApiResponse:
        begun = await relay.call("POST", "/v1/messages?wait=sent", json=message(to=f"{local}@relay.test"))
        await relay.deliver()
        return await relay.call("GET", begun.headers["location"].removeprefix(BASE), client=None)

    return provoke


async def bounced(relay: Harness) -> ApiResponse:
    """Waiting for the delivery of a message that bounced."""
    begun = await relay.call("POST", "/v1/messages?wait=delivered", json=message())
    await relay.deliver()
    event = RecordedEvent(index=0, kind="bounced", at=relay.clock(), key="k", recipient="ada@example.org", attempt=1)
    await relay.relay.journal.note(ids.parse(begun.json["id"]).batch, event)
    return await relay.call("GET", begun.headers["location"].removeprefix(BASE), client=None)


async def sent_already(relay: Harness) -> ApiResponse:
    name = await relay.send()
    await relay.deliver()
    return await relay.call("DELETE", f"/v1/messages/{name}")


def change(method: str, path: str, body: Any, client: str = "app", *, is_delivered: bool = True) -> Provoke:
    """A change of a message that was sent, or that lies on the queue."""

    async def provoke(relay: Harness) -> ApiResponse:
        name = await relay.send(send_at="2026-03-02T12:00:00Z" if not is_delivered else None)
        if is_delivered:
            await relay.deliver()
        return await relay.call(method, f"/v1/messages/{name}{path}", json=body, client=client)

    return provoke


async def bug(relay: Harness) -> ApiResponse:
    async def broken(call: Call) -> Response:
        raise ZeroDivisionError

    operation = Operation(name="Broken", endpoint="GET /v1/broken", handler=broken, roles=None)
    operations = Operations({"/v1/broken": Tag(name="Test", operations=(operation,))})
    response = await Api(relay.relay, operations).handle(Request(method="GET", path="/v1/broken"))
    headers = {name.lower(): value for name, value in response.headers.items()}
    return ApiResponse(status=response.status, headers=headers, body=response.body)


async def too_large(relay: Harness) -> ApiResponse:
    harness = await Harness({"RELAY_MAX_MESSAGE_BYTES": "10000"}).start()
    return await harness.call("POST", "/v1/messages", json=message(text="x" * 10_000))


async def unsigned(relay: Harness) -> ApiResponse:
    harness = await Harness({"RELAY_EVENT_GRID_SECRET": "setting:GRID", "GRID": "s3cret"}).start()
    return await harness.call("POST", "/v1/events/acs", json=[], client=None)


async def lists_away(relay: Harness) -> ApiResponse:
    routes = {"sendgrid": {"provider": "sendgrid", "base_url": "http://127.0.0.1:9", "api_key": "setting:KEY"}}
    harness = await Harness({"RELAY_ROUTES": json.dumps(routes), "KEY": "SG.x"}).start()
    response = await harness.call("POST", "/v1/suppressions/sync", json={"route": "sendgrid"}, client="boss")
    await harness.relay.close()
    return response


DEEP: Any = {}
for _ in range(20):
    DEEP = {"a": DEEP}


async def content_not_found(relay: Harness) -> ApiResponse:
    name = await relay.send()
    return await relay.call("GET", f"/v1/messages/{name}/content")


async def cross_site(relay: Harness) -> ApiResponse:
    behind = await Harness({"WEBSITE_AUTH_ENABLED": "true"}).start()
    headers = {"Sec-Fetch-Site": "cross-site", "X-MS-CLIENT-PRINCIPAL": "e30="}
    return await behind.call("POST", "/v1/messages", json=message(), headers=headers, client=None)


def signed_in_with(*claims: tuple[str, str]) -> Provoke:
    """A call of a person whose token has these claims."""

    async def provoke(relay: Harness) -> ApiResponse:
        behind = await Harness(ROLES).start()
        return await behind.call("GET", "/v1/me", headers=person(*claims), client=None)

    return provoke


def of_template(text: str) -> Provoke:
    """A message of a template with this text, without variables."""

    async def provoke(relay: Harness) -> ApiResponse:
        await relay.call("PUT", "/v1/templates/welcome", json={"text": text}, client="boss")
        return await relay.call("POST", "/v1/messages", json=message(text=None, template="welcome"))

    return provoke


def as_role(role: Role, method: str, path: str) -> Provoke:
    """A call with a key of this role."""

    async def provoke(relay: Harness) -> ApiResponse:
        await relay.add_client("other", role=role)
        return await relay.call(method, path, client="other")

    return provoke


PROVOKED: dict[str, tuple[int, Provoke]] = {
    "unauthenticated": (401, request("GET", "/v1/inbox", client=None)),
    "address_not_allowed": (403, under(Policy(ip_ranges=("10.0.0.0/8",)))),
    "operators_only": (403, request("GET", "/v1/deadletters")),
    "role_not_allowed": (403, as_role(Role.VIEWER, "GET", "/v1/audit")),
    "no_role": (403, signed_in_with(("roles", "Other"))),
    "too_many_groups": (403, signed_in_with(("_claim_names", '{"groups":"src1"}'))),
    "cross_site": (403, cross_site),
    "not_found": (404, request("GET", "/v1/nowhere")),
    "not_configured": (404, request("POST", "/v1/events/sendgrid", json=[], client=None)),
    "bad_signature": (403, unsigned),
    "method_not_allowed": (405, request("PUT", "/v1/messages")),
    "message_not_found": (404, request("GET", "/v1/messages/msg_x")),
    "content_not_found": (404, content_not_found),
    "message_erased": (410, message_erased),
    "link_not_valid": (403, request("GET", "/v1/inbox/x/html", client=None)),
    "mail_not_found": (404, request("GET", "/v1/inbox/wait?timeout=1")),
    "invalid_request": (400, fields(subject=None, text=None)),
    "malformed_json": (400, request("POST", "/v1/messages", body=b'{"from": ')),
    "unsupported_media_type": (
        415,
        request("POST", "/v1/messages", body=b"<mail/>", headers={"Content-Type": "text/xml"}),
    ),
    "no_message_accepted": (400, request("POST", "/v1/messages/batch", json={"messages": [{"to": "nobody"}]})),
    "empty_body": (400, request("POST", "/v1/messages", body=b" ")),
    "length_required": (411, request("POST", "/v1/messages", headers={"Transfer-Encoding": "chunked"})),
    "message_too_large": (413, too_large),
    "required": (400, fields(subject=None)),
    "unknown_field": (400, fields(subjet="x")),
    "duplicate_key": (400, request("POST", "/v1/messages", body=b'{"from": "a@b.example", "from": "c@d.example"}')),
    "wrong_type": (400, fields(subject=5)),
    "invalid_choice": (400, fields(delivery="sometimes")),
    "invalid_text": (400, fields(subject="a\r\nBcc: b@example.com")),
    "invalid_value": (400, fields(lane="!")),
    "too_long": (400, fields(subject="x" * 999)),
    "too_many": (400, fields(tags=[f"tag{number}" for number in range(11)])),
    "too_deep": (400, fields(options={"sendgrid": DEEP})),
    "too_large": (400, fields(metadata={f"key{number}": "x" * 490 for number in range(20)})),
    "out_of_range": (400, fields(expires_in_seconds=1)),
    "not_applicable": (400, fields(variables={"name": "Ada"})),
    "too_many_problems": (400, fields(to=["nobody"] * 1000, subject=None)),
    "invalid_address": (400, fields(to="nobody")),
    "no_recipients": (400, fields(to=None)),
    "too_many_recipients": (400, fields(to=[f"a{number}@example.com" for number in range(1001)])),
    "duplicate_recipient": (400, fields(to="ada@example.com", bcc="ADA@example.com")),
    "no_content": (400, fields(text=None)),
    "invalid_header_name": (400, fields(headers={"X Order": "1"})),
    "forbidden_header": (400, fields(headers={"Bcc": "b@example.com"})),
    "duplicate_header": (400, fields(headers={"X-A": "1", "x-a": "2"})),
    "invalid_base64": (400, fields(attachments=[{"name": "a.txt", "content": "a-b_"}])),
    "invalid_file_name": (400, fields(attachments=[file(name="../a.txt")])),
    "invalid_media_type": (400, fields(attachments=[file(type="text")])),
    "invalid_content_id": (400, fields(attachments=[file(content_id="a\nb")])),
    "unknown_attachment": (400, fields(attachments=[{"id": "att_1"}])),
    "invalid_template": (400, request("PUT", "/v1/templates/a", json={"text": "{{"}, client="boss")),
    "template_not_found": (404, request("GET", "/v1/templates/a")),
    "unknown_template": (400, fields(text=None, template="a")),
    "unknown_topic": (400, fields(unsubscribe={"topic": "news"})),
    "no_unsubscribe_link": (422, insecure_link),
    "too_many_topics": (409, many_topics),
    "not_renderable": (422, of_template("{{ name }}")),
    "missing_variable": (422, of_template("{{ name }}")),
    "rendering_failed": (422, of_template("{{ 1 / 0 }}")),
    "attachment_not_found": (404, request("GET", "/v1/attachments/att_1")),
    "attachment_incomplete": (409, of_upload("POST", "/complete", "&parts=true")),
    "attachment_complete": (409, of_upload("PUT", "/parts/1", body=b"x")),
    "attachment_in_use": (409, upload_used),
    "invalid_tag": (400, fields(tags=["ä"])),
    "invalid_time": (400, fields(send_at="tomorrow")),
    "unknown_lane": (400, fields(lane="slow")),
    "unknown_route": (400, fields(route="pigeon")),
    "forbidden": (403, under(Policy(senders=("*@other.example",)))),
    "sender_not_allowed": (403, under(Policy(senders=("*@other.example",)))),
    "recipient_not_allowed": (403, under(Policy(recipients=("*@example.com",)))),
    "ambiguous_part": (
        400,
        request(
            "POST",
            "/v1/messages?to=ada@example.org",
            headers={"content-type": "message/rfc822"},
            body=b"From: a@example.com\r\nContent-Type: multipart/mixed; boundary=b; x*=a; x*1=b\r\n\r\n--b--\r\n",
        ),
    ),
    "bypass_not_allowed": (
        403,
        fields(options={"sendgrid": {"mail_settings": {"bypass_spam_management": {"enable": True}}}}),
    ),
    "lane_not_allowed": (403, under(Policy(lanes=("bulk",)), lane="transactional")),
    "route_not_allowed": (403, under(Policy(routes=("other",)), route="capture")),
    "attachment_not_allowed": (403, fields(attachments=[file(name="setup.exe. ")])),
    "not_carriable": (422, fields(options={"sendgrid": {"template_id": "d-1"}})),
    "not_cancellable": (409, sent_already),
    "not_scheduled": (409, change("PATCH", "", {"send_at": "2026-03-02T12:00:00Z"})),
    "not_scheduled_yet": (409, change("PATCH", "", {"send_at": "2026-03-02T12:00:00Z"}, is_delivered=False)),
    "not_resendable": (409, change("POST", "/resend", {"sent_until": "2020-03-02T12:00:00Z"}, "boss")),
    "not_dead": (409, change("POST", "/redrive", {}, "boss")),
    "not_sent": (422, waited("rejected")),
    "not_delivered": (422, bounced),
    "invalid_idempotency_key": (400, keyed(message(), key="ä")),
    "idempotency_key_reused": (422, keyed(message(), message(subject="other"))),
    "idempotency_key_in_use": (409, key_in_use),
    "idempotency_key_unreadable": (409, damaged_key),
    "step_running": (409, step_running),
    "client_exists": (409, request("POST", "/v1/clients", json={"name": "app"}, client="boss")),
    "too_many_keys": (409, three_keys),
    "own_client": (409, request("DELETE", "/v1/clients/boss", client="boss")),
    "too_many_requests": (429, beyond(Policy(rate_per_minute=1))),
    "quota_exhausted": (429, beyond(Policy(daily_quota=1))),
    "too_many_failures": (429, wrong_keys),
    "busy": (503, busy),
    "provider_unavailable": (503, lists_away),
    "storage_unavailable": (503, storage_unavailable),
    "audit_unavailable": (503, audit_away),
    "newer_version": (503, newer_version),
    "unreadable": (503, damaged_record),
    "internal_error": (500, bug),
}


WITHOUT_RETRY_AFTER = {
    "attachment_incomplete",
    "attachment_complete",
    "attachment_in_use",
    "not_cancellable",
    "not_scheduled",
    "not_resendable",
    "not_dead",
    "client_exists",
    "too_many_topics",
    "too_many_keys",
    "own_client",
    "idempotency_key_unreadable",
}


@pytest.mark.parametrize("code", PROVOKED)
async def test_each_error_code_occurs(relay: Harness, code: str) -> None:
    status, provoke = PROVOKED[code]
    response = await provoke(relay)
    assert response.status == status, response.body
    said = {response.error["code"], *(detail["code"] for detail in response.error["details"])}
    assert code in said
    if status in (409, 429, 503) and code not in WITHOUT_RETRY_AFTER:
        assert int(response.headers["retry-after"]) >= 1


def test_every_error_code_has_a_case() -> None:
    assert CODES.keys() == PROVOKED.keys()


def codes_in_source() -> set[str]:
    """Every code that a `Refusal`, a `Problem` or a noted problem is made with in the application's source."""
    found: set[str] = set()
    for path in (ROOT / "relay").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                found |= set(_codes_of(node))
    return found


def _codes_of(node: ast.Call) -> list[str]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    keyword = [each.value for each in node.keywords if each.arg == "code"]
    position = {"Refusal": 1, "add": 0, "forbid": 0, "Unreadable": 0, "_refusal": 0, "_invalid": 0}.get(name)
    if name == "Problem":
        chosen = keyword
    elif position is not None and len(node.args) > position and (name != "add" or _is_problems(node.func)):
        chosen = [node.args[position]]
    else:
        return []
    return [each.value for each in chosen if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def _is_problems(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and ast.unparse(function.value).endswith("problems")


def test_all_returned_codes_are_documented() -> None:
    found = codes_in_source()
    assert {"invalid_address", "too_deep", "sender_not_allowed", "storage_unavailable"} <= found
    assert found <= CODES.keys()


def documented() -> dict[str, str]:
    """Every code of docs/errors.md with what stands below it."""
    text = (ROOT / "docs" / "errors.md").read_text().partition("\n## Causes")[0]
    sections = re.split(r"^### (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(sections[1::2], sections[2::2], strict=True))


def test_documentation_explains_each_error_code() -> None:
    explained = documented()
    assert explained.keys() == CODES.keys()
    for code, text in explained.items():
        assert text.strip().startswith(CODES[code]), code
        assert len(text.strip()) > len(CODES[code]) + 20, f"{code}: what is to be done?"


def test_documentation_explains_each_cause_and_its_fix() -> None:
    table = (ROOT / "docs" / "errors.md").read_text().partition("\n## Causes")[2]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", table, flags=re.MULTILINE)
    assert {code: (meaning, fix) for code, meaning, fix in rows} == {
        code: (CAUSES[code], FIXES[code]) for code in CAUSES
    }
    assert FIXES.keys() == CAUSES.keys()
