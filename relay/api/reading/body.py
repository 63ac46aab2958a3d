"""Check the length and the shape of a request's body, and read the bodies that are small JSON objects."""

import msgspec

from relay.api.http import Request
from relay.api.problems import Problems
from relay.api.reading import json_text
from relay.api.shapes.base import Shape
from relay.core.errors import Refusal
from relay.core.shape.check import fits

MAX_SMALL_BYTES = 1_048_576


def check_length(request: Request) -> None:
    """Refuse a chunked body, which the Functions host drops."""
    if not request.body and "chunked" in request.headers.get("transfer-encoding", "").lower():
        raise Refusal(
            411, "length_required", "Send the body with a Content-Length: Azure Functions drops chunked bodies."
        )


def check_body(request: Request) -> None:
    """Refuse a body that did not arrive, or arrived compressed."""
    check_length(request)
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        text = "The body must not be compressed: leave Content-Encoding out."
        raise Refusal(415, "unsupported_media_type", text, target="Content-Encoding")


def check_shape(value: object, shape: type[Shape], problems: Problems) -> None:
    """Note every field that is unknown, missing or of the wrong type."""
    if not fits(value, shape):
        # A valid request does not wait for this import.
        from relay.api.reading.shape_problems import note_problems

        note_problems(value, shape, problems)


def read_request[S: Shape](
    request: Request, shape: type[S], *, max_bytes: int = MAX_SMALL_BYTES, is_optional: bool = False
) -> S:
    """Read a JSON object of this shape. Raises `Refusal` with every problem.

    With `is_optional`, an absent body counts as an empty object.
    """
    check_body(request)
    if is_optional and not request.body:
        return shape()
    json_text.check_content_type(request.headers.get("content-type", ""))
    problems = Problems()
    value = json_text.read_json(request.body, max_bytes, problems)
    check_shape(value, shape, problems)
    problems.raise_any()
    return msgspec.convert(value, shape)
