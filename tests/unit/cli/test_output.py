"""How tables look in terminals and in pipes."""

from typing import Any

import httpx2
import pytest
import typer
from typer.testing import CliRunner

from relay.cli.commands import audit, clients, dead_letters, messages, suppressions
from relay.cli.output import console, print_pairs, print_table
from relay.cli.remote import Remote

MESSAGE = "msg_" + "0" * 40
WEBHOOK = "wh_" + "0" * 32
ADDRESS = "a.long.person.name@customers.example.org"
AT = "2026-03-01T08:00:00.123456Z"
LONG = "A text of some words that is longer than any terminal has room for beside the other columns of a table"

COLUMNS = ("accepted", "state", "arrival", "id", "recipient", "subject")
ROW = (AT, "sent", "not reported", MESSAGE, "a.long.address@example.org", "A subject of some words")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns (https://rich.readthedocs.io/en/stable/console.html#environment-variables)."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(console, "width", 80)


ROWS: dict[str, dict[str, Any]] = {
    "message": {
        **{"id": MESSAGE, "created_at": AT, "state": "scheduled", "arrival": "not_reported"},
        **{"recipient": ADDRESS, "subject": LONG},
    },
    "dead letter": {"id": MESSAGE, "at": AT, "state": "cancelled", "client": "a-client-with-a-name", "code": "x"},
    "webhook": {"id": WEBHOOK, "url": f"https://{'x' * 90}", "is_enabled": False, "created_at": AT, "note": LONG},
    "suppression": {"email": ADDRESS, "reason": "unsubscribed", "expires_at": AT, "note": LONG},
    "record": {
        **{"at": AT, "client": "a-client", "role": "operator", "operation": "ResendMessage", "target": MESSAGE},
        **{"details": {"sent_until": AT}, "reason": LONG, "outcome": "refused", "code": "invalid_request"},
    },
}


def app_of(command: Any) -> typer.Typer:
    app = typer.Typer()
    app.command()(command)
    return app


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("app", "arguments", "kind", "name"),
    [
        (app_of(messages.messages), (), "message", MESSAGE),
        (dead_letters.app, ("list", "--code", "x"), "dead letter", MESSAGE),
        (clients.app, ("webhooks", "shop"), "webhook", WEBHOOK),
        (suppressions.app, ("list",), "suppression", ADDRESS),
        (app_of(audit.audit), (), "record", MESSAGE),
    ],
)
def test_list_in_terminal_of_80_columns_shows_ids_whole(
    app: typer.Typer, arguments: tuple[str, ...], kind: str, name: str
) -> None:
    found = httpx2.Response(200, json={"value": [ROWS[kind]]})
    remote = Remote("https://relay.example", "key", httpx2.MockTransport(lambda _: found))
    ran = CliRunner().invoke(app, arguments, obj={"remote": remote})
    assert (ran.exit_code, name in ran.output) == (0, True), ran.output
    assert max(map(len, ran.output.splitlines())) <= 80


@pytest.mark.usefixtures("terminal")
def test_terminal_shows_the_first_columns_and_names_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [ROW], empty="", first=("state", "recipient"))
    heads, _, *_, last = capsys.readouterr().out.splitlines()
    assert heads.split() == ["state", "id", "recipient"]
    assert last == "No room for: accepted, arrival, subject. --json prints everything."


@pytest.mark.usefixtures("terminal")
def test_wide_terminal_shows_all_columns_without_folding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "width", 150)
    print_table(COLUMNS, [ROW], empty="")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["accepted", "2026-03-01"]


@pytest.mark.usefixtures("terminal")
def test_text_is_folded_in_the_room_beside_the_other_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id", "note", "at"), [(MESSAGE, "請求書" * 20, "now")], empty="")
    head, first, *rest = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "note", "at"]
    name, text, at = first.split()
    assert (name, at, "".join([text, *map(str.strip, rest)])) == (MESSAGE, "now", "請求書" * 20)


def test_pipe_gets_all_columns_and_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [(*ROW[:-1], LONG)] * 2, empty="")
    head, *rows = capsys.readouterr().out.splitlines()
    assert tuple(head.split()) == COLUMNS
    assert [MESSAGE in row and LONG in row for row in rows] == [True, True]


def test_pipe_gets_a_line_for_each_pair(capsys: pytest.CaptureFixture[str]) -> None:
    print_pairs({"id": MESSAGE, "subject": LONG, "note": None})
    assert capsys.readouterr().out == f"id       {MESSAGE}\nsubject  {LONG}\n"
