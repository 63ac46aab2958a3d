"""Read and change suppressions: a client's own list, and for operators the list for all clients.

The list for all clients holds addresses that other clients wrote to. A client may look up one address; only an operator
lists or changes it.
"""

from collections.abc import Sequence
from typing import Any

from relay.api.cursors import next_url, page_of
from relay.api.http import Response, json_response
from relay.api.reading.body import read_request
from relay.api.reading.routes import known_route
from relay.api.resources import suppression_lists as lists
from relay.api.resources.suppression_lists import view_of
from relay.api.services import Call
from relay.api.shapes.base import given
from relay.api.shapes.suppressions import (
    SuppressionImport,
    SuppressionListView,
    SuppressionPageView,
    SuppressionRequest,
    SuppressionsImportedView,
    SuppressionsSynchronizedView,
    SyncRequest,
)
from relay.clients.keys import Role
from relay.clients.suppressions.rows import ALL, Suppression
from relay.core.errors import NotFound, Refusal
from relay.core.outcomes import Deferred, RouteFault

SYNC_PAGES = 200
"""The number of pages of a provider's lists that one call reads."""


async def index(call: Call) -> Response:
    """Handle GET /v1/suppressions."""
    scope = await _scope(call, call.request.query.get("client"), for_all=None)
    reading = call.services.suppressions.page(scope, cursor=call.request.query.get("cursor"))
    found, cursor = await page_of(reading)
    link = next_url(call, "/v1/suppressions", cursor, ("client",))
    return json_response(SuppressionPageView(value=[view_of(each) for each in found], next_link=given(link)))


async def show(call: Call) -> Response:
    """Handle GET /v1/suppressions/{email}."""
    found = [view_of(each) for scope in await _scopes(call) if (each := await _get(call, scope)) is not None]
    if not found:
        raise Refusal(404, "not_found", "This address is not suppressed.")
    return json_response(SuppressionListView(value=found))


async def add(call: Call) -> Response:
    """Handle POST /v1/suppressions: an entry for the same address is replaced."""
    value = read_request(call.request, SuppressionRequest)
    scope = await _scope(call, value.client, for_all=value.for_all)
    return json_response(view_of(await lists.add(call, value, scope)), 201)


async def remove(call: Call) -> Response:
    """Handle DELETE /v1/suppressions/{email}. An operator's call also removes it from the list for all clients."""
    for scope in await _scopes(call, may_change=True):
        await call.services.suppressions.remove(scope, [call.values["email"]])
    return Response(status=204)


async def take_list(call: Call) -> Response:
    """Handle POST /v1/suppressions/import."""
    if call.request.content_type == "text/csv":
        rows = lists.read_csv(call.request.body)
        scope = await _scope(call, call.request.query.get("client"), for_all=None)
    else:
        value = read_request(call.request, SuppressionImport, max_bytes=lists.MAX_IMPORT_BYTES)
        scope = await _scope(call, value.client, for_all=value.for_all)
        rows = value.value
    return json_response(SuppressionsImportedView(imported=await lists.take(call, rows, scope)))


async def export(call: Call) -> Response:
    """Handle GET /v1/suppressions/export: CSV that `import` accepts."""
    scope = await _scope(call, call.request.query.get("client"), for_all=None)
    return await lists.export(call, scope, "suppressions.csv")


async def synchronize(call: Call) -> Response:
    """Handle POST /v1/suppressions/sync: import a provider's lists, and remove addresses that it no longer lists."""
    route = known_route(read_request(call.request, SyncRequest).route, call.services.settings.routes)
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
