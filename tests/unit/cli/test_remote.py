"""Which certificates a call of the API trusts, and the text of a refusal."""

import ssl
from collections.abc import Sequence

import httpx2
import pytest

from relay.cli.remote import Remote, RemoteError, trust_of


def test_relay_without_tls_is_called_without_loading_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    Remote("http://127.0.0.1:7071", "key").close()
    with pytest.raises(FileNotFoundError):
        Remote("https://relay.example.org", "key")


def test_tls_is_never_unchecked() -> None:
    assert trust_of("https://relay.example.org") is True
    trust = trust_of("http://127.0.0.1:7071")
    assert isinstance(trust, ssl.SSLContext)
    assert trust.verify_mode is ssl.CERT_REQUIRED
    assert trust.get_ca_certs() == []


@pytest.mark.parametrize(
    ("message", "problems", "expected"),
    [
        ("Unknown path.", (), "Unknown path."),
        ("This is required.", [("subject", "This is required.")], "subject: This is required."),
        ("The message bounced.", [("to[0]", "no such mailbox")], "The message bounced.\n  to[0]: no such mailbox"),
        (
            "The request has 2 problems.",
            [("from", "An address must have an @-sign."), ("subject", "This is required.")],
            "The request has 2 problems.\n  from: An address must have an @-sign.\n  subject: This is required.",
        ),
    ],
)
def test_refusal_has_each_problem_once(message: str, problems: Sequence[tuple[str, str]], expected: str) -> None:
    details = [{"target": target, "message": text} for target, text in problems]
    refused = httpx2.Response(400, json={"error": {"message": message, "details": details}})
    remote = Remote("http://127.0.0.1:7071", "key", httpx2.MockTransport(lambda _: refused))
    with pytest.raises(RemoteError) as caught:
        remote.call("POST", "/v1/messages", json={})
    assert str(caught.value) == expected
