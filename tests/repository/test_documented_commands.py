"""The commands of the documentation name what exists: programs, targets, commands and options, settings, outputs, files.

tests/e2e/test_documented_commands.py runs the pages that call a relay.
"""

import os
import re
import shlex
from pathlib import Path

import pytest

from standins.http import utc_now
from standins.sendgrid.events import EventWebhook
from tests.documented.pages import (
    LANGUAGES,
    OTHERS,
    ROOT,
    VARIABLES,
    Block,
    calls_relay,
    commands,
    inline_code,
    languages,
    pages,
)
from tests.documented.programs import SHIMS, Programs, check_options, check_target
from tests.documented.shell import run_shell, script, shims_working, write_shims

PAGES = [page for page in pages() if page not in OTHERS]
BUILT_IN = {"printf", "export", "."}

CMDLETS = {
    "Connect-ExchangeOnline", "New-Mailbox", "Set-Mailbox", "New-ServicePrincipal", "New-ManagementScope",
    "New-ManagementRoleAssignment", "Test-ServicePrincipalAuthorization", "New-ReceiveConnector", "Add-ADPermission",
    "Get-ReceiveConnector", "Set-ReceiveConnector", "Connect-MgGraph", "New-MgServicePrincipal",
}  # fmt: skip
"""Commands of Exchange and of the Graph module: there is no Exchange here."""


def words_of(line: str) -> list[str]:
    """Return the words of a line, without variables that are set for it and without a comment. A quote may stay open."""
    line = re.sub(r"^(?:[A-Za-z_]+=\S* +)*", "", line.strip())
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return line.split()


def check(words: list[str]) -> None:
    """Check a command of Relay's command line or of make."""
    match words:
        case ["relay", *rest] | ["python", "-m", "relay.cli", *rest]:
            check_options(rest)
        case ["make", target, *_]:
            check_target(target)


def test_every_block_has_a_known_language() -> None:
    assert {page: unknown for page in PAGES if (unknown := languages(page) - LANGUAGES.keys())} == {}


def test_blocks_begin_with_a_known_program() -> None:
    blocks = [block for page in PAGES for block in commands(page)]
    assert [f"{block.page}:{block.line}" for block in blocks if not begins_with_a_known_program(block)] == []


def begins_with_a_known_program(block: Block) -> bool:
    first, *_ = words_of(block.text.partition("\n")[0]) or [""]
    is_variable = re.match(r"[A-Za-z]\w*=(\$\(|<)", block.text) is not None
    return is_variable or first.rpartition("/")[2] in {*SHIMS, *BUILT_IN} or first in BUILT_IN


def test_variables_are_set_by_the_page_or_known() -> None:
    texts = {page: "\n".join(block.text for block in commands(page)) for page in PAGES}
    used = {page: set(re.findall(r"\$\{?([A-Za-z_]\w*)", text)) for page, text in texts.items()}
    known = {page: {*VARIABLES, *re.findall(r"\b([A-Za-z_]\w*)=", text)} for page, text in texts.items()}
    assert {page: unknown for page in PAGES if (unknown := used[page] - known[page])} == {}


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_relay_and_make_exist(page: str) -> None:
    for line in "\n".join(block.text for block in commands(page)).splitlines():
        check(words_of(line))
    for code in inline_code(page):
        check(code.replace("…", "0").split())


@pytest.mark.parametrize("page", [page for page in PAGES if "powershell" in languages(page)])
def test_powershell_calls_what_exists(page: str) -> None:
    text = "\n".join(
        re.findall(r"^ *```powershell\n(.*?)^ *```$", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    )
    used = set(re.findall(r"^ *([A-Z][a-z]+-[A-Z]\w+)", text, flags=re.MULTILINE))
    assert used <= CMDLETS | {"Invoke-RestMethod", "Invoke-WebRequest"}


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page) and not calls_relay(page)])
async def test_page_without_a_relay_runs(page: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write_shims(tmp_path / "bin", SHIMS)
    programs = Programs(url="https://relay.example", environment=os.environ, folder=folder)
    async with shims_working(tmp_path / "bin", programs.run) as environment:
        variables = {"GROUP": "rg-prod", "REGION": "westeurope"}
        values = {"<the verification key>": EventWebhook(utc_now).public_key}
        ran = await run_shell(script(commands(page), values), folder=folder, environment={**environment, **variables})
    assert ran.code == 0, ran.errors + ran.output
    assert programs.seen
