"""The pages of the documentation, and the commands in them."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]

VARIABLES = ("RELAY_URL", "RELAY_KEY", "RELAY_OPERATOR_KEY", "SENDGRID", "GROUP", "REGION")
"""What a reader has set; the test sets the same."""

OTHERS = {
    "docs/api/examples.md": "tests/e2e/test_examples.py",
    "docs/api/generated-clients.md": "tests/e2e/test_generated_clients.py",
}
"""Pages that a test of their own runs from the first to the last block."""

NOT_COMMANDS = {
    "{": "JSON: a format or a notice",
    "core, platform": "the list of rooms",
    "30 kills": "a report of `make soak`",
    "#!/bin/sh": "a wrapper that replaces the shell; tests/e2e/test_mail_programs.py runs `sendmail`",
}
"""How an indented block begins that is no shell command."""

LANGUAGES = {
    "sh": "this test",
    "": "text",
    "text": "text",
    "json": "a format; the tests of the room that reads it",
    "http": "a request or response as it looks",
    "mermaid": "a picture; `make site`",
    "python": "test_python_examples_run, and the tests in PYTHON",
    "js": "tests/e2e/test_sendgrid_clients.py; the call of batch.md is that of its Python",
    "powershell": "no PowerShell here: test_powershell_calls_what_exists",
    "csharp": "no .NET here",
    "php": "tests/e2e/test_other_programs.py",
    "properties": "no Java here; a setting",
}


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A block of commands, and where it is."""

    page: str
    line: int
    text: str


def pages() -> Sequence[str]:
    """Return the documents for people, without translations (tests/repository/test_languages.py compares their commands)."""
    found = [*ROOT.glob("*.md"), ROOT / "connector/README.md", ROOT / "devhost/README.md", *ROOT.glob("docs/**/*.md")]
    return sorted(str(page.relative_to(ROOT)) for page in found if not page.name.endswith(".ja.md"))


def blocks(page: str) -> Sequence[Block]:
    """Return the shell blocks of a page: those marked `sh`, and those that are only indented."""
    return [
        Block(page=page, line=token.map[0] + 1, text=token.content)
        for token in _tokens(page)
        if token.map and (token.type == "code_block" or (token.type == "fence" and token.info == "sh"))
    ]


def languages(page: str) -> set[str]:
    """Return the languages of the fenced blocks of a page."""
    return {token.info for token in _tokens(page) if token.type == "fence"}


def inline_code(page: str) -> Sequence[str]:
    """Return the code within the sentences and tables of a page."""
    children = [child for token in _tokens(page) for child in token.children or ()]
    return [child.content for child in children if child.type == "code_inline"]


@cache
def _tokens(page: str) -> Sequence[Token]:
    return MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text())


def commands(page: str) -> Sequence[Block]:
    """Return the blocks of a page that are commands."""
    return [block for block in blocks(page) if not block.text.startswith(tuple(NOT_COMMANDS))]


def calls_relay(page: str) -> bool:
    """Return whether a command of a page calls a relay."""
    return any(word in block.text for block in commands(page) for word in ("relay ", "relay.cli", "curl", "scripts."))
