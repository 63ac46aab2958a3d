"""Startup failures: one clear sentence and exit code 1."""

import socket
from pathlib import Path

import pytest

from devhost.__main__ import bind, main
from devhost.settings import HostConfigurationError


def test_port_in_use_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--app-root", str(tmp_path), "--port", str(port)]) == 1
    printed = capsys.readouterr().err
    assert printed == f"The host cannot start. Port {port} on 127.0.0.1 is in use; choose another with --port.\n"


def test_folder_without_host_json_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--app-root", str(tmp_path)]) == 1
    assert f"No host.json in {tmp_path}: pass the app's folder with --app-root." in capsys.readouterr().err


def test_all_problems_of_host_json_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "host.json").write_text('{"version": "1.0", "extensions": {"queues": {"batchSize": 0}}}')
    assert main(["--app-root", str(tmp_path), "--port", "0"]) == 1
    printed = capsys.readouterr().err
    assert "'version'" in printed
    assert "batchSize" in printed


@pytest.mark.parametrize(("address", "port"), [("127.0.0.1", 70_000), ("192.0.2.1", 0)])
def test_unusable_address_is_an_error(address: str, port: int) -> None:
    with pytest.raises(HostConfigurationError, match="cannot be used"):
        bind(address, port)


def test_port_zero_chooses_a_free_port() -> None:
    with bind("127.0.0.1", 0) as sock:
        assert sock.getsockname()[1] > 0
