"""`python -m devhost.package TARGET.zip`: pack the files that `.funcignore` does not exclude, as azd does.

With `--with-dependencies` the package contains what requirements.txt names, for Linux on x86-64 with Python 3.13, so that Azure
need not build it.
"""

import argparse
import fnmatch
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
BY_AZD = ("__pycache__", ".venv")
"""Names that azd always excludes (azure-dev, cli/azd/pkg/project/project_utils.go)."""
SITE_PACKAGES = Path(".python_packages/lib/site-packages")
"""Where Azure looks for dependencies that come with a package, as its own build puts them (azure-dev #8538)."""
FOR_AZURE = (
    *("--python-version", "3.13"),
    *("--python-platform", "x86_64-manylinux_2_28"),
    *("--only-binary", ":all:"),
    "--no-compile",
)


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


def pack(root: Path, target: Path, dependencies: Path | None = None) -> None:
    """Write the package as a zip file, with the installed packages in the folder `dependencies` where Azure looks for them."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in packaged(root):
            archive.write(root / path, str(path))
        if dependencies is not None:
            for file in sorted(dependencies.rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    archive.write(file, str(SITE_PACKAGES / file.relative_to(dependencies)))


def install(requirements: Path, folder: Path) -> None:
    """Install the packages into a folder, for Azure's platform, whatever this computer is. Raises `CalledProcessError`."""
    command = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", folder, *FOR_AZURE)
    subprocess.run((*command, "--requirement", requirements), check=True)


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="devhost.package", description="Pack the function app for deployment.")
    parser.add_argument("target", type=Path, help="the zip file to write")
    parser.add_argument("--with-dependencies", action="store_true", help="include what requirements.txt names")
    options = parser.parse_args()
    target: Path = options.target
    with tempfile.TemporaryDirectory() as folder:
        if options.with_dependencies:
            install(ROOT / "requirements.txt", Path(folder))
        pack(ROOT, target, Path(folder) if options.with_dependencies else None)
    print(f"{target}: {target.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
