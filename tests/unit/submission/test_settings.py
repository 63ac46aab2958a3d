"""Settings of a submission server: what it refuses to start with."""

import ipaddress
from typing import Any

import pytest

from relay.submission.settings import LOOPBACK, Endpoint, Limits, Settings, address_in, contains, problems

LOCAL = Endpoint(host="127.0.0.1", port=2525)
OPEN = Endpoint(host="0.0.0.0", port=587)  # noqa: S104 (nothing listens)


def networks(*texts: str) -> tuple[Any, ...]:
    return tuple(map(ipaddress.ip_network, texts))


def found(**settings: Any) -> list[str]:
    return problems(Settings(**{"url": "https://relay.example", "listen": (LOCAL,), **settings}))


@pytest.mark.parametrize(
    "settings",
    [
        {"key": "k", "networks": LOOPBACK},
        {"listen": (OPEN,), "certificate": "/a.pem"},
        {
            "listen": (OPEN, Endpoint(host="::", port=465, has_tls=True)),
            "certificate": "/a.pem",
            "certificate_key": "/b.pem",
        },
        {
            "listen": (OPEN,),
            "key": "k",
            "networks": networks("10.0.0.0/8", "fd00::/8", "100.64.0.0/10", "203.0.113.0/24"),
        },
        {"listen": (OPEN,), "certificate": "vault:smtp", "vault_url": "https://v.vault.azure.net"},
        {"allows_plain_auth": True},
    ],
)
def test_usable_settings_have_no_problems(settings: dict[str, Any]) -> None:
    assert found(**settings) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"listen": (OPEN,)}, "AUTH needs TLS"),
        ({"listen": (OPEN,), "key": "k"}, "AUTH needs TLS"),
        ({"listen": (OPEN,), "allows_plain_auth": True, "certificate": "/a.pem"}, "loopback addresses only"),
        ({"listen": (LOCAL, OPEN), "allows_plain_auth": True, "certificate": "/a.pem"}, "loopback addresses only"),
        ({}, "set RELAY_KEY"),
        ({"networks": LOOPBACK}, "set RELAY_KEY"),
        (
            {"listen": (Endpoint(host="::1", port=465, has_tls=True),), "key": "k", "networks": LOOPBACK},
            "--certificate",
        ),
        ({"certificate": "vault:smtp"}, "--vault-url"),
        ({"certificate": "vault:smtp", "vault_url": "https://v", "certificate_key": "/k"}, "--certificate-key"),
    ],
)
def test_unusable_settings_are_refused_with_the_fix(settings: dict[str, Any], words: str) -> None:
    [problem] = found(**settings)
    assert words in problem


@pytest.mark.parametrize(
    "network", ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "8.0.0.0/8", "::/0", "2000::/3", "100.0.0.0/8"]
)
def test_network_that_would_make_an_open_relay_is_refused(network: str) -> None:
    [problem] = found(listen=(OPEN,), key="k", networks=networks(network))
    assert problem.startswith(f"{network} would make an open relay")


def test_proxies_that_would_let_anyone_claim_an_address_are_refused() -> None:
    [problem] = found(
        listen=(OPEN,), key="k", networks=networks("10.0.0.0/8"), proxies=networks("10.0.0.1", "0.0.0.0/0")
    )
    assert problem.startswith("0.0.0.0/0 would let anyone claim any address")


def test_memory_that_holds_no_message_is_refused() -> None:
    [problem] = found(allows_plain_auth=True, limits=Limits(message_bytes=2_000, held_bytes=1_999))
    assert problem == (
        "Messages of 2000 bytes (--max-bytes) would never have room in 1999 bytes (--max-memory): raise --max-memory,"
        " or lower --max-bytes."
    )


def test_settings_show_no_key() -> None:
    assert "secret" not in repr(Settings(url="https://relay.example", key="secret", listen=(LOCAL,)))


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("relay", False)],  # noqa: S104, E501
)  # fmt: skip
def test_only_loopback_hosts_are_loopback(host: str, expected: bool) -> None:
    assert Endpoint(host=host, port=25).is_loopback is expected


@pytest.mark.parametrize(
    ("text", "inside"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.0.0.1", False), ("::1", False), ("", False)],
)
def test_address_is_compared_as_the_client_has_it(text: str, inside: bool) -> None:
    assert contains(networks("10.0.0.0/8"), address_in(text)) is inside
