"""scripts/find-tools.sh: the errors on a machine without Python or Node.js."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "find-tools.sh"


def find(tool: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run the script with only `path` on PATH."""
    return subprocess.run(
        ["/bin/sh", SCRIPT, tool],
        env={"PATH": str(path), "PYENV_ROOT": str(path / "pyenv"), "HOME": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def program(path: Path, exit_code: int) -> Path:
    """Write a program that exits with a fixed code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nexit {exit_code}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("tool", "sentence"),
    [("python", "Python 3.13 was not found: install it"), ("node", "Node.js 20 or newer was not found: install it")],
)
def test_missing_tool_error_is_one_sentence(tmp_path: Path, tool: str, sentence: str) -> None:
    found = find(tool, tmp_path)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith(sentence)
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize(("tool", "name"), [("python", "python3"), ("node", "node")])
def test_too_old_tool_counts_as_missing(tmp_path: Path, tool: str, name: str) -> None:
    program(tmp_path / name, 1)
    assert find(tool, tmp_path).returncode == 1


def test_node_without_npm_is_an_error(tmp_path: Path) -> None:
    program(tmp_path / "node", 0)
    assert find("node", tmp_path).stderr.startswith("npm was not found")
    program(tmp_path / "npm", 0)
    assert find("node", tmp_path).stdout == f"{tmp_path}/node\n"


def test_pyenv_build_is_preferred_to_the_path(tmp_path: Path) -> None:
    program(tmp_path / "python3.13", 0)
    own = program(tmp_path / "pyenv" / "versions" / "3.13.1" / "bin" / "python", 0)
    assert find("python", tmp_path).stdout == f"{own}\n"


def test_the_running_python_is_new_enough(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    assert find("python", tmp_path).stdout == f"{tmp_path}/python3\n"


def test_unknown_argument_prints_the_usage(tmp_path: Path) -> None:
    assert find("ruby", tmp_path).returncode == 2
