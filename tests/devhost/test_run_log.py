"""The log of a local run: what goes to the file, and what the terminal shows."""

from pathlib import Path

import pytest

from devhost.run_log import RunLog

TIME = "2026-11-28 16:43:31,147"


def reported(folder: Path, *lines: str) -> list[str]:
    """Add lines to a new log. Returns what it reports."""
    shown: list[str] = []
    with RunLog(folder / "run.log", shown.append) as log:
        for line in lines:
            log.add(line)
    assert (folder / "run.log").read_text() == "".join(f"{line}\n" for line in lines)
    return shown


def test_information_goes_to_the_file_only(tmp_path: Path) -> None:
    assert reported(tmp_path, "Functions:", f'{TIME} INFO     [recover] health {{"held":0}}', "Traceback") == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('route_held {"route":"main","held":2}', "route held (route: main, held: 2)"),
        ("Stopping: {not JSON}", "Stopping: {not JSON}"),
        ("route_held {not JSON}", "route_held {not JSON}"),
    ],
)
def test_problem_is_reported_in_words(tmp_path: Path, text: str, shown: str) -> None:
    assert reported(tmp_path, f"{TIME} WARNING  [deliver] {text}") == [f"16:43:31 warning: {shown}"]


def test_new_log_begins_empty(tmp_path: Path) -> None:
    reported(tmp_path, "first")
    reported(tmp_path, "second")
