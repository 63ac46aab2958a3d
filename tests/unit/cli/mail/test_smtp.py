"""The command `relay smtp`: options and environment become settings, and unusable ones end it."""

from collections.abc import Mapping

import pytest
from typer.testing import CliRunner

from relay.cli.app import app
from relay.cli.mail import smtp
from relay.submission.settings import LOOPBACK, Endpoint, Settings

URL = {"RELAY_URL": "https://relay.example", "RELAY_KEY": "relay_00000000_x"}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that the command would serve with."""
    found: list[Settings] = []

    async def serve(settings: Settings) -> None:
        found.append(settings)

    monkeypatch.setattr(smtp, "_serve", serve)
    return found


def run(*arguments: str, **environment: str) -> tuple[int, str]:
    ran = CliRunner().invoke(app, ["smtp", *arguments], env={**dict.fromkeys(URL), **environment})
    return ran.exit_code, ran.output


def test_without_options_it_serves_this_machine_with_the_key(served: list[Settings]) -> None:
    assert run(**URL)[0] == 0
    [settings] = served
    assert settings.listen == (Endpoint(host="127.0.0.1", port=2525),)
    assert (settings.networks, settings.key, settings.url) == (LOOPBACK, URL["RELAY_KEY"], URL["RELAY_URL"])


@pytest.mark.parametrize("options", [("--certificate", "/a.pem"), ("--plain-auth",), ("--listen", "[::]:587")])
def test_server_with_auth_or_for_a_network_trusts_no_one(served: list[Settings], options: tuple[str, ...]) -> None:
    assert run(*options, **URL)[0] == 0
    assert served[0].networks == ()


def test_environment_of_a_container_sets_everything(served: list[Settings]) -> None:
    environment = {
        "RELAY_SMTP_LISTEN": "0.0.0.0:2587 [::]:2587",
        "RELAY_SMTP_LISTEN_TLS": "0.0.0.0:2465",
        "RELAY_SMTP_CERTIFICATE": "vault:smtp",
        "RELAY_KEY_VAULT_URL": "https://v.example",
        "RELAY_SMTP_NETWORKS": "10.1.0.0/16 10.2.3.4",
        "RELAY_SMTP_PROXIES": "10.0.0.4",
        "RELAY_SMTP_IDEMPOTENCY_KEYS": "false",
        "RELAY_SMTP_MAX_ERRORS": "3",
        "RELAY_SMTP_HEALTH": "0.0.0.0:8080",
    }
    assert run(**URL, **environment)[0] == 0
    [settings] = served
    assert [(each.host, each.port, each.has_tls) for each in settings.listen] == [
        ("0.0.0.0", 2587, False),  # noqa: S104 (nothing listens)
        ("::", 2587, False),
        ("0.0.0.0", 2465, True),  # noqa: S104 (as above)
    ]
    assert [str(each) for each in (*settings.networks, *settings.proxies)] == [
        "10.1.0.0/16",
        "10.2.3.4/32",
        "10.0.0.4/32",
    ]
    assert (settings.vault_secret, settings.has_keys, settings.limits.errors) == ("smtp", False, 3)
    assert settings.health == Endpoint(host="0.0.0.0", port=8080)  # noqa: S104 (as above)


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (("--listen", "0.0.0.0:0"), URL, "AUTH needs TLS"),
        (("--listen", "somewhere"), URL, "not an address and a port"),
        (("--listen", "127.0.0.1:99999"), URL, "not an address and a port"),
        (("--network", "10.1.2.3/8"), URL, "not a network"),
        (("--listen", "0.0.0.0:0", "--network", "0.0.0.0/0"), URL, "open relay"),
        (("--listen-tls", "127.0.0.1:0", "--certificate", "/nonexistent/a.pem"), URL, "No such file"),
        (("--plain-auth", "--listen", "0.0.0.0:0", "--certificate", "/a"), {}, "loopback"),
    ],
)
def test_unusable_options_end_it_with_exit_code_2(
    arguments: tuple[str, ...], environment: Mapping[str, str], words: str
) -> None:
    code, output = run(*arguments, **environment)
    assert code == 2
    assert words in " ".join(output.split())
