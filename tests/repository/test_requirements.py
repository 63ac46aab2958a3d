"""The pinned files are what `pyproject.toml` asks for: Azure installs requirements.txt, not pyproject."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent.parent


def asked_for(*, with_extras: bool) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values() if with_extras else []
    return [Requirement(line) for line in [*project["dependencies"], *(line for extra in extras for line in extra)]]


def pinned(name: str) -> dict[str, Requirement]:
    lines = (ROOT / name).read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return {requirement.name: requirement for requirement in requirements}


@pytest.mark.parametrize(("name", "with_extras"), [("requirements.txt", False), ("requirements-dev.txt", True)])
def test_each_dependency_is_pinned_to_the_same_version(name: str, with_extras: bool) -> None:
    found = pinned(name)
    different = [
        str(asked)
        for asked in asked_for(with_extras=with_extras)
        if asked.name not in found or found[asked.name].specifier != asked.specifier
    ]
    assert different == [], f"run `make requirements`: {name} is behind pyproject.toml"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_everything_is_pinned_exactly(name: str) -> None:
    loose = [str(each) for each in pinned(name).values() if not re.fullmatch(r"==[\w.+]+", str(each.specifier))]
    assert loose == []


def test_the_app_and_the_tests_use_the_same_versions() -> None:
    developed_with = pinned("requirements-dev.txt")
    other = [each for name, each in pinned("requirements.txt").items() if developed_with.get(name) != each]
    assert other == []


def test_the_lock_file_names_no_registry() -> None:
    """`npm ci` then asks the registry that the reader's npm is set to."""
    assert "resolved" not in (ROOT / "package-lock.json").read_text()
