"""Storage errors: what they name, and what is read of a response that storage may have garbled."""

import pytest

from relay.core.errors import Unavailable
from relay.platform.http.errors import NotSent, ResponseLost
from relay.platform.storage.azure.errors import refused, translated


@pytest.mark.parametrize("lost", [NotSent("gaierror"), ResponseLost("gaierror")])
def test_error_without_a_response_names_its_cause(lost: Exception) -> None:
    error = translated(lost, "queue put")
    assert isinstance(error, Unavailable)
    assert str(error) == "queue put: gaierror"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"x-ms-retry-after-ms": "1500", "retry-after": "3"}, 1.5),
        ({"retry-after": "Wed, 04 Mar 2026 05:07:07 GMT"}, None),
        ({"retry-after": "\xb2"}, None),
        ({"retry-after": "9" * 5000}, None),
    ],
)
def test_time_to_wait_is_read_in_seconds(headers: dict[str, str], seconds: float | None) -> None:
    error = refused("queue put", 503, "ServerBusy", headers)
    assert isinstance(error, Unavailable)
    assert error.retry_after_seconds == seconds
