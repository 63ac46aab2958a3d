"""Settings of an SMTP route."""

from typing import Any

import pytest

from relay.bootstrap.configuration import load
from relay.core.errors import SettingsError
from relay.providers.graph import provider
from relay.providers.smtp.provider import check_settings, default_paces
from relay.providers.smtp.settings import connections_of, server_of
from tests.unit.providers.smtp.smtp_route import without

GOOD = {"host": "smtp.example.com", "username": "relay", "password": "setting:SMTP_PASSWORD"}
EXCHANGE = {"host": "smtp.office365.com", "auth": "xoauth2", "username": "app@example.com", "managed_identity": True}


@pytest.mark.parametrize(
    "settings",
    [
        GOOD,
        EXCHANGE,
        {"host": "smtp.example.com"},
        {**GOOD, "tls": "implicit", "port": 465, "auth": "login", "ehlo_name": "relay.example.com", "connections": 100},
        {**GOOD, "ca_file": "/etc/ssl/private-ca.pem"},
        {**EXCHANGE, "scope": "https://outlook.office365.us/.default"},
        {**without(EXCHANGE, "managed_identity"), "tenant_id": "t", "client_id": "c", "client_secret": "vault:s"},
        {"host": "exchange.corp", "tls": "none", "port": 25},
        {"host": "2001:db8::25", "port": 25},
    ],
)
def test_valid_settings_have_no_problems(settings: dict[str, Any]) -> None:
    assert check_settings(settings) == []


@pytest.mark.parametrize("host", ["10.0.0.4", "192.168.1.9", "fd00::1", "mail", "exchange.corp", "mx.lan", "localhost"])
def test_port_25_is_accepted_for_a_private_host(host: str) -> None:
    assert check_settings({"host": host, "port": 25}) == []


def test_port_25_is_accepted_with_private_set() -> None:
    assert check_settings({"host": "mail.example.com", "port": 25, "private": True}) == []


@pytest.mark.parametrize("host", ["smtp.example.com", "8.8.8.8", "2606:4700::1111", "smtp.example.com."])
def test_port_25_for_a_public_host_is_refused_with_the_reason(host: str) -> None:
    (fault,) = check_settings({"host": host, "port": 25})
    assert fault.startswith("port: 25 cannot work, because Azure blocks outbound port 25; use 587")


def test_port_25_is_refused_when_the_settings_are_read() -> None:
    routes = '{"office": {"provider": "smtp", "host": "smtp.example.com", "port": 25}}'
    with pytest.raises(SettingsError, match=r"RELAY_ROUTES\.office\.port: 25 cannot work"):
        load({"RELAY_ROUTES": routes})


@pytest.mark.parametrize(
    ("settings", "beginning"),
    [
        ({}, "host: must be the server's name"),
        ({**GOOD, "host": "smtp://example.com"}, "host: must be the server's name"),
        ({**GOOD, "host": "a..b"}, "host: must be the server's name"),
        ({**GOOD, "host": "smtp.example.com:587"}, "host: must be the server's name"),
        ({**GOOD, "host": 5}, "host: must be the server's name"),
        ({**GOOD, "server": "x"}, "server: is not a setting of smtp (known: host, port"),
        ({**GOOD, "port": "587"}, "port: must be a number"),
        ({**GOOD, "port": 0}, "port: must be a number"),
        ({**GOOD, "port": True}, "port: must be a number"),
        ({**GOOD, "tls": "ssl"}, "tls: must be one of starttls, implicit, none"),
        ({"host": "smtp.example.com", "tls": "none"}, "tls: none is allowed only for a host in a private network"),
        ({**GOOD, "host": "mail.lan", "tls": "none"}, "auth: must be none without TLS"),
        ({**GOOD, "private": "yes"}, "private: must be true or false"),
        ({**GOOD, "auth": "cram-md5"}, "auth: must be one of plain, login, xoauth2, none"),
        ({**GOOD, "auth": "none"}, "username: is not used when auth is none"),
        ({**GOOD, "auth": "none"}, "password: is not used when auth is none"),
        ({**GOOD, "tenant_id": "t"}, "tenant_id: is not used when auth is plain"),
        ({**EXCHANGE, "password": "setting:P"}, "password: is not used when auth is xoauth2"),
        ({**without(EXCHANGE, "managed_identity")}, "managed_identity: must be true"),
        ({**without(GOOD, "username"), "auth": "plain"}, "username: must be given with auth"),
        ({**without(GOOD, "password")}, "password: must name a secret"),
        ({**GOOD, "password": "hunter2"}, "password: must name a secret"),
        ({**GOOD, "ehlo_name": "my name"}, "ehlo_name: must be printable ASCII"),
        ({**GOOD, "ca_file": 5}, "ca_file: must be text"),
        ({**GOOD, "connections": 0}, "connections: must be a number from 1 to 100"),
        ({**GOOD, "connections": "3"}, "connections: must be a number from 1 to 100"),
    ],
)
def test_invalid_setting_is_named(settings: dict[str, Any], beginning: str) -> None:
    faults = check_settings(settings)
    assert [fault for fault in faults if fault.startswith(beginning)]
    assert "hunter2" not in "".join(faults)


def test_all_problems_are_reported_together() -> None:
    faults = check_settings({"host": "smtp.example.com", "port": 25, "tls": "ssl", "auth": "x", "connections": 0})
    assert [fault.partition(":")[0] for fault in faults] == ["tls", "port", "auth", "connections"]


def test_default_port_follows_the_tls_setting() -> None:
    ports = [server_of({**GOOD, "tls": tls}).port for tls in ("starttls", "implicit")]
    assert ports == [587, 465]
    assert server_of({**GOOD, "port": 2525}).port == 2525


def test_exchange_online_defaults_to_three_connections() -> None:
    assert connections_of(EXCHANGE) == 3
    assert connections_of(GOOD) == 8
    assert connections_of({**EXCHANGE, "connections": 1}) == 1


def test_exchange_online_rate_limit_is_shared_with_graph() -> None:
    assert default_paces(EXCHANGE) == provider.default_paces({"mailbox": "App@example.com"})
    assert default_paces(GOOD) == ()
