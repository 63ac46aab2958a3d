"""Read SendGrid's own suppression lists (the vendor's OpenAPI file tsg_suppressions_v3).

The list of blocks is left out, because SendGrid still sends to those addresses. Needs a key with the scope suppression.read.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from relay.core.outcomes import Deferred, RouteFault
from relay.providers.contract import SuppressedAddress
from relay.providers.http_exchange import HttpResponse, LostResponse

LISTS = ("bounces", "invalid_emails", "spam_reports", "unsubscribes")
PAGE = 500

type Request = Callable[[str, Mapping[str, str]], Awaitable[HttpResponse | LostResponse | RouteFault]]


async def suppressed_addresses(
    request: Request, cursor: str
) -> tuple[Sequence[SuppressedAddress], str | None] | RouteFault | Deferred:
    """Return a page, one list after the other. `cursor` is a list's name and an offset, empty at first."""
    name, _, offset = (cursor or f"{LISTS[0]}:0").partition(":")
    response = await request(f"/v3/suppression/{name}", {"limit": str(PAGE), "offset": offset})
    if isinstance(response, RouteFault):
        return response
    rows: Any = response.decoded() if isinstance(response, HttpResponse) and response.status == 200 else None
    if not isinstance(rows, list):
        return _failure(response)
    found = [
        SuppressedAddress(email=str(row["email"]), reason=name)
        for row in rows
        if isinstance(row, dict) and row.get("email")
    ]
    if len(rows) == PAGE:
        return found, f"{name}:{int(offset) + PAGE}"
    following = LISTS[LISTS.index(name) + 1 :]
    return found, f"{following[0]}:0" if following else None


def _failure(response: HttpResponse | LostResponse) -> RouteFault | Deferred:
    if isinstance(response, LostResponse):
        return Deferred(code="unreachable", reply=response.reason)
    if response.status in (401, 403):
        return RouteFault(code="missing_permission", reply=response.reply)
    return Deferred(code="provider_unavailable", reply=response.reply)
