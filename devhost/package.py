"""`python -m devhost.package TARGET.zip`: packs what `.funcignore` leaves of the project, as azd does by itself."""

import argparse
import fnmatch
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
BY_AZD = ("__pycache__", ".venv")
"""What azd leaves out by itself (azure-dev, cli/azd/pkg/project/project_utils.go)."""


def patterns_in(text: str) -> tuple[str, ...]:
    """The patterns of an ignore file. Only those without negation are understood here, and no others are used."""
    lines = [line.strip() for line in text.splitlines()]
    chosen = tuple(line for line in lines if line and not line.startswith("#"))
    if any(line.startswith("!") for line in chosen):
        raise ValueError("negated patterns are not understood here")
    return chosen


def is_left_out(path: Path, patterns: Sequence[str]) -> bool:
    """Whether a path of the project, or a folder it is in, matches a pattern.

    As in gitignore: a pattern with a slash within is meant from the root, another one at any depth.
    """
    within = [Path(*path.parts[: depth + 1]) for depth in range(len(path.parts))]
    for pattern in patterns:
        plain = pattern.strip("/")
        if any(fnmatch.fnmatchcase(str(each) if "/" in plain else each.name, plain) for each in within):
            return True
    return False


def packaged(root: Path) -> Iterator[Path]:
    """The files that are deployed, relative to the project's root."""
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
    """The exit code."""
    parser = argparse.ArgumentParser(prog="devhost.package", description="Pack the function app for deployment.")
    parser.add_argument("target", type=Path, help="the zip file to write")
    target: Path = parser.parse_args().target
    pack(ROOT, target)
    print(f"{target}: {target.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
