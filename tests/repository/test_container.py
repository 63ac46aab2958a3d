"""The image of the submission server: pinned, without rights, and started with options that exist."""

import re
import tomllib
from pathlib import Path

import typer

from relay.cli.app import app
from tests.repository.bicep_text import bicep

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PAGE = (ROOT / "docs/how-to/smtp-submission.md").read_text()


def variables() -> set[str]:
    """Return the environment variables of the options of `relay smtp`."""
    command = typer.main.get_command(app).commands["smtp"]  # type: ignore[attr-defined] # a group
    return {str(parameter.envvar) for parameter in command.params if parameter.envvar}


def test_base_image_is_pinned_to_a_digest_and_the_projects_python() -> None:
    [image] = re.findall(r"^ARG PYTHON=(.+)$", DOCKERFILE, flags=re.MULTILINE)
    version = (ROOT / ".python-version").read_text().strip()
    assert re.fullmatch(rf"python:{re.escape(version)}\.\d+-slim-bookworm@sha256:[0-9a-f]{{64}}", image)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, flags=re.MULTILINE)) == {"${PYTHON}"}


def test_packages_are_installed_with_their_hashes() -> None:
    assert "--require-hashes --requirement /tmp/requirements.txt" in DOCKERFILE
    assert "COPY hooks/requirements.txt /tmp/requirements.txt" in DOCKERFILE
    pinned = (ROOT / "hooks/requirements.txt").read_text()
    for package in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["cli"]:
        assert f"\n{package} " in pinned


def test_image_runs_without_rights_and_reports_its_health() -> None:
    user, command = DOCKERFILE.index("\nUSER 10001:10001\n"), DOCKERFILE.index("\nENTRYPOINT")
    assert user < command
    assert re.search(r"^HEALTHCHECK .*\\\n    CMD \[", DOCKERFILE, flags=re.MULTILINE)


def test_environment_of_the_image_sets_options() -> None:
    listening = dict(re.findall(r"(RELAY_SMTP_\w+)=(\S+)", DOCKERFILE))
    assert listening.keys() <= variables()
    [exposed] = re.findall(r"^EXPOSE (.+)$", DOCKERFILE, flags=re.MULTILINE)
    assert [value.rpartition(":")[2] for value in listening.values()] == exposed.split()


def test_image_holds_only_what_it_runs() -> None:
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), flags=re.MULTILINE)
    copied = re.findall(r"^COPY (?!--from)(\S+)", DOCKERFILE, flags=re.MULTILINE)
    assert sorted(allowed) == sorted(copied)


def test_container_app_uses_the_ports_and_options_of_the_image() -> None:
    source = bicep("smtp.bicep")
    [exposed] = re.findall(r"^EXPOSE (.+)$", DOCKERFILE, flags=re.MULTILINE)
    ports = re.findall(r"(?:targetPort|port): (\d+)", source)
    assert set(ports) == set(exposed.split())
    assert set(re.findall(r"name: '(RELAY_SMTP_\w+)'", source)) <= variables()
    assert re.findall(r"exposedPort: (\d+)", source) == ["587", "465"]


def test_container_app_reads_one_secret_and_has_no_networks_without_auth() -> None:
    """Its ingress hides the addresses of clients."""
    source = bicep("smtp.bicep")
    assert re.findall(r"roles\.(?!json)(\w+)", source) == ["secretsUser", "secretsUser"]
    assert source.count("scope: certificate\n") == 1
    assert "RELAY_SMTP_NETWORKS" not in source
    assert "RELAY_KEY'" not in source


def test_container_app_is_off_by_default_and_needs_a_network() -> None:
    main = bicep("main.bicep")
    assert "param smtpEnabled bool = false" in main
    assert "module smtp 'smtp.bicep' = if (smtpEnabled && vnetEnabled)" in main


def test_page_lists_every_option_with_its_variable() -> None:
    command = typer.main.get_command(app).commands["smtp"]  # type: ignore[attr-defined] # a group
    rows = dict(re.findall(r"^\| `(--[\w-]+)` \| (?:`(\w+)`)?", PAGE, flags=re.MULTILINE))
    options = {
        parameter.secondary_opts[0] if parameter.secondary_opts else parameter.opts[0]: parameter.envvar or ""
        for parameter in command.params
    }
    assert rows == options


def test_server_is_not_deployed_with_the_app() -> None:
    """Azure does not install its packages."""
    ignored = (ROOT / ".funcignore").read_text().splitlines()
    assert {"Dockerfile", ".dockerignore", "relay/submission"} <= set(ignored)
