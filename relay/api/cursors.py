"""Cursors that callers give back, as an answer's `next_link` has them."""

from relay.api.faults import Faults
from relay.errors import Refusal


def invalid_cursor() -> Refusal:
    """The answer to a cursor that no answer gave; storage and listing raise `ValueError` for one."""
    faults = Faults(1)
    faults.add("invalid_value", "cursor", "Use the `next_link` of an answer as it is; a cursor is not made by hand.")
    return faults.refusal()
