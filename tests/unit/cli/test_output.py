"""How tables look in terminals."""

import pytest

from relay.cli.output import console, print_table

NAME = "msg_" + "0" * 40


@pytest.mark.parametrize(("columns", "is_whole"), [(80, False), (110, True)])
def test_id_stays_on_one_line_where_there_is_room(
    columns: int, is_whole: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "width", columns)
    row = (
        "2026-03-01 08:00:00Z",
        "sent",
        "not reported",
        NAME,
        "a.long.address@example.org",
        "A subject of some words",
    )
    print_table(("accepted", "state", "arrival", "id", "recipient", "subject"), [row], empty="")
    assert (NAME in capsys.readouterr().out) is is_whole
