"""Cursors that callers give back, as an answer's `next_link` has them."""

from collections.abc import Awaitable

from relay.api.faults import Faults


async def page_of[T](reading: Awaitable[T]) -> T:
    """What a call with a caller's cursor returns. Raises `Refusal` (400) where it raises `ValueError`: no answer gave it."""
    try:
        return await reading
    except ValueError as error:
        faults = Faults(1)
        text = "Use the `next_link` of an answer as it is; a cursor is not made by hand."
        faults.add("invalid_value", "cursor", text)
        raise faults.refusal() from error
