"""`python -m devhost.package TARGET.zip`: pack the files that `.funcignore` does not exclude, as azd does."""

import argparse
import fnmatch
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
BY_AZD = ("__pycache__", ".venv")
"""What azd always excludes (azure-dev, cli/azd/pkg/project/project_utils.go)."""


def patterns_in(text: str) -> tuple[str, ...]:
    """Return the patterns of an ignore file. Raises ValueError for a negated one, which this reader does not support."""
    lines = [line.strip() for line in text.splitlines()]
    chosen = tuple(line for line in lines if line and not line.startswith("#"))
    if any(line.startswith("!") for line in chosen):
        raise ValueError("negated patterns (!name) are not supported: list the excluded paths instead")
    return chosen


def is_left_out(path: Path, patterns: Sequence[str]) -> bool:
    """Return whether a path of the project, or a folder it is in, matches a pattern.

    As in gitignore: a pattern with an inner slash is relative to the root, any other matches at every depth.
    """
    within = [Path(*path.parts[: depth + 1]) for depth in range(len(path.parts))]
    for pattern in patterns:
        plain = pattern.strip("/")
        if any(fnmatch.fnmatchcase(str(each) if "/" in plain else each.name, plain) for each in within):
            return True
    return False


def packaged(root: Path) -> Iterator[Path]:
    """Return the deployed files, relative to the project's root."""
    patterns = (*patterns_in((root / ".funcignore").read_text()), *BY_AZD)

    def walk(folder: Path) -> Iterator[Path]:
        for entry in sorted(folder.iterdir()):
            relative = entry.relative_to(root)
            if is_left_out(relative, patterns):
                continue
            if entry.is_dir():
                yield from walk(entry)
            else:
                yield relative

    return walk(root)


def pack(root: Path, target: Path) -> None:
    """Write the package as a zip file."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in packaged(root):
            archive.write(root / path, str(path))


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="devhost.package", description="Pack the function app for deployment.")
    parser.add_argument("target", type=Path, help="the zip file to write")
    target: Path = parser.parse_args().target
    pack(ROOT, target)
    print(f"{target}: {target.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
