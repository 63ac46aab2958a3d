"""SendGrid's own lists of addresses it will not send to (the vendor's OpenAPI file tsg_suppressions_v3).

Blocks are left out: SendGrid goes on sending to them. Needs a key with the scope suppression.read.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from relay.core.outcomes import Deferred, RouteFault
from relay.providers.contract import SuppressedAddress
from relay.providers.http_exchange import Answer, LostResponse

LISTS = ("bounces", "invalid_emails", "spam_reports", "unsubscribes")
PAGE = 500

type Ask = Callable[[str, Mapping[str, str]], Awaitable[Answer | LostResponse | RouteFault]]


async def unwanted(ask: Ask, cursor: str) -> tuple[Sequence[SuppressedAddress], str | None] | RouteFault | Deferred:
    """A page of one list after the other; `cursor` is a list's name and how far it was read, empty at first."""
    name, _, offset = (cursor or f"{LISTS[0]}:0").partition(":")
    answer = await ask(f"/v3/suppression/{name}", {"limit": str(PAGE), "offset": offset})
    if isinstance(answer, RouteFault):
        return answer
    rows: Any = answer.decoded() if isinstance(answer, Answer) and answer.status == 200 else None
    if not isinstance(rows, list):
        return _failure(answer)
    found = [
        SuppressedAddress(email=str(row["email"]), reason=name)
        for row in rows
        if isinstance(row, dict) and row.get("email")
    ]
    if len(rows) == PAGE:
        return found, f"{name}:{int(offset) + PAGE}"
    following = LISTS[LISTS.index(name) + 1 :]
    return found, f"{following[0]}:0" if following else None


def _failure(answer: Answer | LostResponse) -> RouteFault | Deferred:
    if isinstance(answer, LostResponse):
        return Deferred(code="unreachable", reply=answer.reason)
    if answer.status in (401, 403):
        return RouteFault(code="missing_permission", reply=answer.reply)
    return Deferred(code="provider_unavailable", reply=answer.reply)
