"""What Azure's sample gallery and the gallery of azd templates read is there, and agrees with the project."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ENTRY: dict[str, Any] = json.loads((ROOT / ".github/awesome-azd.json").read_text())

TAGS = {
    "appinsights", "azurestorage", "bicep", "community", "functions", "keyvault", "loganalytics", "managedidentity", "monitor",
    "python", "vnets",
}  # fmt: skip
"""Those of the gallery's tags that fit (github.com/Azure/awesome-azd, website/src/data/tags.tsx)."""

REQUIRED = (
    "README.md", "LICENSE", "SECURITY.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "azure.yaml", "infra/main.bicep",
    ".devcontainer/devcontainer.json", ".github/workflows/ci.yml", ".github/ISSUE_TEMPLATE/bug.yml",
)  # fmt: skip
"""github.com/Azure-Samples/azd-template-artifacts, docs/development-guidelines/definition-of-done.md."""


def front_matter() -> dict[str, str | list[str]]:
    """Return the members of the comment at the top of the README: texts, and lists of texts."""
    found = re.match(r"<!--\n---\n(.*?)^---\n-->\n# ", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    assert found
    lists = re.findall(r"^(\w+):\n((?:- .+\n)+)", found[1], flags=re.MULTILINE)
    texts = dict(re.findall(r"^(\w+): (.+)$", found[1], flags=re.MULTILINE))
    return {**texts, **{name: re.findall(r"- (.+)", text) for name, text in lists}}


def test_sample_gallery_gets_every_member() -> None:
    assert front_matter().keys() == {"name", "description", "page_type", "languages", "products", "urlFragment"}
    assert front_matter()["page_type"] == "sample"
    assert {"azdeveloper", "python", "bicep"} == set(front_matter()["languages"])
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", str(front_matter()["urlFragment"]))


def test_descriptions_are_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["description"]
    assert front_matter()["description"] == ENTRY["description"]
    assert project.replace(": one", ". One") == ENTRY["description"]


@pytest.mark.parametrize("name", ["tags", "languages", "azureServices", "IaC"])
def test_azd_gallery_knows_every_tag(name: str) -> None:
    assert ENTRY[name]
    assert set(ENTRY[name]) <= TAGS


def test_azd_gallery_gets_a_title_and_a_preview() -> None:
    assert ENTRY["title"]
    assert ENTRY["author"]
    assert (ROOT / ENTRY["preview"]).is_file()


@pytest.mark.parametrize("file", REQUIRED)
def test_template_has_the_file(file: str) -> None:
    assert (ROOT / file).is_file()


def test_codespaces_badge_opens_the_repository_of_the_page() -> None:
    """A relative link: it is right in a fork too."""
    for page in ("README.md", "README.ja.md"):
        assert "(https://github.com/codespaces/badge.svg)](../../codespaces/new)" in (ROOT / page).read_text()
