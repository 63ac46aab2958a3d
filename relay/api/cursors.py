"""Cursors that callers give back: to the next page of a list, or to the next step of a work over all records."""

from collections.abc import Awaitable, Mapping

from relay.api.http import Response, json_response
from relay.api.problems import Problems


async def page_of[T](reading: Awaitable[T]) -> T:
    """What a call with a caller's cursor returns. Raises `Refusal` (400) where it raises `ValueError`: no answer gave it."""
    return await _with_cursor(reading, "Use the `next_link` of an answer as it is; a cursor is not made by hand.")


async def step_of[T](working: Awaitable[T]) -> T:
    """The same for a step of a work."""
    return await _with_cursor(working, "A cursor is what the last answer gave; leave it out to begin.")


def step_response(counts: Mapping[str, int], cursor: str | None, *, is_dry: bool) -> Response:
    """What a step answers: its counts, and where the next one goes on."""
    body = {**counts, "dry_run": is_dry, "is_more": cursor is not None}
    return json_response(body if cursor is None else {**body, "cursor": cursor})


async def _with_cursor[T](call: Awaitable[T], advice: str) -> T:
    try:
        return await call
    except ValueError as error:
        faults = Problems(1)
        faults.add("invalid_value", "cursor", advice)
        raise faults.refusal() from error
