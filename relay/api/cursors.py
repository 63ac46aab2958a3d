"""Cursors that callers send back: for the next page of a list, or the next step of a scan of all records."""

from collections.abc import Awaitable, Collection, Mapping
from urllib.parse import urlencode

from relay.api.problems import Problems
from relay.api.services import Call


async def page_of[T](reading: Awaitable[T]) -> T:
    """Return the result of reading a page. Raises `Refusal` (400) if it raises `ValueError` for the caller's cursor."""
    return await _with_cursor(reading, "The cursor is invalid. Use the `next_link` of a response unchanged.")


async def step_of[T](working: Awaitable[T]) -> T:
    """Return the result of a scan's step. Raises `Refusal` (400) if it raises `ValueError` for the caller's cursor."""
    return await _with_cursor(
        working, "The cursor is invalid. Use the `cursor` of the last response; leave it out to begin."
    )


def next_url(
    call: Call,
    path: str,
    cursor: str | None,
    parameters: Collection[str] = (),
    *,
    fixed: Mapping[str, str] | None = None,
) -> str | None:
    """Return the URL of the next page: the cursor and these parameters of the request, with the values that `fixed` replaces."""
    if cursor is None:
        return None
    again = {name: text for name, text in call.request.query.items() if name in parameters}
    return f"{call.base_url}{path}?" + urlencode({**again, **(fixed or {}), "cursor": cursor})


def link_headers(url: str | None) -> Mapping[str, str]:
    """Return the header that names the next page of an export (RFC 8288)."""
    return {} if url is None else {"Link": f'<{url}>; rel="next"'}


async def _with_cursor[T](call: Awaitable[T], advice: str) -> T:
    try:
        return await call
    except ValueError as error:
        problems = Problems()
        problems.add("invalid_value", "cursor", advice)
        raise problems.refusal() from error
