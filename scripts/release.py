"""`python -m scripts.release TAG`: check that a tag is this version everywhere, and print its part of the changelog.

The release workflow takes the output as the text of the release.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

import relay

ROOT = Path(__file__).parent.parent


def versions() -> dict[str, str]:
    """Return the version that each file states. They are the same in every commit (tests/repository/test_release.py)."""
    template = re.search(r"^  template: relay-mail@(\S+)$", (ROOT / "azure.yaml").read_text(), flags=re.MULTILINE)
    return {
        "relay/__init__.py": relay.__version__,
        "pyproject.toml": tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"],
        "package.json": json.loads((ROOT / "package.json").read_text())["version"],
        "azure.yaml": template[1] if template else "",
    }


def notes(changelog: str, version: str) -> str:
    """Return the part of a changelog about a version. Raises ValueError if there is none, or if it is empty."""
    part = re.search(
        rf"^## {re.escape(version)}(?: [^\n]*)?\n(.*?)(?=^## |\Z)", changelog, flags=re.MULTILINE | re.DOTALL
    )
    if part is None or not part[1].strip():
        raise ValueError(f"CHANGELOG.md has no entries under '## {version}': rename 'Unreleased' to it.")
    return part[1].strip()


def main(tag: str) -> str:
    """Return the text of the release. Raises ValueError if the tag is not `v` and the version of every file."""
    others = {name: version for name, version in versions().items() if f"v{version}" != tag}
    if others:
        found = ", ".join(f"{name} says {version}" for name, version in others.items())
        raise ValueError(f"The tag is {tag}, but {found}.")
    return notes((ROOT / "CHANGELOG.md").read_text(), tag.removeprefix("v"))


if __name__ == "__main__":
    try:
        print(main(sys.argv[1]))
    except ValueError as error:
        sys.exit(str(error))
