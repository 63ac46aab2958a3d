"""Which certificates a call of the API trusts."""

import ssl

import pytest

from relay.cli.remote import Remote, trust_of


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
