"""What runs on GitHub and in editors: pinned, modest in its rights, and not behind the project."""

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
OF_A_RELEASE = {"actions: read", "contents: write", "packages: write"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_to_a_commit_with_its_version(path: Path) -> None:
    used = re.findall(r"uses: (.+)", path.read_text())
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []


def test_action_has_one_version_in_all_workflows() -> None:
    used = {each for path in WORKFLOWS for each in re.findall(r"uses: (.+)", path.read_text())}
    assert len({each.partition("@")[0] for each in used}) == len(used)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_has_only_the_permissions_of_its_jobs(path: Path) -> None:
    text = path.read_text()
    assert "\npermissions: {}\n" in text
    granted = set(re.findall(r"^ +([\w-]+: (?:read|write))\b", text, flags=re.MULTILINE))
    assert granted <= {"contents: read", "id-token: write"} | (OF_A_RELEASE if path.stem == "release" else set())
    assert ("id-token: write" in granted) == ("azure/login" in text)
    assert "${{ secrets." not in text


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_scripts_contain_no_expressions(path: Path) -> None:
    scripts = re.findall(r"^ +(?:- )?run: (.+(?:\n {10,}.+)*)", path.read_text(), flags=re.MULTILINE)
    assert scripts
    assert [script for script in scripts if "${{" in script] == []


def test_release_is_published_after_its_packages_and_its_image() -> None:
    release = (ROOT / ".github/workflows/release.yml").read_text()
    assert "    needs: [build, image]\n" in release
    assert 'relay-smtp:${GITHUB_REF_NAME#v}"' in release
    assert (ROOT / "Dockerfile").is_file()


def test_deployment_guide_names_every_variable() -> None:
    workflow = (ROOT / ".github/workflows/deploy.yml").read_text()
    guide = (ROOT / "docs/how-to/deploy-from-github.md").read_text()
    assert {name for name in re.findall(r"vars\.(\w+)", workflow) if f"`{name}`" not in guide} == set()


def test_ci_runs_make_test() -> None:
    assert "- run: .ci/run\n" in (ROOT / ".github/workflows/ci.yml").read_text()
    assert "exec make test" in (ROOT / ".ci/run").read_text()


def test_dev_container_has_the_projects_python() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    version = (ROOT / ".python-version").read_text().strip()
    assert container["image"].split(":")[1].startswith(f"{version}-")
    asked_for = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert asked_for == f">={version}"


@pytest.mark.parametrize(
    "task", json.loads((ROOT / ".vscode/tasks.json").read_text())["tasks"], ids=lambda t: t["label"]
)
def test_editor_task_is_a_make_target(task: dict[str, str]) -> None:
    program, target = task["command"].split()
    assert program == "make"
    makefile = (ROOT / "Makefile").read_text()
    suites = re.findall(r"^SUITES := (.+)$", makefile, flags=re.MULTILINE)[0].split()
    assert target in suites or re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
