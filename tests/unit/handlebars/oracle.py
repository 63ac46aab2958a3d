"""handlebars.js as a process that renders what it is given."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.e2e.running import ROOT

SCRIPT = Path(__file__).parent / "oracle.mjs"


def missing() -> str:
    """Return why there is no oracle; empty if there is one."""
    if shutil.which("node") is None:
        return "Node.js is not installed"
    return "" if (ROOT / "node_modules/handlebars").is_dir() else "npm ci has not installed handlebars"


class Oracle:
    """Renders templates with handlebars.js."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def render(self, source: str, data: Any) -> str | None:
        """Return what handlebars.js makes of a template; None if it refuses it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode({"source": source, "data": data}) + b"\n")
        self._process.stdin.flush()
        found: str | None = msgspec.json.decode(self._process.stdout.readline()).get("text")
        return found


@contextmanager
def oracle() -> Iterator[Oracle]:
    """Start the process, and end it."""
    node = shutil.which("node")
    assert node is not None
    with subprocess.Popen([node, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Oracle(process)
        assert process.stdin is not None
        process.stdin.close()
