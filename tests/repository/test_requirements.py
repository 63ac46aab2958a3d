"""The pinned files are what `pyproject.toml` asks for: Azure installs requirements.txt, not pyproject."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.requirement_lines import lines_of

ROOT = Path(__file__).parent.parent.parent


def asked_for(*, with_extras: bool) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values() if with_extras else []
    return [Requirement(line) for line in [*project["dependencies"], *(line for extra in extras for line in extra)]]


FILES = ("requirements.txt", "hooks/requirements.txt", "requirements-dev.txt", "requirements-site.txt")


def pinned(name: str) -> dict[str, Requirement]:
    requirements = [requirement for requirement, _ in lines_of(ROOT / name)]
    return {requirement.name: requirement for requirement in requirements}


@pytest.mark.parametrize(("name", "with_extras"), [("requirements.txt", False), ("requirements-dev.txt", True)])
def test_each_dependency_is_pinned_to_the_same_version(name: str, with_extras: bool) -> None:
    found = pinned(name)
    different = [
        str(requirement)
        for requirement in asked_for(with_extras=with_extras)
        if requirement.name not in found or found[requirement.name].specifier != requirement.specifier
    ]
    assert different == [], f"run `make requirements`: {name} is behind pyproject.toml"


def test_site_is_built_with_the_versions_of_its_group() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    found = pinned("requirements-site.txt")
    assert [line for line in groups["site"] if str(found[Requirement(line).name]).partition(";")[0] != line] == []


@pytest.mark.parametrize("name", FILES)
def test_every_package_has_hashes(name: str) -> None:
    """With one hash in a file, pip refuses every package that has none."""
    assert [str(requirement) for requirement, hashes in lines_of(ROOT / name) if not hashes] == []


@pytest.mark.parametrize("name", FILES)
def test_everything_is_pinned_exactly(name: str) -> None:
    loose = [str(each) for each in pinned(name).values() if not re.fullmatch(r"==[\w.+]+", str(each.specifier))]
    assert loose == []


def test_app_and_tests_use_the_same_versions() -> None:
    developed_with = pinned("requirements-dev.txt")
    other = [each for name, each in pinned("requirements.txt").items() if developed_with.get(name) != each]
    assert other == []


def test_hooks_and_tests_use_the_same_versions() -> None:
    developed_with = pinned("requirements-dev.txt")
    hooks = pinned("hooks/requirements.txt")
    # The conditions of a package differ, because other packages of the tests need it too.
    assert [str(each) for name, each in hooks.items() if developed_with[name].specifier != each.specifier] == []


def test_lock_file_names_no_registry() -> None:
    """`npm ci` then asks the registry that the reader's npm is set to."""
    assert "resolved" not in (ROOT / "package-lock.json").read_text()
