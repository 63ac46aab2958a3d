"""The programs of the documentation's commands: what each does in the test."""

import asyncio
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer
from typer.testing import CliRunner

from devhost.__main__ import _parser
from relay.cli.app import app
from tests.documented.azure import AzdEnvironment, az
from tests.documented.pages import ROOT
from tests.documented.shell import Called, Result

KEPT_RUNNING = {"smtp", "tail"}
"""Commands of Relay that run until they are stopped: their options are checked. Tests of their own run them."""

OWN_PROCESS = {"sendmail", "pickup"}
"""Commands of Relay that use the process itself: its input as bytes, its signals."""

PASSED_ON = ("cat", "date", "openssl")
ELSEWHERE = {
    "docker": "no containers here; tests/repository/test_container.py reads the Dockerfile, and CI starts the image",
    "pip": "installs Microsoft's paconn from the internet",
    "paconn": "needs an account of Power Platform; its files must exist",
}
SHIMS = ("relay", "python", "curl", "azd", "az", "make", *PASSED_ON, *ELSEWHERE)


class Programs:
    """Does what the programs of a page ask for, with the relay at `url`. `environment`: that of real programs.

    `sendgrid_url` is that of the stand-in, for what calls SendGrid itself.
    """

    def __init__(self, *, url: str, environment: Mapping[str, str], folder: Path, sendgrid_url: str = "") -> None:
        self._sendgrid_url = sendgrid_url
        self._url = url
        self._environment = environment
        self._folder = folder
        outputs = {"RELAY_URL": url, "RELAY_ACS_ENDPOINT": "https://acs-relay-0.communication.azure.com"}
        self._azd = AzdEnvironment(outputs)
        self.seen: set[str] = set()

    async def run(self, called: Called) -> Result:
        """Run a program."""
        self.seen.add(called.program)
        arguments = list(called.argv[1:])
        match called.program:
            case "relay":
                return await self._command(called, arguments)
            case "python":
                return await self._python(called, arguments)
            case "curl":
                host = self._url.removeprefix("http://")
                more = ("--fail-with-body", "--max-time", "60", "--connect-to", f"127.0.0.1:7071:{host}")
                return await self._real(called, ["curl", *more, *arguments])
            case "azd":
                return self._azd.run(arguments)
            case "az":
                return az(called)
            case "make":
                check_target(arguments[0])
                return Result()
            case program if program in PASSED_ON:
                return await self._real(called, [program, *arguments])
            case program:
                assert program in ELSEWHERE
                files = [self._folder / word for word in arguments if word.endswith(".json")]
                assert [file for file in files if not file.is_file()] == []
                return Result()

    async def _command(self, called: Called, arguments: list[str]) -> Result:
        check_options(arguments)
        if arguments[0] in KEPT_RUNNING or (arguments[0] == "pickup" and "--once" not in arguments):
            return Result()
        if arguments[0] in OWN_PROCESS:
            return await self._real(called, [sys.executable, "-m", "relay.cli", *arguments])
        files = {word: str(self._folder / word) for word in arguments if word.startswith("./")}
        own = [files.get(word, word) for word in arguments]
        if "--from-sendgrid" in arguments:
            own += ["--sendgrid-url", self._sendgrid_url]
        ran = await asyncio.to_thread(
            CliRunner().invoke, app, own, input=called.input or "y\n", env=_own(called.environment)
        )
        if ran.exception is not None and not isinstance(ran.exception, SystemExit):
            raise ran.exception
        return Result(code=ran.exit_code, output=ran.stdout, errors=ran.stderr)

    async def _python(self, called: Called, arguments: list[str]) -> Result:
        match arguments:
            case ["-m", "relay.cli", *rest]:
                return await self._command(called, rest)
            case ["-m", "devhost", *rest]:
                _parser().parse_args(rest)
                return Result()
            case ["-m", "scripts.connector", *_]:
                return await self._real(called, [sys.executable, *arguments])
        raise AssertionError(f"unknown command: python {' '.join(arguments)}")

    async def _real(self, called: Called, argv: Sequence[str]) -> Result:
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=called.folder,
            env={**self._environment, **_own(called.environment), "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate(called.input.encode())
        return Result(code=process.returncode or 0, output=output.decode(), errors=errors.decode())


def _own(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(("RELAY_", "SENDGRID_"))}


def check_target(target: str) -> None:
    """Check that the Makefile has a target."""
    makefile = (ROOT / "Makefile").read_text()
    [suites] = re.findall(r"^SUITES := (.+)$", makefile, flags=re.MULTILINE)
    assert target in suites.split() or re.search(rf"^{re.escape(target)}:", makefile, flags=re.MULTILINE), target


def check_options(arguments: Sequence[str]) -> None:
    """Check that Relay's command line has a command, and its options."""
    command = typer.main.get_command(app)
    words = list(arguments)
    while words and (found := getattr(command, "commands", {}).get(words[0].partition("|")[0])):
        command = found
        words.pop(0)
    is_placeholder = not words or not words[0].isalpha() or not words[0].islower()
    assert is_placeholder or not hasattr(command, "commands"), f"relay has no command {words}"
    if not command.context_settings.get("ignore_unknown_options"):
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= known | {"--help"}, f"relay {command.name} has no {sorted(used - known)}"
