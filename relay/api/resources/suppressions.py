"""Read and change suppressions: a client's own list, and for operators the list for all clients.

The list for all clients holds addresses that other clients wrote to. A client may look up one address; only an operator
lists or changes it.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, cast
from urllib.parse import quote

import msgspec

from relay.acceptance.draft import Limits
from relay.api.cursors import page_of
from relay.api.http import Response, csv_response, json_response
from relay.api.problems import Problems
from relay.api.reading.addresses import read_mailbox
from relay.api.reading.body import read_request
from relay.api.services import Call
from relay.api.shapes.admin_requests import (
    Reason,
    SuppressionFields,
    SuppressionImport,
    SuppressionRequest,
    SyncRequest,
)
from relay.api.shapes.common import given
from relay.api.shapes.resources import (
    SuppressionListView,
    SuppressionPageView,
    SuppressionsImportedView,
    SuppressionsSynchronizedView,
    SuppressionView,
)
from relay.clients.keys import Role
from relay.clients.suppressions import ALL, REASONS, Suppression
from relay.core.errors import NotFound, Refusal
from relay.core.model import Address
from relay.core.outcomes import Deferred, RouteFault

MOST_IMPORTED = 10_000
MAX_IMPORT_BYTES = 4_194_304
MAX_NOTE = 500
SYNC_PAGES = 200
"""The number of pages of a provider's lists that one call reads."""
_COLUMNS = ("email", "reason", "at", "expires_at", "source", "note")
_LIMITS = Limits()


async def index(call: Call) -> Response:
    """Handle GET /v1/suppressions."""
    client = call.request.query.get("client")
    scope = await _scope(call, client, for_all=None)
    reading = call.services.suppressions.page(scope, cursor=call.request.query.get("cursor"))
    found, cursor = await page_of(reading)
    chosen = f"client={quote(client)}&" if client and call.client.role is Role.OPERATOR else ""
    link = f"{call.base_url}/v1/suppressions?{chosen}cursor={quote(cursor, safe='')}" if cursor else None
    return json_response(SuppressionPageView(value=[_view(each) for each in found], next_link=given(link)))


async def show(call: Call) -> Response:
    """Handle GET /v1/suppressions/{email}."""
    found = [_view(each) for scope in await _scopes(call) if (each := await _get(call, scope)) is not None]
    if not found:
        raise Refusal(404, "not_found", "This address is not suppressed.")
    return json_response(SuppressionListView(value=found))


async def add(call: Call) -> Response:
    """Handle POST /v1/suppressions: an entry for the same address is replaced."""
    value = read_request(call.request, SuppressionRequest)
    scope = await _scope(call, value.client, for_all=value.for_all)
    problems = Problems(_LIMITS.max_problems)
    made = _made(call, value, scope, "", problems)
    if made is None or problems:
        raise problems.refusal()
    await call.services.suppressions.put([made])
    return json_response(_view(made), 201)


async def remove(call: Call) -> Response:
    """Handle DELETE /v1/suppressions/{email}. An operator's call also removes it from the list for all clients."""
    for scope in await _scopes(call, may_change=True):
        await call.services.suppressions.remove(scope, [call.values["email"]])
    return Response(status=204)


async def take_list(call: Call) -> Response:
    """Handle POST /v1/suppressions/import."""
    problems = Problems(_LIMITS.max_problems)
    if call.request.content_type == "text/csv":
        rows, scope = (
            _csv(call.request.body, problems),
            await _scope(call, call.request.query.get("client"), for_all=None),
        )
    else:
        value = read_request(call.request, SuppressionImport, max_bytes=MAX_IMPORT_BYTES)
        scope = await _scope(call, value.client, for_all=value.for_all)
        rows = value.value
    if len(rows) > MOST_IMPORTED:
        problems.add("too_many", "value", f"{MOST_IMPORTED} are possible in one request; send several.")
        problems.raise_any()
    made = [_made(call, row, scope, f"value[{number}].", problems) for number, row in enumerate(rows)]
    problems.raise_any()
    await call.services.suppressions.put([each for each in made if each is not None])
    return json_response(SuppressionsImportedView(imported=len(made)))


async def export(call: Call) -> Response:
    """Handle GET /v1/suppressions/export: CSV that `import` accepts."""
    scope = await _scope(call, call.request.query.get("client"), for_all=None)
    rows, cursor = list[list[Any]](), None
    while True:
        found, cursor = await call.services.suppressions.page(scope, cursor=cursor)
        rows += [_row(each) for each in found]
        if cursor is None:
            return csv_response("suppressions.csv", _COLUMNS, rows)


async def synchronize(call: Call) -> Response:
    """Handle POST /v1/suppressions/sync: import a provider's lists, and remove addresses that it no longer lists."""
    route = read_request(call.request, SyncRequest).route
    if route not in call.services.settings.routes:
        text = f"Unknown route. Use one of: {', '.join(call.services.settings.routes)}."
        raise Refusal(404, "unknown_route", text)
    provider: Any = call.services.provider(route)
    if not hasattr(provider, "suppressed_addresses"):
        raise Refusal(422, "not_carriable", "The provider of this route has no suppression lists.", target="route")
    began, cursor, imported = call.services.clock(), "", 0
    for _ in range(SYNC_PAGES):
        page = await provider.suppressed_addresses(cursor)
        if isinstance(page, RouteFault | Deferred):
            text = f"The provider's lists could not be read ({page.code})."
            raise Refusal(503, "provider_unavailable", text, headers={"Retry-After": "60"})
        found, cursor = page
        listed = [
            call.services.suppressions.made(each.email, "provider", call.client.id, source=route, note=each.reason)
            for each in found
        ]
        await call.services.suppressions.put(listed)
        imported += len(listed)
        if cursor is None:
            gone = await call.services.suppressions.drop_missing(route, began)
            return json_response(SuppressionsSynchronizedView(imported=imported, removed=gone, is_complete=True))
    return json_response(SuppressionsSynchronizedView(imported=imported, removed=0, is_complete=False))


async def _scope(call: Call, client: str | None, *, for_all: bool | None) -> str:
    """Return the id of the client whose list a request is about.

    Raises `Refusal` when the caller may not use it, and `NotFound` for an unknown client.
    """
    if call.client.role is not Role.OPERATOR:
        if (client is not None and client != call.client.name) or for_all:
            raise Refusal(403, "operators_only", "A client can only read and change its own list.")
        return call.client.id
    if client is None or for_all:
        return ALL
    return (await call.services.clients.get(client)).id


async def _scopes(call: Call, *, may_change: bool = False) -> Sequence[str]:
    client = call.request.query.get("client")
    if call.client.role is Role.OPERATOR:
        return (ALL, (await call.services.clients.get(client)).id) if client else (ALL,)
    own = await _scope(call, client, for_all=None)
    return (own,) if may_change else (own, ALL)


async def _get(call: Call, scope: str) -> Suppression | None:
    try:
        return await call.services.suppressions.get(scope, call.values["email"])
    except NotFound:
        return None


def _made(call: Call, row: SuppressionFields, scope: str, place: str, problems: Problems) -> Suppression | None:
    address = read_mailbox(row.email, f"{place}email", problems, _LIMITS)
    reason = row.reason or "manual"
    note = row.note or ""
    if reason not in REASONS:
        problems.add("invalid_choice", f"{place}reason", f"A reason is one of {', '.join(REASONS)}.")
        return None
    if len(note) > MAX_NOTE:
        problems.add("too_long", f"{place}note", f"A note has at most {MAX_NOTE} characters.")
    if not isinstance(address, Address):
        return None
    made = call.services.suppressions.made(address.email, reason, scope, scope=scope, note=note, source="api")
    seconds = row.expires_in_seconds
    if seconds is None:
        return made
    return msgspec.structs.replace(made, expires_at=made.at + timedelta(seconds=seconds))


def _csv(body: bytes, problems: Problems) -> Sequence[SuppressionFields]:
    """Read a CSV with a column `email`, and optionally `reason` and `note`; other columns are ignored."""
    if len(body) > MAX_IMPORT_BYTES:
        raise Refusal(
            413, "message_too_large", f"The list is too large (limit {MAX_IMPORT_BYTES} bytes). Send several."
        )
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(400, "invalid_request", "The list is not encoded in UTF-8.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if "email" not in (reader.fieldnames or ()):
        problems.add("required", "email", "The first line names the columns; one of them must be `email`.")
        problems.raise_any()
    return list(_rows(reader))


def _rows(reader: "csv.DictReader[str]") -> Iterator[SuppressionFields]:
    try:
        for row in reader:
            email, reason, note = (str(row.get(name) or "").strip() for name in ("email", "reason", "note"))
            yield SuppressionFields(email=email, reason=cast("Reason | None", reason or None), note=note)
    except csv.Error as error:
        raise Refusal(400, "invalid_request", "The list is not valid CSV.") from error


def _row(each: Suppression) -> list[Any]:
    """Return a row of the CSV."""
    values = msgspec.structs.asdict(_view(each))
    return ["" if values[name] is msgspec.UNSET else values[name] for name in _COLUMNS]


def _view(each: Suppression) -> SuppressionView:
    return SuppressionView(
        email=each.email,
        reason=each.reason,
        for_all=each.scope == ALL,
        at=each.at,
        expires_at=given(each.expires_at),
        source=given(each.source or None),
        note=given(each.note or None),
    )
