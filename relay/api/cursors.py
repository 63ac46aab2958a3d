"""Cursors that callers send back: for the next page of a list, or the next step of a scan of all records."""

from collections.abc import Awaitable

from relay.api.problems import Problems


async def page_of[T](reading: Awaitable[T]) -> T:
    """Return the result of a call with a caller's cursor. Raises `Refusal` (400) where it raises `ValueError`."""
    return await _with_cursor(reading, "The cursor is invalid. Use the `next_link` of a response unchanged.")


async def step_of[T](working: Awaitable[T]) -> T:
    """Return the result of a step with a caller's cursor. Raises `Refusal` (400) where it raises `ValueError`."""
    return await _with_cursor(
        working, "The cursor is invalid. Use the `cursor` of the last response; leave it out to begin."
    )


async def _with_cursor[T](call: Awaitable[T], advice: str) -> T:
    try:
        return await call
    except ValueError as error:
        problems = Problems(1)
        problems.add("invalid_value", "cursor", advice)
        raise problems.refusal() from error
