"""The audit log: every call that changes something leaves one record, whatever comes of it, and a crash leaves it too."""

import csv
import io
import json
import re
from typing import Any

import msgspec
import pytest

from relay.api.operation import Audit, Operation, Unaudited, loaded
from relay.api.operations import OPERATIONS
from relay.clients.roles import OPERATORS
from relay.core.errors import Unavailable
from relay.operations.audit.record import MAX_DETAIL, MAX_TEXT, TABLE, address_digest
from relay.platform.resources import TABLES
from tests.api.harness import BASE, ApiResponse, Harness
from tests.api.sample_calls import body_of, path_of, values_of
from tests.traces import traces

AUDITED = [operation for operation in OPERATIONS if isinstance(operation.audit, Audit)]
OUTCOMES = {2: "succeeded", 4: "refused", 5: "failed"}


class CrashError(BaseException):
    """The process dies."""


@pytest.mark.parametrize("operation", list(OPERATIONS), ids=lambda operation: operation.name)
def test_operation_is_audited_unless_it_says_why_not(operation: Operation) -> None:
    if operation.method == "GET":
        assert operation.audit is None
        return
    assert isinstance(operation.audit, Audit | Unaudited)
    if operation.roles == OPERATORS:
        assert isinstance(operation.audit, Audit)


@pytest.mark.parametrize("operation", AUDITED, ids=lambda operation: operation.name)
def test_record_names_members_that_the_operation_has(operation: Operation) -> None:
    assert isinstance(operation.audit, Audit)
    assert operation.roles is not None
    shape = loaded(operation.body.shape) if operation.body is not None else None
    fields = set(getattr(shape, "__struct_encode_fields__", getattr(shape, "__annotations__", ())))
    queries = {parameter.name for parameter in operation.parameters if parameter.place == "query"}
    assert set(operation.audit.members) <= fields | queries
    if operation.audit.resource:
        assert callable(loaded(operation.audit.resource))


# ── each audited operation, whatever its outcome ──


async def records(relay: Harness) -> list[Any]:
    listed = await relay.call("GET", "/v1/audit?limit=1000", client="boss")
    assert listed.status == 200, listed.body
    return list(listed.json["value"])


async def filled(relay: Harness) -> dict[str, dict[str, str]]:
    """Things to change, and an empty audit log."""
    known = await values_of(relay)
    for row in relay.memory.tables.rows(TABLE):
        await relay.memory.tables.delete(TABLE, row.partition, row.row)
    return known


@pytest.mark.parametrize("operation", AUDITED, ids=lambda operation: operation.name)
async def test_audited_call_leaves_one_record_whatever_its_outcome(relay: Harness, operation: Operation) -> None:
    known = await filled(relay)
    path, body = path_of(operation, known), body_of(operation)
    wrong = re.sub(r"\{(\w+)\}", "%00nothing", operation.path)
    calls: list[tuple[str, str, Any]] = [
        ("app", path, body),
        ("boss", path, {"no_such_field": 1}),
        ("boss", wrong, body),
        ("boss", path, body),
    ]
    for number, (client, address, sent) in enumerate(calls, 1):
        headers = {"X-Relay-Reason": f"try {number}", "X-Forwarded-For": "192.0.2.1, 203.0.113.9"}
        response = await relay.call(operation.method, address, json=sent, client=client, headers=headers)
        found = await records(relay)
        assert len(found) == number, (operation.name, response.status, response.body)
        newest = found[0]
        relay.clock.move(1)
        assert newest["operation"] == operation.name
        assert (newest["client"], newest["credential"]) == (client, f"key:{relay.keys[client].split('_')[1]}")
        assert (newest["status"], newest["outcome"]) == (response.status, OUTCOMES[response.status // 100])
        assert newest["code"] == response.headers.get("x-ms-error-code", newest["code"])
        assert newest["request_id"] == response.headers["x-ms-request-id"]
        assert newest["address"] == "203.0.113.9"


@pytest.mark.parametrize("operation", AUDITED, ids=lambda operation: operation.name)
async def test_crash_between_effect_and_response_leaves_the_record(
    relay: Harness, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = await filled(relay)
    path, body = path_of(operation, known), body_of(operation)

    async def die(*_: Any) -> None:
        raise CrashError

    with monkeypatch.context() as patched:
        patched.setattr(relay.relay.audit_log, "complete", die)
        with pytest.raises(CrashError):
            await relay.call(operation.method, path, json=body, client="boss")
    [record] = await records(relay)
    assert (record["operation"], record["outcome"], record["status"]) == (operation.name, "unknown", 0)


async def test_outcome_that_cannot_be_written_hides_no_response(
    relay: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    relay.tables.fail("merge", Unavailable("away"))
    made = await relay.call("POST", "/v1/clients", json={"name": "shop"}, client="boss")
    assert (made.status, made.json["key"][:6]) == (201, "relay_")
    [record] = await records(relay)
    assert (record["operation"], record["target"], record["outcome"]) == ("CreateClient", "shop", "unknown")
    assert "audit_incomplete" in caplog.text


@pytest.mark.parametrize("operation", AUDITED, ids=lambda operation: operation.name)
async def test_call_that_cannot_be_recorded_has_no_effect(relay: Harness, operation: Operation) -> None:
    known = await filled(relay)
    path, body = path_of(operation, known), body_of(operation)
    before = {table: relay.memory.tables.rows(table) for table in TABLES}
    relay.tables.fail("insert", Unavailable("away"))
    refused = await relay.call(operation.method, path, json=body, client="boss")
    code = refused.headers.get("x-ms-error-code")
    assert (refused.status, code) == (503, "audit_unavailable")
    assert {table: relay.memory.tables.rows(table) for table in TABLES} == before


async def test_table_that_is_missing_refuses_changes_and_says_so(relay: Harness) -> None:
    del relay.memory.tables._tables[TABLE]
    refused = await relay.call("POST", "/v1/resume", client="boss")
    assert (refused.status, refused.error["code"]) == (503, "audit_unavailable")


async def test_submission_costs_no_audit_operation(relay: Harness) -> None:
    await relay.send()
    await relay.deliver()
    assert relay.memory.tables.rows(TABLE) == []


async def test_caller_without_a_key_writes_no_record(relay: Harness) -> None:
    for headers in ({}, {"Authorization": "Bearer relay_00000000_wrong"}):
        assert (await relay.call("POST", "/v1/pause", client=None, headers=headers)).status == 401
    assert relay.memory.tables.rows(TABLE) == []


# ── what a record holds ──


async def test_digests_show_whether_the_resource_changed(relay: Harness) -> None:
    for policy in ({"rate_per_minute": 60}, {"rate_per_minute": 60}):
        await relay.call("PATCH", "/v1/clients/app", json={"policy": policy}, client="boss")
        relay.clock.move(1)
    await relay.call("DELETE", "/v1/clients/app", client="boss")
    deleted, again, first = await records(relay)
    assert first["before"] != first["after"]
    assert (again["before"], again["after"]) == (first["after"], first["after"])
    assert (deleted["before"], deleted["after"]) == (first["after"], "")
    assert all(re.fullmatch("[0-9a-f]{64}", each) for each in (first["before"], first["after"]))


async def test_record_keeps_no_address_secret_or_content(relay: Harness) -> None:
    template = {"subject": "Hello", "text": "The secret word is zebra."}
    await relay.call("PUT", "/v1/templates/hello", json=template, client="boss")
    await relay.call("POST", "/v1/suppressions", json={"email": "Ada@example.org", "note": "zebra"}, client="boss")
    await relay.call("POST", "/v1/erase", json={"recipient": "ada@example.org"}, client="boss")
    await relay.call("DELETE", "/v1/suppressions/ada@example.org", client="boss")
    await relay.call("POST", "/v1/webhooks", json={"callbackUrl": "https://example.com/?sig=zebra"}, client="app")
    made = await relay.call("POST", "/v1/clients", json={"name": "shop"}, client="boss")
    rows = repr(relay.memory.tables.rows(TABLE)).casefold()
    assert "zebra" not in rows
    assert made.json["key"].casefold() not in rows
    places = await traces(relay.relay.storage, "ada@example.org")
    assert [place for place in places if place.startswith(TABLE)] == []
    found = await relay.call("GET", "/v1/audit?target=ADA@example.org", client="boss")
    assert {record["target"] for record in found.json["value"]} == {address_digest("ada@example.org")}
    assert len(found.json["value"]) == 3


async def test_member_without_a_value_is_no_detail(relay: Harness) -> None:
    for until in (None, "2030-01-31T08:00:00Z"):
        await relay.call("POST", "/v1/routes/capture/hold", json={"reason": None, "until": until}, client="boss")
        relay.clock.move(1)
    assert [record["details"] for record in await records(relay)] == [{"until": "2030-01-31T08:00:00Z"}, {}]


async def test_outside_input_is_clipped(relay: Harness) -> None:
    headers = {"X-Relay-Reason": "r" * 5000 + "\x00", "X-Forwarded-For": "a" * 5000}
    await relay.call("POST", f"/v1/routes/{'x' * 5000}/hold", client="boss", headers=headers)
    ids = {"ids": ["msg_" + "0" * 40] * 500}
    await relay.call("POST", "/v1/deadletters/discard", json=ids, client="boss")
    await relay.call("POST", "/v1/deadletters/discard", body=b"[" * 100_000, client="boss")
    for record in await records(relay):
        assert all(len(str(value)) <= MAX_TEXT for name, value in record.items() if name not in ("target", "details"))
        assert len(record["target"]) <= MAX_DETAIL


async def test_bulk_operation_names_its_choice(relay: Harness) -> None:
    await relay.call("POST", "/v1/deadletters/discard", json={"code": "recipient_refused"}, client="boss")
    await relay.call("POST", "/v1/deadletters/redrive", json={"code": "poisoned", "route": "capture"}, client="boss")
    found = {record["operation"]: record for record in await records(relay)}
    assert found["DiscardDeadLetters"]["target"] == "recipient_refused"
    assert found["RedriveDeadLetters"]["details"] == {"route": "capture"}


# ── lists and exports ──


async def some(relay: Harness) -> None:
    """Records of three hours, by two clients."""
    for number in range(3):
        await relay.call("POST", "/v1/webhooks", json={"url": f"https://example.com/{number}"})
        await relay.call("POST", "/v1/routes/capture/release", client="boss")
        await relay.call("POST", "/v1/routes/other/release", client="boss", headers={"X-Relay-Reason": "=cmd|'/c'!A1"})
        relay.clock.move(3600)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 9),
        ("client=app", 3),
        ("operation=ReleaseRoute", 6),
        ("target=capture", 3),
        ("outcome=refused&client=boss", 3),
        ("since=2026-03-01T13:00:00Z", 6),
        ("before=2026-03-01T13:00:00Z", 3),
        ("since=2026-03-01T12:30:00Z&before=2026-03-01T13:30:00Z&target=other", 1),
        ("since=0001-01-01T00:00:00Z&before=9999-01-01T00:00:00Z", 9),
        ("before=0001-01-01T00:00:00Z", 0),
        ("client=nobody", 0),
    ],
)
async def test_filter_chooses_records(relay: Harness, query: str, count: int) -> None:
    await some(relay)
    listed = await relay.call("GET", f"/v1/audit?{query}", client="boss")
    assert len(listed.json["value"]) == count
    times = [record["at"] for record in listed.json["value"]]
    assert times == sorted(times, reverse=True)


async def followed(relay: Harness, path: str) -> list[ApiResponse]:
    """Every page of a list."""
    pages = [await relay.call("GET", path, client="boss")]
    while True:
        is_json = pages[-1].headers["content-type"] == "application/json"
        link = pages[-1].json.get("next_link") if is_json else pages[-1].headers.get("link", "").partition(">")[0][1:]
        if not link:
            return pages
        pages.append(await relay.call("GET", link.removeprefix(BASE), client="boss"))


async def test_pages_have_every_record_once(relay: Harness) -> None:
    await some(relay)
    pages = await followed(relay, "/v1/audit?limit=2")
    ids = [record["id"] for page in pages for record in page.json["value"]]
    assert (len(pages), len(ids), len(set(ids))) == (5, 9, 9)


async def test_page_costs_the_same_however_many_records_there_are(relay: Harness) -> None:
    await some(relay)
    await records(relay)
    before = relay.tables.calls["query"]
    page = await relay.call("GET", "/v1/audit?limit=2", client="boss")
    assert (len(page.json["value"]), relay.tables.calls["query"] - before) == (2, 1)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("since=yesterday", ("invalid_time", "since")),
        ("outcome=done", ("invalid_choice", "outcome")),
        ("limit=1001", ("out_of_range", "limit")),
        ("who=boss", ("unknown_field", "who")),
        ("cursor=x", ("invalid_value", "cursor")),
        (f"target={'x' * 257}", ("too_long", "target")),
        ("since=2026-03-02T00:00:00Z&before=2026-03-01T00:00:00Z", ("out_of_range", "since")),
    ],
)
async def test_wrong_query_is_refused(relay: Harness, query: str, problem: tuple[str, str]) -> None:
    for path in ("/v1/audit", "/v1/audit/export.csv", "/v1/audit/export.jsonl"):
        refused = await relay.call("GET", f"{path}?{query}", client="boss")
        assert (refused.status, refused.problems) == (400, [problem])


async def test_csv_has_every_record_and_no_formula(relay: Harness) -> None:
    await some(relay)
    pages = await followed(relay, "/v1/audit/export.csv?limit=4")
    rows = list(csv.DictReader(io.StringIO("".join(page.body.decode() for page in pages))))
    assert len(rows) == 9
    assert {row["reason"] for row in rows} == {"", "'=cmd|'/c'!A1"}
    assert {row["operation"] for row in rows} == {"CreateWebhook", "ReleaseRoute"}
    assert pages[0].headers["content-disposition"] == 'attachment; filename="audit.csv"'


async def test_json_lines_have_what_the_list_has(relay: Harness) -> None:
    await some(relay)
    [page] = await followed(relay, "/v1/audit/export.jsonl")
    assert [json.loads(line) for line in page.body.splitlines()] == await records(relay)


@pytest.mark.parametrize("path", ["/v1/audit", "/v1/audit/export.csv", "/v1/audit/export.jsonl"])
async def test_only_an_operator_may_read_the_log(relay: Harness, path: str) -> None:
    assert (await relay.call("GET", path)).status == 403


async def test_damaged_record_shows_what_is_readable(relay: Harness) -> None:
    await relay.call("POST", "/v1/resume", client="boss")
    [row] = relay.memory.tables.rows(TABLE)
    damaged = {**row.properties, "at": "soon", "outcome": 7, "details": "{"}
    await relay.memory.tables.upsert(TABLE, msgspec.structs.replace(row, properties=damaged))
    [record] = await records(relay)
    assert (record["operation"], record["client"], record["outcome"]) == ("ResumeDelivery", "boss", "unknown")
    assert record["at"] == "2026-03-01T12:00:00Z"


async def test_night_deletes_what_is_older_than_the_retention(relay: Harness) -> None:
    await some(relay)
    relay.clock.move(400 * 86_400 - 2 * 3600)
    await relay.relay.nightly.run()
    assert {record["at"] for record in await records(relay)} == {"2026-03-01T13:00:00Z", "2026-03-01T14:00:00Z"}
