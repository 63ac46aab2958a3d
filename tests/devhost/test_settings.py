"""App settings: their sources, and their use in bindings."""

import json
from pathlib import Path
from typing import Any

import pytest

from devhost.settings import (
    FunctionConfigurationError,
    HostConfigurationError,
    apply_local_settings,
    connection_string,
    force_development,
    host_id,
    is_disabled,
    queue_name,
    resolve_names,
)


def written(folder: Path, **content: Any) -> Path:
    path = folder / "local.settings.json"
    path.write_text(json.dumps({"IsEncrypted": False, **content}))
    return path


def test_values_are_added_and_the_environment_wins(tmp_path: Path) -> None:
    environment = {"B": "from the environment", "F": "the same"}
    path = written(tmp_path, Values={"A": "a", "B": "b", "C": "", "D": None, "E": 1, "F": "the same"})
    local = apply_local_settings(path, environment)
    assert environment == {"A": "a", "B": "from the environment", "C": "", "E": "1", "F": "the same"}
    assert local.skipped == ("B",)


def test_connection_strings_are_added_with_their_section(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    strings = {"Plain": "x=1", "Framed": {"ConnectionString": "x=2", "ProviderName": "p"}}
    apply_local_settings(written(tmp_path, ConnectionStrings=strings), environment)
    assert environment == {"ConnectionStrings:Plain": "x=1", "ConnectionStrings:Framed": "x=2"}


def test_missing_file_adds_nothing(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    apply_local_settings(tmp_path / "local.settings.json", environment)
    assert environment == {}


@pytest.mark.parametrize("encrypted", [{}, {"IsEncrypted": True}])
def test_file_without_is_encrypted_false_is_refused(tmp_path: Path, encrypted: dict[str, bool]) -> None:
    path = tmp_path / "local.settings.json"
    path.write_text(json.dumps({**encrypted, "Values": {"A": "a"}}))
    with pytest.raises(HostConfigurationError, match='"IsEncrypted": false'):
        apply_local_settings(path, {})


@pytest.mark.parametrize(("text", "problem"), [("{", "not valid JSON"), ("[]", "must hold a JSON object")])
def test_invalid_file_is_named_in_the_error(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "local.settings.json"
    path.write_text(text)
    with pytest.raises(HostConfigurationError, match=rf"local\.settings\.json .*{problem}|{problem}"):
        apply_local_settings(path, {})


def test_host_section_gives_the_port_and_ignored_settings(tmp_path: Path) -> None:
    local = apply_local_settings(written(tmp_path, Host={"LocalHttpPort": 7072, "CORS": "*"}), {})
    assert local.http_port == 7072
    assert local.ignored == ("Host.CORS",)


@pytest.mark.parametrize("port", ["seven", -1, "123456"])
def test_wrong_port_is_refused(tmp_path: Path, port: object) -> None:
    with pytest.raises(HostConfigurationError, match="must be a port number"):
        apply_local_settings(written(tmp_path, Host={"LocalHttpPort": port}), {})


def test_environment_equals_that_of_func_start() -> None:
    environment = {"PYTHON_ENABLE_DEBUG_LOGGING": "0", "AZURE_FUNCTIONS_ENVIRONMENT": "Production"}
    force_development(environment, Path("/app"), 7071)
    assert environment == {
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "WEBSITE_HOSTNAME": "localhost:7071",
        "AzureWebJobsScriptRoot": "/app",
        "PYTHON_ENABLE_DEBUG_LOGGING": "0",
    }


def test_names_in_percent_signs_are_replaced_ignoring_case() -> None:
    assert resolve_names("a-%Shard%-%b%", {"SHARD": "1", "b": "2"}) == "a-1-2"
    assert resolve_names("%Section:Key%", {"Section__Key": "nested"}) == "nested"


def test_unset_name_is_an_error() -> None:
    with pytest.raises(FunctionConfigurationError, match="'%GONE%' does not resolve to a value"):
        resolve_names("%GONE%", {})


def test_connection_is_looked_up_under_four_names_in_order() -> None:
    names = ["ConnectionStrings:AzureWebJobsMail", "AzureWebJobsMail", "ConnectionStrings:Mail", "Mail"]
    environment = {name: name for name in names}
    for name in names:
        assert connection_string("Mail", environment) == name
        del environment[name]


def test_default_connection_is_the_hosts_storage() -> None:
    assert connection_string("", {"AzureWebJobsStorage": "own"}) == "own"
    assert connection_string("AzureWebJobsStorage", {"AzureWebJobsStorage": "own"}) == "own"


def test_identity_connection_is_refused_with_the_reason() -> None:
    with pytest.raises(FunctionConfigurationError, match="supports only connection strings"):
        connection_string("Mail", {"Mail__queueServiceUri": "https://x.queue.core.windows.net"})


@pytest.mark.parametrize(("name", "setting"), [("Mail", "AzureWebJobsMail"), ("AzureWebJobsMail", "AzureWebJobsMail")])
def test_missing_connection_error_names_the_setting(name: str, setting: str) -> None:
    with pytest.raises(FunctionConfigurationError, match=f"in the app setting '{setting}'"):
        connection_string(name, {})


def test_queue_names_are_lowercased() -> None:
    assert queue_name("Orders-%N%", {"N": "X1"}) == "orders-x1"


@pytest.mark.parametrize("name", ["ab", "a--b", "-ab", "ab-", "a_b", "x" * 64, ""])
def test_invalid_queue_name_is_refused(name: str) -> None:
    with pytest.raises(FunctionConfigurationError, match="not a valid queue name"):
        queue_name(name, {})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("AzureWebJobs.deliver.Disabled", "1", True),
        ("AzureWebJobs_deliver_Disabled", "True", True),
        ("azurewebjobs_DELIVER_disabled", "true", True),
        ("AzureWebJobs.deliver.Disabled", "0", False),
        ("AzureWebJobs.deliver.Disabled", "yes", False),
        ("AzureWebJobs.other.Disabled", "1", False),
    ],
)
def test_function_can_be_disabled_with_either_spelling(name: str, value: str, expected: bool) -> None:
    assert is_disabled("deliver", {name: value}) is expected


def test_host_id_is_stable_short_and_configurable() -> None:
    first = host_id(Path("/app"), {})
    assert first == host_id(Path("/app"), {}) == first.lower()
    assert first != host_id(Path("/other"), {})
    assert len(first) <= 32
    assert host_id(Path("/app"), {"AzureFunctionsWebHost__hostid": "Mine"}) == "mine"
