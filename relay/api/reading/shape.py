"""Check the names and types of a request's fields."""

from relay.api.problems import Problems
from relay.api.shapes.base import Shape
from relay.core.shape.check import fits


def check_shape(value: object, shape: type[Shape], problems: Problems) -> None:
    """Note every field that is unknown, missing or of the wrong type."""
    if not fits(value, shape):
        # A right request does not wait for this import.
        from relay.api.reading.shape_problems import note_problems

        note_problems(value, shape, problems)
