"""The response to a transaction: all changes, the error of one, or an unknown outcome."""

import pytest

from relay.core.errors import Changed, NotFound, Unavailable
from relay.platform.storage.azure.transactions import check_response

WRITTEN = b"HTTP/1.1 204 No Content\r\nETag: W/1\r\n\r\n"


def test_response_to_each_change_is_a_success() -> None:
    check_response("merge", WRITTEN * 2, 2)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (b'HTTP/1.1 412 Precondition Failed\r\n\r\n{"odata.error":{"code":"UpdateConditionNotSatisfied"}}', Changed),
        (b'HTTP/1.1 404 Not Found\r\n\r\n{"odata.error":{"code":"ResourceNotFound"}}', NotFound),
        (b'HTTP/1.1 503 Server Busy\r\n\r\n{"odata.error":{"code":"ServerBusy"}}', Unavailable),
    ],
)
def test_error_of_a_change_is_raised(response: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        check_response("merge", response, 2)


@pytest.mark.parametrize("response", [b"", WRITTEN, b"{}"])
def test_response_without_the_outcome_of_each_change_is_unavailable(response: bytes) -> None:
    with pytest.raises(Unavailable):
        check_response("merge", response, 2)
