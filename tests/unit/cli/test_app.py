"""The command line as a whole."""

from typer.testing import CliRunner

from relay import __version__
from relay.cli.app import app


def test_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"relay {__version__}\n")
