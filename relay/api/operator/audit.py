"""List the audit log, and export it as CSV and JSON lines."""

from collections.abc import Sequence

import msgspec

from relay.api.cursors import link_headers, next_url, page_of
from relay.api.http import Response, csv_response, json_response
from relay.api.problems import Problems
from relay.api.reading.query import check_names, read_choice, read_limit, read_time
from relay.api.services import Call
from relay.api.shapes.base import given
from relay.api.shapes.system import AuditPageView, AuditRecordView
from relay.operations.audit.log import AuditFilter
from relay.operations.audit.record import MAX_TEXT, AuditOutcome, AuditRecord

DEFAULT_PAGE = 50
MAX_PAGE = 1000
PARAMETERS = ("since", "before", "client", "operation", "target", "outcome", "limit", "cursor")
_TEXTS = ("client", "operation", "target")
_COLUMNS = AuditRecordView.__struct_fields__


async def index(call: Call) -> Response:
    """Handle GET /v1/audit."""
    records, link = await _page(call, "/v1/audit", DEFAULT_PAGE)
    return json_response(AuditPageView(value=[_view(each) for each in records], next_link=given(link)))


async def export_csv(call: Call) -> Response:
    """Handle GET /v1/audit/export.csv. Only the first page has the header line, so that pages can be joined."""
    records, link = await _page(call, "/v1/audit/export.csv", MAX_PAGE)
    columns = () if "cursor" in call.request.query else _COLUMNS
    return csv_response("audit.csv", columns, [_cells(each) for each in records], link_headers(link))


async def export_json_lines(call: Call) -> Response:
    """Handle GET /v1/audit/export.jsonl."""
    records, link = await _page(call, "/v1/audit/export.jsonl", MAX_PAGE)
    body = b"".join(msgspec.json.encode(_view(each)) + b"\n" for each in records)
    headers = {
        # JSON lines have no registered media type, and client generators know this one.
        "Content-Type": "text/plain",
        "Content-Disposition": 'attachment; filename="audit.jsonl"',
    }
    return Response(headers={**headers, **link_headers(link)}, body=body)


async def _page(call: Call, path: str, default: int) -> tuple[Sequence[AuditRecord], str | None]:
    """Return a page and the link to the next one."""
    query = call.request.query
    problems = Problems()
    check_names(query, PARAMETERS, problems)
    for name in _TEXTS:
        if len(query.get(name, "")) > MAX_TEXT:
            problems.add("too_long", name, f"`{name}` has at most {MAX_TEXT} characters.")
    wanted = AuditFilter(
        since=read_time(query, "since", problems),
        before=read_time(query, "before", problems),
        outcome=read_choice(query, "outcome", AuditOutcome, problems),
        **{name: query[name] for name in _TEXTS if name in query},
    )
    if wanted.since and wanted.before and wanted.since > wanted.before:
        problems.add("out_of_range", "since", "This must not be later than `before`.")
    limit = read_limit(query, problems, default=default, maximum=MAX_PAGE)
    problems.raise_any()
    records, cursor = await page_of(call.services.audit_log.page(wanted, query.get("cursor"), limit=limit))
    # Newer records come before a cursor, so they do not shift its page.
    return records, next_url(call, path, cursor, PARAMETERS)


def _view(record: AuditRecord) -> AuditRecordView:
    return msgspec.convert(record, AuditRecordView, from_attributes=True)


def _cells(record: AuditRecord) -> list[str]:
    values = msgspec.to_builtins(_view(record))
    values["details"] = " ".join(f"{name}={value}" for name, value in values["details"].items())
    return [str(values[name]) for name in _COLUMNS]
