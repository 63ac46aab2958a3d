"""A release: one version everywhere, and its part of the changelog."""

import pytest

import relay
from scripts.release import main, notes, versions

CHANGELOG = "# Changelog\n\n## Unreleased\n\n## 0.2.0 - 2026-12-01\n\n- One.\n\n## 0.1.0\n\n- Zero.\n"


def test_every_file_states_the_same_version() -> None:
    assert set(versions().values()) == {relay.__version__}


@pytest.mark.parametrize(("version", "text"), [("0.2.0", "- One."), ("0.1.0", "- Zero.")])
def test_notes_are_the_part_of_the_version(version: str, text: str) -> None:
    assert notes(CHANGELOG, version) == text


@pytest.mark.parametrize("version", ["Unreleased", "0.3.0", "0.2"])
def test_version_without_entries_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match=f"no entries under '## {version}'"):
        notes(CHANGELOG, version)


def test_tag_of_another_version_is_refused_with_the_files_that_differ() -> None:
    with pytest.raises(ValueError, match=r"The tag is v0\.0\.1, but relay/__init__\.py says .*azure\.yaml says"):
        main("v0.0.1")
