"""Security headers of every response."""

import pytest

from relay.api.app import HTTPS_ONLY, SECURITY_HEADERS
from tests.api.harness import Harness

ANSWERS = (
    pytest.param("GET", "/v1/health", None, 200, id="for-everybody"),
    pytest.param("GET", "/v1/messages", "app", 200, id="for-a-client"),
    pytest.param("GET", "/v1/me", None, 401, id="refused"),
    pytest.param("GET", "/v1/nowhere", "app", 404, id="unknown"),
    pytest.param("POST", "/v3/mail/send", None, 401, id="in-the-shape-of-another-api"),
)


@pytest.mark.parametrize(("method", "path", "client", "status"), ANSWERS)
async def test_every_response_has_security_headers(
    relay: Harness, method: str, path: str, client: str | None, status: int
) -> None:
    response = await relay.call(method, path, client=client)
    assert response.status == status
    assert {name: response.headers.get(name.lower()) for name in SECURITY_HEADERS} == SECURITY_HEADERS


@pytest.mark.parametrize(("scheme", "said"), [("https", HTTPS_ONLY), ("http", None)])
async def test_hsts_is_sent_over_https_only(relay: Harness, scheme: str, said: str | None) -> None:
    response = await relay.call("GET", f"{scheme}://relay.example/v1/health", client=None)
    assert response.headers.get("strict-transport-security") == said


async def test_console_has_its_own_content_security_policy(relay: Harness) -> None:
    response = await relay.call("GET", "/console", client=None)
    policy = response.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
